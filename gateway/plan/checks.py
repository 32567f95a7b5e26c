"""Checks of what one part of a configuration owes another: names, addresses, security, time zone."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.plan.findings import Findings, Sketch
from gateway.settings import HttpSettings
from gateway.settings.address import host_port, is_loopback
from gateway.settings.document import Keys

# Uplinks have a position in every stream like a consumer, under these names.
UPLINKS = ("mqtt", "http", "http-media", "gat1400")


def check_names(sketch: Sketch, findings: Findings) -> None:
    """Names are unique by kind; a device and a camera may not share one: both are sources of records."""
    for kind in ("line", "device", "alarm", "camera"):
        _unique(findings, (kind,))
    _unique(findings, ("api", "consumer"))
    _unique(findings, ("api", "consumer"), "token_sha256", "token")  # a token says who it is: one consumer each
    devices = {name: keys for keys, name in _names(findings, ("device",))}
    for keys, name in _names(findings, ("camera",)):
        if name in devices:
            line = findings.document.line(devices[name])
            findings.error(keys, f"a device has this name already (line {line}); give the camera another")
    for keys, camera in sketch.items("camera"):
        if camera.vehicles is not None:
            _unique(findings, (*keys, "vehicles", "lanes"))
    for keys, name in _names(findings, ("api", "consumer")):
        if name in UPLINKS:
            findings.error(keys, "is the name of a built-in uplink; give the consumer another")


def check_api(sketch: Sketch, findings: Findings) -> None:
    """The HTTP interface leaves this machine only with TLS."""
    api = sketch.settings.api
    for key, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if getattr(api, key) is not None and getattr(api, other) is None:
            findings.error(("api", key), f"needs {other} beside it; name that file too")
    host, _ = host_port(api.listen, any_port=True)
    if not is_loopback(host) and api.tls_cert is None and api.tls_key is None:
        findings.error(
            ("api", "listen"),
            "can be reached from outside without encryption; name tls_cert and tls_key, or listen on 127.0.0.1",
        )


def check_mqtt(sketch: Sketch, findings: Findings) -> None:
    """The brokers' addresses can be used and are encrypted, or plainly said not to be."""
    mqtt = sketch.settings.uplink.mqtt
    if mqtt is None:
        return
    keys: Keys = ("uplink", "mqtt")
    places: list[tuple[Keys, str]] = [((*keys, "url"), mqtt.url)]
    places += [((*keys, "fallback", number), url) for number, url in enumerate(mqtt.fallback)]
    for number, (where, url) in enumerate(places):
        address = urlsplit(url)
        if address.scheme == "mqtt" and not mqtt.insecure and not is_loopback(address.hostname or ""):
            findings.error(
                where,
                "is not encrypted; write mqtts://, or insecure = true beside it to accept that anyone on the way can "
                "read and change what is sent",
            )
        if url in [earlier for _, earlier in places[:number]]:
            findings.warning(where, "stands here twice; name another address of the platform, or delete it")
    encrypted = [url for _, url in places if url.startswith("mqtts:")]
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(mqtt, key) is not None and getattr(mqtt, other) is None:
            findings.error((*keys, key), f"needs {other} beside it; name that file too")
    if mqtt.password_file is not None and mqtt.user is None:
        findings.warning((*keys, "password_file"), "is sent without a user; most brokers expect user too")
    tls_files = [key for key in ("ca_file", "cert_file", "key_file") if getattr(mqtt, key) is not None]
    if not encrypted and tls_files:
        findings.warning((*keys, tls_files[0]), "has no effect with mqtt://; write mqtts:// to encrypt")
    if len(encrypted) == len(places) and mqtt.insecure:
        findings.warning((*keys, "insecure"), "has no effect with mqtts://, which always checks the broker; delete it")


def check_http(sketch: Sketch, findings: Findings) -> None:
    """The platform's address is encrypted, or plainly said not to be, and there is one way to prove who we are."""
    http = sketch.settings.uplink.http
    if http is None:
        return
    keys: Keys = ("uplink", "http")
    _check_platform_addresses(http, keys, findings)
    pairs = (("cert_file", "key_file"), ("key_file", "cert_file"), ("user", "password_file"), ("password_file", "user"))
    for key, other in pairs:
        if getattr(http, key) is not None and getattr(http, other) is None:
            findings.error((*keys, key), f"needs {other} beside it; name that too")
    if http.token_file is not None and http.user is not None:
        findings.error((*keys, "user"), "there is a token_file already; a request carries either a token or a password")
    for key in ("media_url", "media_rate"):
        if getattr(http, key) is not None and not http.media:
            findings.warning((*keys, key), "has no effect without media = true; add it, or delete this key")


def _check_platform_addresses(http: HttpSettings, keys: Keys, findings: Findings) -> None:
    addresses = {key: urlsplit(getattr(http, key) or "") for key in ("url", "media_url")}
    plain = [key for key, address in addresses.items() if address.scheme == "http"]
    for key in plain:
        if not http.insecure and not is_loopback(addresses[key].hostname or ""):
            findings.error(
                (*keys, key),
                "is not encrypted; write https://, or insecure = true beside it to accept that anyone on the way can "
                "read and change what is sent",
            )
    if addresses["media_url"].query:
        findings.error((*keys, "media_url"), "has a query, but the file's name is put behind it; delete the ? part")
    if http.media and http.media_url is None and addresses["url"].query:
        findings.error((*keys, "media"), "needs media_url beside it, since url has a query; name that too")
    tls_files = [key for key in ("ca_file", "cert_file", "key_file") if getattr(http, key) is not None]
    if tls_files and all(address.scheme != "https" for address in addresses.values()):
        findings.warning((*keys, tls_files[0]), "has no effect with http://; write https:// to encrypt")
    if http.insecure and not plain:
        findings.warning(
            (*keys, "insecure"), "has no effect with https://, which always checks the platform; delete it"
        )


def check_lines(sketch: Sketch, findings: Findings) -> None:
    """One wire is one line."""
    ports: dict[tuple[str, str], int] = {}
    for keys, line in sketch.items("line"):
        for key in ("serial", "listen"):
            wire = getattr(line, key)
            if wire is None:
                continue
            first = ports.setdefault((key, str(wire)), int(keys[1]))
            if first != keys[1]:
                other = findings.document.line(("line", first, key))
                findings.error(
                    (*keys, key), f"line {other} uses it already; one wire is one [[line]] with any number of devices"
                )


NO_CLIP = "no model that finds faces is in use here, so no clips"
UNBLURRED = (
    "let one work (linli model pull face-detector, linli model use face-detector), or, where nothing has to be hidden, "
    'say why: unblurred = "…" in the [[camera]]'
)


def clips_leave(unblurred: str | None) -> bool:
    """Whether clips may be made: nothing has to be hidden, or a model that finds faces was chosen and is here."""
    if unblurred is not None:
        return True
    from gateway.vision.packs import FACES, PackError, chosen_pack, models_folder  # only clips ask for it

    try:
        return chosen_pack(models_folder(), FACES) is not None
    except PackError:
        return False


def check_cameras(sketch: Sketch, findings: Findings) -> None:
    """A camera has a user for its password, and looks for something."""
    for keys, camera in sketch.items("camera"):
        if camera.password_file is not None and camera.user is None:
            findings.error((*keys, "password_file"), "needs user beside it; name the camera's user too")
        if camera.vehicles is None and camera.falling is None:
            findings.warning(keys, "looks for nothing; add [camera.vehicles] or [camera.falling] below it")
        if camera.vehicles is not None and camera.vehicles.clip is not None and not clips_leave(camera.unblurred):
            findings.warning((*keys, "vehicles", "clip"), f"{NO_CLIP} of it are made; {UNBLURRED}")
        if camera.falling is not None and not clips_leave(camera.unblurred):
            findings.warning((*keys, "falling"), f"{NO_CLIP} of falls are made; {UNBLURRED}")
        stream = "://" in camera.url or camera.url.startswith("/dev/")
        for key in ("pace", "repeat"):
            if stream and key in camera.model_fields_set:
                findings.warning((*keys, key), "has no effect: only a video file has it")


def _unique(findings: Findings, where: Keys, key: str = "name", noun: str = "name") -> None:
    seen: dict[str, Keys] = {}
    for keys, text in _names(findings, where, key):
        if text in seen:
            line = findings.document.line(seen[text])
            findings.error(keys, f"this {noun} is used already in line {line}; give it another")
        seen.setdefault(text, keys)


def _names(findings: Findings, where: Keys, key: str = "name") -> Iterator[tuple[Keys, str]]:
    """Every name (or other key) in a list as it stands in the file, sound or not, with its key path."""
    items = findings.document.value(where)
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and isinstance(item.get(key), str):
            yield (*where, number, key), item[key]
