"""Which simulated slave stands for which driver: the one list of what can be simulated."""

from collections.abc import Callable
from typing import NamedTuple

from gateway.cli.simulate import callers, cjt188, dlt645, mbus, modbus, talkers
from gateway.cli.simulate.gauge import Grid, Text, Values, plain_text
from gateway.cli.simulate.slave import Slave
from gateway.contract import DeviceSpec, Point


class Kind(NamedTuple):
    """What makes the slave, and what its points can carry and say."""

    make: Callable[[DeviceSpec, Values], Slave]
    grid: Callable[[Point, DeviceSpec], Grid]
    text: Callable[[DeviceSpec], Text] = lambda _spec: plain_text


KINDS: dict[str, Kind] = {
    "modbus": Kind(modbus.ModbusSlave, modbus.grid),
    "dlt645": Kind(dlt645.DltSlave, dlt645.grid, lambda _spec: dlt645.text),
    "cjt188": Kind(cjt188.CjtSlave, cjt188.grid, lambda _spec: cjt188.text),
    "mbus": Kind(mbus.MbusSlave, mbus.grid, mbus.text_of),
    "nmea": Kind(talkers.NmeaSlave, talkers.nmea_grid),
    "line": Kind(talkers.LineSlave, talkers.line_grid),
    "frames": Kind(talkers.FrameSlave, talkers.frame_grid),
    "gb26875": Kind(callers.FireCaller, callers.fire_grid),
    "hj212": Kind(callers.EnvironmentCaller, callers.environment_grid),
}


def make_slave(spec: DeviceSpec, seed: int) -> Slave:
    """Build the slave of a device; KeyError when its protocol is not simulated, ConfigError when it cannot be."""
    kind = KINDS[spec.driver]
    grids = {name: kind.grid(point, spec) for name, point in spec.points.items()}
    return kind.make(spec, Values(spec.name, spec.points, grids, seed, kind.text(spec)))
