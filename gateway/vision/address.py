"""A camera's url: what kind it is, and what of it may be shown."""

from urllib.parse import quote, urlsplit, urlunsplit

STREAMS = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "rtp")


def is_stream(url: str) -> bool:
    """Whether frames come when they come, not when we ask: a network stream or a camera device."""
    return urlsplit(url).scheme in STREAMS or url.startswith("/dev/")


def without_credentials(url: str) -> str:
    """The address as it may be shown."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}" if mark else url


def with_credentials(url: str, user: str | None, password: str) -> str:
    """The address that libav is given; ValueError when it is malformed."""
    parts = urlsplit(url)
    if not user or not parts.netloc or parts.scheme not in STREAMS:
        return url
    host = parts.netloc.rpartition("@")[2]
    secret = f":{quote(password, safe='')}" if password else ""
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}{secret}@{host}"))
