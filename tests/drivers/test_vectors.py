"""Every vector of every profile and driver is decoded: a new device needs no new test file."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

import drivers
from gateway.contract import DeviceSilentError, DeviceSpec, LineKind, PointValue
from gateway.settings import DeviceSettings, LineSettings, Profile
from gateway.settings.devices import Vector
from gateway.settings.resolve import resolve_device
from tests.modbus_farm import Slave, crc16

ROOT = Path(__file__).resolve().parents[2]
PROFILES = {
    path.stem: Profile.model_validate(tomllib.loads(path.read_text("utf-8")))
    for path in sorted((ROOT / "config/devices").glob("*.toml"))
}
VECTORS = [
    pytest.param(name, vector, id=f"{name}-{number}")
    for name, profile in PROFILES.items()
    for number, vector in enumerate(profile.vector)
]
HONEST = ("capture ", "manual", "published", "synthetic")


class Tape:
    """A pipe that answers each question with the frame that follows it in a list of frames; unasked it talks on."""

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = frames
        self.asked: list[bytes] = []
        self._answer = b""

    async def write(self, data: bytes) -> None:
        self.asked.append(data)
        assert data in self.frames, f"the driver asks {data.hex(' ')}, which the vector does not know"
        self._answer = self.frames[self.frames.index(data) + 1]

    async def read(self, at_most: int = 4096) -> bytes:
        if not self._answer and not self.asked and self.frames:
            self._answer = self.frames.pop(0)
        if not self._answer:
            raise DeviceSilentError("the tape is at its end")
        answer, self._answer = self._answer[:at_most], self._answer[at_most:]
        return answer

    async def drain_input(self) -> bytes:
        return b""


class Registers(Tape):
    """A pipe to a slave that holds a vector's registers."""

    def __init__(self, registers: dict[str, list[int]]) -> None:
        super().__init__([])
        self.slave = Slave()
        for at, words in registers.items():
            start = int(at.partition(":")[2], 0)
            self.slave.registers.update(zip(range(start, start + len(words)), words, strict=True))

    async def write(self, data: bytes) -> None:
        body = data[:1] + (self.slave.answer(data[1:6]) or b"")
        self._answer = body + crc16(body)


def spec_of(profile: Profile, address: int | str) -> DeviceSpec:
    line = LineSettings(name="bus", serial=Path("/dev/null"))
    device = DeviceSettings(name="device", line="bus", profile="x", address=address)
    return resolve_device(device, line, profile).spec


def profile_of(name: str) -> Profile:
    """A profile whose driver can run here."""
    if PROFILES[name].driver == "mbus":
        pytest.importorskip("meterbus")
    return PROFILES[name]


def address_of(vector: Vector) -> int | str:
    """The vector's own; else, as Modbus has it, the first byte of a frame."""
    if vector.address is not None:
        return vector.address
    return bytes.fromhex(vector.frames[0])[0] if vector.frames else 1


def said_by(profile: Profile, vector: Vector) -> dict[str, PointValue]:
    """What a station that calls us says with the frames of a vector, byte by byte."""
    station = drivers.find(profile.driver).make(spec_of(profile, address_of(vector)))
    ears, values = station.ears(), {}
    for number, byte in enumerate(b"".join(bytes.fromhex(frame) for frame in vector.frames)):
        for call in ears.feed(bytes((byte,))):
            assert call.station == station.station
            heard = station.hear(call, None, float(number))
            assert heard.fault is None
            values |= heard.values
    return {**values, **station.held()}


def test_there_are_profiles():
    assert len(PROFILES) >= 70


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_has_a_vector_with_an_honest_source_and_a_driver_that_takes_it(name):
    profile = profile_of(name)
    assert profile.family
    assert profile.points
    assert profile.vector
    assert all(vector.source.startswith(HONEST) for vector in profile.vector)
    assert all(bool(vector.frames) != bool(vector.registers) for vector in profile.vector)
    drivers.find(profile.driver).make(spec_of(profile, address_of(profile.vector[0])))


@pytest.mark.parametrize(("name", "vector"), VECTORS)
async def test_a_vector_is_decoded(name, vector):
    profile = profile_of(name)
    if getattr(drivers.find(profile.driver), "CALLS", False):
        values = said_by(profile, vector)
        assert {point: values[point].value for point in vector.expect} == vector.expect
        assert all(values[point].quality == "good" for point in vector.expect)
        return
    pipe = Tape([bytes.fromhex(frame) for frame in vector.frames]) if vector.frames else Registers(vector.registers)
    device = drivers.find(profile.driver).make(spec_of(profile, address_of(vector)))
    whole = vector.frames and profile.driver == "modbus"  # its requests follow from all points together
    wanted = frozenset(profile.points) if whole else frozenset(vector.expect)
    values = await device.read(pipe, wanted)
    expected = {name: values[name].value for name in vector.expect}
    assert expected == vector.expect
    assert all(values[name].quality == "good" for name in vector.expect)


@pytest.mark.parametrize("name", drivers.names())
def test_a_driver_decodes_its_own_vectors(name):
    module = drivers.find(name)
    assert callable(module.make)
    for raw, expected in getattr(module, "VECTORS", ()):
        assert dict(module.decode(raw)) == expected


def test_unknown_drivers_are_a_key_error():
    assert "modbus" in drivers.names()
    with pytest.raises(KeyError):
        drivers.find("../gateway")


def test_supported_is_current():
    done = subprocess.run(
        [ROOT / "scripts/supported", "--check"],
        env={**os.environ, "PYTHON": os.sys.executable, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_line_kinds_have_a_default_framing():
    for kind in (LineKind.SERIAL, LineKind.TCP):
        spec = spec_of(PROFILES["qdy30a"], 3)
        made = drivers.find("modbus").make(DeviceSpec(spec.name, "modbus", 3, kind, spec.points))
        assert [str(request) for request in made.requests(spec.points)] == ["holding:3-4"]
