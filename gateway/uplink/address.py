"""Where the broker is and how it is trusted: URL, TLS context, password."""

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.contract import ConfigError
from gateway.settings.address import is_loopback
from gateway.settings.core import Gat1400Settings, HttpSettings, MqttSettings
from gateway.settings.secret import read_secret

PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """Address of a broker; ``insecure`` when records and passwords cross a network in the clear."""

    host: str
    port: int
    tls: bool
    insecure: bool

    @property
    def url(self) -> str:
        """The address for people, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse(settings: MqttSettings) -> Broker:
    """Read ``[uplink.mqtt] url``; ConfigError in one sentence when it cannot be used."""
    return _parse("url", settings.url, settings.insecure)


def parse_all(settings: MqttSettings) -> tuple[Broker, ...]:
    """Read ``url`` and ``fallback``, in the order in which they are tried; ConfigError as ``parse``."""
    return (parse(settings), *(_parse("fallback", url, settings.insecure) for url in settings.fallback))


def _parse(key: str, url: str, insecure: bool) -> Broker:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f'{key} = "{url}": {error}; write mqtts://HOST:8883') from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigError(f'{key} = "{url}": expected mqtts://HOST:PORT or mqtt://HOST:PORT')
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{key} holds a user or password; write user = and password_file = instead")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f'{key} = "{url}": nothing may follow the port')
    tls = parts.scheme == "mqtts"
    open_network = not tls and not is_loopback(parts.hostname)
    if open_network and not insecure:
        raise ConfigError(f'{key} = "{url}" is not encrypted; use mqtts://, or insecure = true to accept that')
    return Broker(parts.hostname, port or PORTS[parts.scheme], tls, open_network)


def tls_context(settings: MqttSettings | HttpSettings | Gat1400Settings) -> ssl.SSLContext:
    """Verify the far end's certificate and name, always; ConfigError when a file cannot be used."""
    # With ca_file only that authority counts: a public one must not vouch for a private broker.
    context = ssl.create_default_context() if settings.ca_file is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(settings.ca_file)
        except OSError as error:
            raise ConfigError(f"ca_file {settings.ca_file}: {_why(error)}; it must be a PEM file") from None
    if settings.cert_file is not None:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except OSError as error:
            files = f"cert_file {settings.cert_file} with key_file {settings.key_file}"
            raise ConfigError(f"{files}: {_why(error)}; both must be PEM and belong together") from None
    return context


def password(settings: MqttSettings) -> str | None:
    """Read the password now, so that a changed file counts at the next connection; ConfigError if it cannot be."""
    return None if settings.password_file is None else read_secret(settings.password_file)


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return error.strerror or str(error)
