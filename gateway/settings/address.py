"""Reads network addresses as they stand in a configuration."""

import ipaddress


def host_port(text: str, *, any_port: bool = False) -> tuple[str, int]:
    """Read ``HOST:PORT`` or ``[IPV6]:PORT``; ValueError with a sentence. ``any_port``: 0 lets the system choose."""
    host, _, port = text.strip().rpartition(":")
    lowest = 0 if any_port else 1
    bare = host.removeprefix("[").removesuffix("]")
    good_port = port.isascii() and port.isdecimal() and lowest <= int(port) <= 65535
    if not bare or not good_port or any(sign in text for sign in " /@") or (":" in host and not host.startswith("[")):
        raise ValueError(f'"{text}" is not an address with a port; expected HOST:PORT such as "192.168.10.20:502"')
    return bare, int(port)


def is_loopback(host: str) -> bool:
    """Whether an address never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
