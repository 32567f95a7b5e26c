"""GB/T 26875.3-2011: user information transmission devices of fire systems, which call us over TCP."""

from __future__ import annotations

from drivers._options import Options
from drivers._points import PointError
from drivers.gb26875.frame import parse_address
from drivers.gb26875.place import Place, locate
from drivers.gb26875.station import FireStation
from gateway.contract import ConfigError, DeviceSpec

CALLS = True  # it is never asked: it needs a line with listen


def make(spec: DeviceSpec) -> FireStation:
    """Build the driver of one station; ConfigError with one sentence ``key: what; fix`` for each mistake."""
    options = Options(spec)
    set_clock = options.flag("set_clock", default=False)
    problems = options.finish()
    address = parse_address(spec.address)
    if not address:
        problems.append(
            f"address: {spec.address!r} is no station; write its number, or its six bytes as they come over the wire, "
            'such as "790300000000"'
        )
    places: dict[str, Place] = {}
    for name, point in spec.points.items():
        try:
            places[name] = locate(point)
        except PointError as error:
            problems.append(f"points.{name}.{error.key}: {error}")
    if not problems and Place("any", "fire") not in places.values():
        problems.append(
            'points: no point has at = "any:fire", so a fire of a component that no point names would raise no alarm; '
            "add one, or take the profile gb26875-station"
        )
    if problems:
        raise ConfigError(*problems)
    return FireStation(address.hex(), spec.points, places, set_clock=set_clock)
