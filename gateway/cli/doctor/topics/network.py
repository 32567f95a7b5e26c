"""The network: a way out, and whether uplinks and cameras take a connection, with the certificates they show."""

import asyncio
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from gateway.cli.doctor.finding import Finding, Probe, look, ok, parted, unseen
from gateway.cli.doctor.machine import Machine
from gateway.contract import ConfigError
from gateway.settings.address import is_loopback
from gateway.words import many

if TYPE_CHECKING:
    from gateway.settings import Gat1400Settings, HttpSettings, MqttSettings

PATIENCE = 12.0  # seconds for the name, the connection and the handshake of one
SOON = 30.0  # days before a certificate ends
ROUTE_UP = 0x1  # RTF_UP
# RTSP: RFC 7826, 22.14 and 22.15; the others as in IANA's list.
CAMERA_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443}
NOWHERE = "0" * 8


class Target(NamedTuple):
    """Somebody to connect to; ``url`` without user, password and query."""

    name: str
    host: str
    port: int
    url: str
    tls: ssl.SSLContext | None


def route(machine: Machine) -> Iterator[Finding]:
    """A default route."""
    gateways = [words[0] for line in (machine.text("/proc/net/route") or "").splitlines()[1:]
                if len(words := line.split()) > 7 and (words[1], words[7]) == (NOWHERE, NOWHERE)
                and int(words[3], 16) & ROUTE_UP]  # fmt: skip
    gateways += [words[9] for line in (machine.text("/proc/net/ipv6_route") or "").splitlines()
                 if len(words := line.split()) == 10 and words[1] == "00" and words[9] != "lo"
                 and int(words[8], 16) & ROUTE_UP]  # fmt: skip
    if gateways:
        yield ok("", f"the way out is {', '.join(dict.fromkeys(gateways))}")
        return
    links = [path.name for path in sorted(machine.at("/sys/class/net").glob("*")) if path.name != "lo"]
    up = [name for name in links if machine.text(f"/sys/class/net/{name}/carrier") == "1"]
    state = f"{', '.join(up)} connected" if up else f"no cable or radio on {', '.join(links) or 'any interface'}"
    verdict = "the time and every platform beyond this network cannot be reached"
    yield look("", f"there is no way out (default route), {state}: {verdict}", "check cable, router and DHCP: ip route")


def reachable(machine: Machine) -> Iterator[Finding]:
    """Connect to all at a time; nothing is said to them but what TLS says by itself."""
    if machine.plan is None:
        return
    targets: list[Target] = []
    for found in _targets(machine):
        if isinstance(found, Finding):
            yield found
        else:
            targets.append(found)
    yield from asyncio.run(_all(machine, targets))


def _targets(machine: Machine) -> Iterator[Target | Finding]:
    from gateway.uplink import address
    from gateway.uplink.gat1400.session import place_of
    from gateway.uplink.http.origin import media_origin, origin

    if machine.plan is None:
        return
    uplink = machine.plan.settings.uplink
    if uplink.mqtt is not None:
        for broker in address.parse_all(uplink.mqtt):
            yield _target("uplink mqtt", broker.host, broker.port, broker.url, broker.tls, uplink.mqtt)
    if uplink.http is not None:
        places = [origin(uplink.http.url), *([media_origin(uplink.http)] if uplink.http.media else [])]
        for place in {(place.host, place.port): place for place in places}.values():
            yield _target("uplink http", place.host, place.port, place.url, place.tls, uplink.http)
    if uplink.gat1400 is not None:
        place = place_of(uplink.gat1400)
        yield _target("uplink gat1400", place.host, place.port, place.url, place.tls, uplink.gat1400)
    for camera in machine.plan.settings.camera:
        parts = urlsplit(camera.url)
        if parts.scheme in CAMERA_PORTS and parts.hostname:
            port = parts.port or CAMERA_PORTS[parts.scheme]
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            url = f"{parts.scheme}://{host}:{port}"
            yield Target(f"camera {camera.name}", parts.hostname, port, url, None)


def _target(
    name: str, host: str, port: int, url: str, tls: bool, settings: "MqttSettings | HttpSettings | Gat1400Settings"
) -> Target | Finding:
    from gateway.uplink.address import tls_context

    try:
        return Target(name, host, port, url, tls_context(settings) if tls else None)
    except ConfigError as error:
        if "Permission denied" in str(error):
            return unseen(name, f"{url} was not tried: {str(error).partition(';')[0]}", "run this with sudo")
        return parted(name, str(error), "check the files in its table of the configuration")


async def _all(machine: Machine, targets: list[Target]) -> list[Finding]:
    return list(await asyncio.gather(*(_tried(machine, target) for target in targets)))


async def _tried(machine: Machine, target: Target) -> Finding:
    from gateway.uplink.dial import ConnectionFailedError, dial

    began = machine.clock.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            sock = await dial(target, target.tls)
    except ConnectionFailedError as error:
        return parted(target.name, str(error), "check the network")
    except TimeoutError:
        what = f"{target.url} does not answer within {PATIENCE:g} s"
        return parted(target.name, what, "check address, network, its power, and the name server: cat /etc/resolv.conf")
    took = machine.clock.monotonic() - began
    with sock:
        certificate = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
    text = f"{target.url} takes the connection ({took * 1000:.0f} ms)"
    if not certificate:
        plain = "" if target.name.startswith("camera") or is_loopback(target.host) else ", not encrypted"
        return ok(target.name, text + plain)
    until = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    left = (until - machine.clock.wall() / 1e9) / 86400
    text += f"; its certificate ends on {machine.clock.rfc3339(until * 1_000_000_000)[:10]}"
    if left < SOON:
        return look(target.name, f"{text}, in {many(max(0, int(left)), 'day')}", "have the platform renew it")
    return ok(target.name, text)


PROBES = (Probe("the way out", route), Probe("uplinks and cameras", reachable, 3 * PATIENCE))
