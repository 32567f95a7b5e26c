"""What the GA/T 1400 uplink needs: an encrypted address, and cameras that look for vehicles, each with its own code."""

from urllib.parse import urlsplit

from gateway.plan.findings import Findings, Sketch
from gateway.settings import Gat1400Settings
from gateway.settings.address import is_loopback
from gateway.settings.document import Keys

KEYS: Keys = ("uplink", "gat1400")


def check_gat1400(sketch: Sketch, findings: Findings) -> None:
    """Complain of what would not work, or would not be safe."""
    settings = sketch.settings.uplink.gat1400
    if settings is None:
        return
    _check_address(settings, findings)
    known = {camera.name: camera for camera in sketch.settings.camera}
    codes: dict[str, Keys] = {settings.device_id: (*KEYS, "device_id")}
    for name, viewed in settings.camera.items():
        keys: Keys = (*KEYS, "camera", name)
        if name not in sketch.names("camera"):
            findings.error(keys, "there is no camera of this name; add a [[camera]], or correct the name")
        elif name in known and known[name].vehicles is None:
            findings.error(keys, "this camera looks for no vehicles; add [camera.vehicles] below it")
        first = codes.setdefault(viewed.device_id, (*keys, "device_id"))
        if first != (*keys, "device_id"):
            line = findings.document.line(first)
            findings.error((*keys, "device_id"), f"line {line} has this code already; each has its own")
        lanes = known[name].vehicles if name in known else None
        for lane in viewed.lanes if lanes is not None else ():
            if lane not in ({one.name for one in lanes.lanes} if lanes is not None and lanes.lanes else {name}):
                findings.error((*keys, "lanes", lane), "this camera has no lane of this name; correct it")


def _check_address(settings: Gat1400Settings, findings: Findings) -> None:
    address = urlsplit(settings.url)
    if address.query:
        findings.error((*KEYS, "url"), "has a query, but /VIID/... is put behind it; delete the ? part")
    if address.scheme == "http" and not settings.insecure and not is_loopback(address.hostname or ""):
        findings.error(
            (*KEYS, "url"),
            "is not encrypted; write https://, or insecure = true beside it to accept that anyone on the way can read "
            "plates and pictures",
        )
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(settings, key) is not None and getattr(settings, other) is None:
            findings.error((*KEYS, key), f"needs {other} beside it; name that file too")
    tls_files = [key for key in ("ca_file", "cert_file", "key_file") if getattr(settings, key) is not None]
    if address.scheme == "http" and tls_files:
        findings.warning((*KEYS, tls_files[0]), "has no effect with http://; write https:// to encrypt")
    if address.scheme == "https" and settings.insecure:
        findings.warning(
            (*KEYS, "insecure"), "has no effect with https://, which always checks the platform; delete it"
        )
