"""A simulated device and the real driver of its protocol, face to face without a line between them."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import drivers
from gateway.cli.simulate.kinds import make_slave
from gateway.cli.simulate.slave import Slave
from gateway.contract import DeviceSilentError, DeviceSpec, Driver, LineKind, PointValue
from gateway.settings import DeviceSettings, LineSettings, PointSettings
from gateway.settings.profiles import load_profile
from gateway.settings.resolve import _point, resolve_device

DEVICES = Path(__file__).resolve().parents[2] / "config/devices"
ADDRESSES = {
    "dlt645": "202312345678", "cjt188": "00112023001234", "mbus": 17, "modbus": 5, "nmea": 1, "line": 1, "frames": 1,
}  # fmt: skip
SERIAL = LineSettings(name="bus", serial=Path("/dev/null"))


def spec_of(profile: str, address: int | str | None = None, **more) -> DeviceSpec:
    """The device of a profile."""
    read = load_profile(DEVICES / f"{profile}.toml")
    given = ADDRESSES[read.driver] if address is None else address
    device = DeviceSettings.model_validate({"name": "d", "line": "bus", "profile": profile, "address": given, **more})
    return resolve_device(device, SERIAL, read).spec


def spec_from(driver: str, points: dict[str, dict], address: int | str | None = None, **options) -> DeviceSpec:
    """A device written out."""
    made = {name: _point(name, PointSettings.model_validate(point)) for name, point in points.items()}
    given = ADDRESSES[driver] if address is None else address
    return DeviceSpec("d", driver, given, LineKind.SERIAL, made, options)


class Face:
    """A pipe to a slave, ``now`` elapsed seconds after the start; one that speaks by itself does so at every read."""

    def __init__(self, slave: Slave, now: float = 0.0) -> None:
        self.slave = slave
        self.now = now
        self.questions: list[bytes] = []
        self.spoil = lambda answer: answer
        self._chunks: list[bytes] = []
        self._left = 0

    async def write(self, data: bytes) -> None:
        self.questions.append(data)
        self._hear(self.slave.hear(data, self.slave.values.at(self.now)))

    async def read(self, at_most: int = 4096) -> bytes:
        await asyncio.sleep(0)
        if not self._chunks and self.slave.period is not None and self._left > 0:
            self._left -= 1
            self._hear(self.slave.say(self.slave.values.at(self.now)))
        if not self._chunks:
            raise DeviceSilentError("silence")
        return self._chunks.pop(0)

    async def drain_input(self) -> bytes:
        self._chunks, self._left = [], 6
        return b""

    def _hear(self, answer: bytes) -> None:
        answer = self.spoil(answer)
        self._chunks += [answer[at : at + 7] for at in range(0, len(answer), 7)]


async def read(driver: Driver, face: Face, points: Iterable[str]) -> dict[str, PointValue]:
    """Read once."""
    return dict(await driver.read(face, frozenset(points)))


def pair(spec: DeviceSpec, seed: int = 0) -> tuple[Driver, Slave]:
    """The driver and the slave of one device."""
    return drivers.find(spec.driver).make(spec), make_slave(spec, seed)


def same(value: PointValue, shown: object) -> bool:
    """Whether the gateway shows what the simulator means."""
    if shown is None:
        return value.quality == "bad"
    if isinstance(shown, bool | str) or isinstance(value.value, str | bool | None):
        return value.value == shown
    return abs(value.value - shown) <= 1e-6 * max(1.0, abs(shown))
