"""A whole site, simulated: every line of a configuration with its devices, and the script that plays on them."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gateway.cli.simulate.kinds import KINDS, make_slave
from gateway.cli.simulate.line import TURNAROUND, Pace, SimulatedLine
from gateway.cli.simulate.modbus import whole_mbap
from gateway.cli.simulate.ports import CallPort, Port, PtyPort, TcpPort, UdpPort, free_port
from gateway.cli.simulate.script import Script
from gateway.cli.simulate.station import Fault, Served, Station
from gateway.contract import ConfigError, LineKind
from gateway.plan import Plan
from gateway.settings import LineSettings, SerialSettings
from gateway.settings.address import host_port
from gateway.settings.resolve import ResolvedDevice

TWIN = 7919  # added to the seed: the second device of one address shows other values


def _nobody(_device: str, _values: object) -> None:
    """Nobody wants to know what was said."""


class Way(NamedTuple):
    """How a site is served. ``folder``: of the serial ports' links; ``real``: bytes take their time on serial lines."""

    folder: Path
    elapsed: Callable[[], float]
    seed: int = 0
    real: bool = True
    turnaround: float = TURNAROUND
    served: Served = _nobody


@dataclass
class Site:
    """``left_out``: what is configured and not simulated, with the reason."""

    lines: list[SimulatedLine]
    stations: dict[str, Station]
    left_out: list[str]
    elapsed: Callable[[], float]
    changed: Callable[[str], None] = lambda _sentence: None
    _running: set[int] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve all lines; LinkError when one cannot be."""
        opened: list[SimulatedLine] = []
        try:
            for line in self.lines:
                await line.open()
                opened.append(line)
            yield
        finally:
            for line in opened:
                await line.close()

    async def play(self, script: Script) -> None:
        """Let the script happen, from now on; what an earlier one did is taken back. Ends with the last scene."""
        await self._rest()
        start = self.elapsed()
        for station in self.stations.values():
            station.slave.values.written.clear()
        while True:
            now = self.elapsed() - start
            coming = []
            for number, scene in enumerate(script.scenes):
                end = scene.at + scene.for_ if scene.for_ is not None else None
                active = scene.at <= now and (end is None or now < end)
                if active != (number in self._running):
                    await self._turn(script, number, start + scene.at, on=active)
                coming += [moment for moment in (scene.at, end) if moment is not None and moment > now]
            if not coming:
                return
            await asyncio.sleep(min(coming) - now)

    async def _rest(self) -> None:
        self._running.clear()
        for station in self.stations.values():
            station.faults.clear()
            for gauge in station.slave.values.gauges.values():
                gauge.script = None
        for line in self.lines:
            line.faults.clear()
            await line.heed()

    async def _turn(self, script: Script, number: int, began: float, *, on: bool) -> None:
        """Begin or end one scene."""
        scene, fault = script.scenes[number], script.faults[number]
        (self._running.add if on else self._running.discard)(number)
        if fault is None:
            device, _, point = (scene.set or "").partition(".")
            self.stations[device].slave.values.gauges[point].script = (began, scene.motion()) if on else None
            self.changed(f"{scene.set}: {'as the script says' if on else 'moves by itself again'}")
            return
        for line in self.lines:
            if line.name == scene.line:
                _switch(line.faults, number, fault, on=on)
                await line.heed()
        if scene.device is not None:
            _switch(self.stations[scene.device].faults, number, fault, on=on)
        self.changed(f"{scene.line or scene.device}: {fault.kind} {'begins' if on else 'ends'}")


def _switch(faults: dict[int, Fault], number: int, fault: Fault, *, on: bool) -> None:
    if on:
        faults[number] = fault
    else:
        faults.pop(number, None)


def build(plan: Plan, way: Way) -> Site:
    """Make the site of a configuration; ConfigError when nothing of it can be simulated."""
    left_out: list[str] = []
    stations: dict[str, Station] = {}
    lines = []
    for settings in plan.settings.line:
        hung = [device for device in plan.devices if device.line.name == settings.name]
        here = [station for device in hung if (station := _station(device, settings, way.seed, left_out)) is not None]
        stations.update({station.name: station for station in here})
        if settings.kind is LineKind.LISTEN:
            port = free_port(host_port(settings.listen or "")[1])
            lines += [_calling(settings, station, port, way) for station in here]
            continue
        mbap = bool(hung) and all(device.spec.options.get("framing") == "tcp" for device in hung if _is_modbus(device))
        lines.append(
            SimulatedLine(
                name=settings.name,
                stations=here,
                port=_port(settings, way.folder),
                pace=_pace(settings, way),
                elapsed=way.elapsed,
                chance=random.Random(f"{way.seed} {settings.name}"),  # noqa: S311 - noise, no secret
                whole=whole_mbap if mbap and all(map(_is_modbus, hung)) else None,
                served=way.served,
            )
        )
    if not stations:
        raise ConfigError(f"{plan.path}: nothing here can be simulated; it needs a [[line]] and a [[device]] on it")
    return Site(lines, stations, left_out, way.elapsed)


def _calling(settings: LineSettings, station: Station, port: int, way: Way) -> SimulatedLine:
    """A station's own connection to the gateway."""
    return SimulatedLine(settings.name, [station], CallPort(port), Pace(), way.elapsed, served=way.served)


def _is_modbus(device: ResolvedDevice) -> bool:
    return device.spec.driver == "modbus"


def _station(device: ResolvedDevice, line: LineSettings, seed: int, left_out: list[str]) -> Station | None:
    serial = None
    if line.kind is LineKind.SERIAL:
        serial = device.serial or SerialSettings(baud=line.baud, format=line.format)
    if device.spec.driver not in KINDS:
        left_out.append(f"device {device.name}: the protocol {device.spec.driver} is not simulated")
        return None
    try:
        slave, twin = make_slave(device.spec, seed), make_slave(device.spec, seed + TWIN)
    except ConfigError as error:
        left_out.append(f"device {device.name}: {error}")
        return None
    return Station(device.name, device.model or device.spec.driver, slave, serial, twin)


def _port(settings: LineSettings, folder: Path) -> Port:
    if settings.serial is not None:
        return PtyPort(folder / settings.name)
    _, port = host_port(settings.tcp or settings.udp or "")
    return TcpPort(port) if settings.tcp is not None else UdpPort(port)


def _pace(settings: LineSettings, way: Way) -> Pace:
    if settings.kind is not LineKind.SERIAL:
        return Pace()
    serial = SerialSettings(baud=settings.baud, format=settings.format)
    return Pace(serial, way.real, way.turnaround if way.real else 0.0)
