"""HJ 212-2017 and 2005: environment stations (dust, noise, air, water), which call us over TCP."""

from __future__ import annotations

import re

from drivers._options import Options
from drivers._points import PointError
from drivers.hj212.place import Place, locate
from drivers.hj212.station import EnvironmentStation
from gateway.contract import ConfigError, DeviceSpec

CALLS = True  # it is never asked: it needs a line with listen
PASSWORD = True  # password_file holds what it must send as PW


def make(spec: DeviceSpec) -> EnvironmentStation:
    """Build the driver of one station; ConfigError with one sentence ``key: what; fix`` for each mistake."""
    options = Options(spec)
    set_clock = options.flag("set_clock", default=False)
    problems = options.finish()
    if not re.fullmatch(r"[A-Za-z0-9]{1,24}", str(spec.address)):
        problems.append(f"address: {spec.address!r} is no MN; write the station's MN, such as 010000A8900016F000169DC0")
    places: dict[str, Place] = {}
    for name, point in spec.points.items():
        try:
            places[name] = locate(point)
        except PointError as error:
            problems.append(f"points.{name}.{error.key}: {error}")
    if not spec.points:
        problems.append("points: this device needs at least one point, or a profile that has them")
    if problems:
        raise ConfigError(*problems)
    return EnvironmentStation(str(spec.address).upper(), spec.points, places, set_clock=set_clock)
