"""Network addresses as they stand in a configuration: read, and explained when they are wrong."""

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from gateway.settings.nearest import did_you_mean

CAMERA_SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "rtp", "file")
CREDENTIALS = "holds a user or password, which status and logs would show; write user and password_file instead"


def host_port(text: str, *, any_port: bool = False) -> tuple[str, int]:
    """Read ``HOST:PORT`` or ``[IPV6]:PORT``; ValueError with a sentence. ``any_port``: 0 lets the system choose."""
    host, _, port = text.rpartition(":")
    lowest = 0 if any_port else 1
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    good_port = port.isascii() and port.isdecimal() and len(port) <= 5 and lowest <= int(port) <= 65535
    if not bare or not good_port or any(sign in text for sign in " /@") or (":" in host) != bracketed:
        shown = "this" if "@" in text else f'"{text}"'
        raise ValueError(f'{shown} is not an address with a port; expected HOST:PORT such as "192.168.10.20:502"')
    return bare, int(port)


def is_loopback(host: str) -> bool:
    """Whether an address never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _with_port(text: str) -> str:
    host_port(text)
    return text


def _with_any_port(text: str) -> str:
    host_port(text, any_port=True)
    return text


def _broker(text: str) -> str:
    try:
        parts = urlsplit(text)
        bad_port = parts.port == 0
    except ValueError:
        raise ValueError("is not an address; expected mqtts://HOST:PORT") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(CREDENTIALS)
    if parts.scheme not in ("mqtt", "mqtts"):
        hint = f"; {did_you_mean(parts.scheme, ('mqtt', 'mqtts'))}" if "://" in text else ""
        raise ValueError(f"is not a broker's address; expected mqtts://HOST:PORT, or mqtt:// without TLS{hint}")
    if not parts.hostname or bad_port:
        raise ValueError("names no host or no port; expected mqtts://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("has something behind the port; expected mqtts://HOST:PORT and nothing more")
    return text


def _platform(text: str) -> str:
    try:
        parts = urlsplit(text)
        bad_port = parts.port == 0
    except ValueError:
        raise ValueError("is not an address; expected https://HOST/PATH") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(CREDENTIALS)
    if parts.scheme not in ("https", "http"):
        raise ValueError("is not a platform's address; expected https://HOST/PATH, or http:// without TLS")
    if not parts.hostname or bad_port:
        raise ValueError("names no host or no port; expected https://HOST/PATH")
    if parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has a space, a # or a character beyond ASCII; write it as %XX")
    return text


def _camera(text: str) -> str:
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
        bad_port = parts.port == 0
    except ValueError:
        raise ValueError("is not an address; expected rtsp://HOST/PATH") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(CREDENTIALS)
    if parts.scheme not in CAMERA_SCHEMES:
        hint = did_you_mean(parts.scheme, CAMERA_SCHEMES)
        raise ValueError(f"expected rtsp://HOST/PATH, a device such as /dev/video0, or a video file; {hint}")
    if parts.scheme != "file" and (not parts.hostname or bad_port):
        raise ValueError(f"names no host; expected {parts.scheme}://HOST/PATH")
    return text


HostPort = Annotated[str, AfterValidator(_with_port)]
ListenOn = Annotated[str, AfterValidator(_with_any_port)]
BrokerUrl = Annotated[str, AfterValidator(_broker)]
PlatformUrl = Annotated[str, AfterValidator(_platform)]
CameraUrl = Annotated[str, AfterValidator(_camera)]
