"""What is fuzzed: every vector of every driver and profile, each with its far side, and who can tell a sound frame."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from stations import STATIONS, Calling

import drivers
from gateway.contract import DeviceSpec, Driver, LineKind, PointValue
from gateway.settings import DeviceSettings, LineSettings, PointSettings, Profile
from gateway.settings.resolve import resolve_device

PROJECT = Path(__file__).resolve().parents[2]
Sound = Callable[[bytes], Iterable[bytes]]  # every frame with a right checksum that stands in these bytes
Seal = Callable[[bytes], bytes]  # a frame with its checksum made right again


@dataclass
class Target:
    """One device (``make``) that reads from ``answer``, or one function (``decode``) that takes ``seeds``.

    ``speaks``: it talks by itself, ``seeds`` in turn. ``sound`` and ``seal`` are None where frames have no checksum.
    """

    name: str
    driver: str
    make: Callable[[], Driver] | None = None
    points: frozenset[str] = frozenset()
    answer: Callable[[bytes], bytes] = lambda _question: b""
    speaks: bool = False
    seeds: list[bytes] = field(default_factory=list)
    decode: Callable[[bytes], object] | None = None
    sound: Sound | None = None
    seal: Seal | None = None


# ------------------------------------------------------------------------------------------- checksums, written anew


def crc16(data: bytes) -> bytes:
    """CRC of Modbus, bit by bit, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return bytes((crc & 0xFF, crc >> 8))


def sum8(data: bytes) -> bytes:
    """Sum of bytes."""
    return bytes((sum(data) % 256,))


def xor8(data: bytes) -> bytes:
    """Exclusive or of bytes."""
    value = 0
    for byte in data:
        value ^= byte
    return bytes((value,))


SUMS: Mapping[str, Callable[[bytes], bytes]] = {"sum8": sum8, "xor": xor8, "crc16": crc16}


def sound_rtu(data: bytes) -> Iterable[bytes]:
    """Every stretch that ends in its own CRC."""
    for at in range(len(data) - 3):
        crc = 0xFFFF
        for end in range(at, len(data) - 2):
            crc ^= data[end]
            for _ in range(8):
                crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
            if end > at and data[end + 1] == crc & 0xFF and data[end + 2] == crc >> 8:
                yield data[at : end + 3]


def sound_ascii(data: bytes) -> Iterable[bytes]:
    """Every line of hexadecimal digits whose bytes sum to nothing."""
    for line in data.split(b"\r\n"):
        for at in (at for at, byte in enumerate(line) if byte == 0x3A):
            try:
                frame = bytes.fromhex(line[at + 1 :].decode("ascii"))
            except ValueError:
                continue
            if frame and sum(frame) % 256 == 0:
                yield line[at:].upper() + b"\r\n"


def sound_meter(data: bytes) -> Iterable[bytes]:
    """Every stretch from a 68H to a 16H with the sum before it."""
    for at in (at for at, byte in enumerate(data) if byte == 0x68):
        for end in range(at + 8, len(data)):
            if data[end] == 0x16 and data[end - 1] == sum(data[at : end - 1]) % 256:
                yield data[at : end + 1]


def sound_mbus(data: bytes) -> Iterable[bytes]:
    """Every stretch from a 68H to a 16H whose sum leaves out the first four bytes; an acknowledgement has none."""
    for at in (at for at, byte in enumerate(data) if byte == 0x68):
        for end in range(at + 6, len(data)):
            if data[end] == 0x16 and data[end - 1] == sum(data[at + 4 : end - 1]) % 256:
                yield data[at : end + 1]


def sound_nmea(data: bytes) -> Iterable[bytes]:
    """Every sentence whose checksum is right."""
    for line in data.split(b"\n"):
        for at in (at for at, byte in enumerate(line) if byte in b"$!"):
            body, star, digits = line[at + 1 :].rstrip(b"\r").rpartition(b"*")
            if star and digits.upper() == xor8(body).hex().upper().encode():
                yield line[at:].rstrip(b"\r")


def seal_rtu(frame: bytes) -> bytes:
    """Make the CRC right."""
    return frame[:-2] + crc16(frame[:-2])


def seal_ascii(frame: bytes) -> bytes:
    """Make the LRC right; what is no digit falls out."""
    digits = bytes(byte for byte in frame if byte in b"0123456789ABCDEFabcdef")
    body = bytes.fromhex(digits[: len(digits) // 2 * 2].decode())[:-1]
    return b":" + (body + bytes((-sum(body) % 256,))).hex().upper().encode() + b"\r\n"


def seal_meter(frame: bytes) -> bytes:
    """Make sum and end right, from the first 68H on."""
    at = max(frame.find(0x68), 0)
    return frame[:-2] + sum8(frame[at:-2]) + b"\x16"


def seal_mbus(frame: bytes) -> bytes:
    """Make lengths, sum and end of a long frame right."""
    if len(frame) < 9 or len(frame) > 261:
        return frame
    size = len(frame) - 6
    return bytes((0x68, size, size, 0x68)) + frame[4:-2] + sum8(frame[4:-2]) + b"\x16"


def seal_nmea(frame: bytes) -> bytes:
    """Make the checksums of all sentences right."""
    lines = []
    for line in frame.split(b"\n"):
        body, star, _ = line.lstrip(b"$").rpartition(b"*")
        lines.append(b"$" + body + b"*" + xor8(body).hex().upper().encode() + b"\r" if star else line)
    return b"\n".join(lines)


CHECKED: dict[str, tuple[Sound, Seal]] = {
    "dlt645": (sound_meter, seal_meter),
    "cjt188": (sound_meter, seal_meter),
    "mbus": (sound_mbus, seal_mbus),
    "nmea": (sound_nmea, seal_nmea),
}


def of_frames(options: Mapping[str, Any]) -> tuple[Sound, Seal] | tuple[None, None]:
    """Who checks what ``frames`` was told in its options."""
    total = SUMS.get(options["checksum"])
    if total is None:
        return None, None
    header, length, begin = bytes.fromhex(options["header"]), options["length"], options.get("checksum_from", 0)
    end = length - len(total(b""))

    def sound(data: bytes) -> Iterable[bytes]:
        for at in range(len(data) - length + 1):
            frame = data[at : at + length]
            if frame.startswith(header) and total(frame[begin:end]) == frame[end:]:
                yield frame

    return sound, lambda frame: frame[:end] + total(frame[begin:end]) + frame[length:]


# ------------------------------------------------------------------------------------------------------- the far sides


class Tape:
    """Answers a question with what follows it in a vector; a question whose running number differs counts as it."""

    def __init__(self, frames: list[bytes]) -> None:
        self._pairs = list(zip(frames[::2], frames[1::2], strict=False))

    def __call__(self, question: bytes) -> bytes:
        for asked, answer in self._pairs:
            if asked == question:
                return answer
        for asked, answer in self._pairs:
            if len(asked) == len(question) and asked[:-3] == question[:-3]:
                return answer
        return b""


class Registers:
    """A Modbus slave that answers in the given framing."""

    def __init__(self, registers: Mapping[int, int], framing: str) -> None:
        self._registers, self._framing = registers, framing

    def __call__(self, question: bytes) -> bytes:
        if self._framing == "tcp":
            head, body = question[:4], question[6:]
        elif self._framing == "ascii":
            head, body = b"", bytes.fromhex(question[1:-4].decode())
        else:
            head, body = b"", question[:-2]
        function, start, count = body[1], int.from_bytes(body[2:4]), int.from_bytes(body[4:6])
        if function in (1, 2):
            bits = sum((self._registers.get(start + at, 0) & 1) << at for at in range(count))
            data = bits.to_bytes((count + 7) // 8, "little")
        else:
            data = b"".join(self._registers.get(start + at, 0).to_bytes(2) for at in range(count))
        answer = bytes((body[0], function, len(data))) + data
        if self._framing == "tcp":
            return head + len(answer).to_bytes(2) + answer
        if self._framing == "ascii":
            return seal_ascii(b":" + (answer + b"\0").hex().encode() + b"\r\n")
        return answer + crc16(answer)


def modbus_checks(framing: str) -> tuple[Sound, Seal] | tuple[None, None]:
    """Modbus TCP has no checksum of its own."""
    checks: dict[str, tuple[Sound, Seal]] = {"rtu": (sound_rtu, seal_rtu), "ascii": (sound_ascii, seal_ascii)}
    return checks.get(framing, (None, None))


# --------------------------------------------------------------------------------------------------------- the list


def all_targets(only: str = "") -> list[Target]:
    """Everything there is, found by listing; ``only`` is a driver's name."""
    targets: list[Target] = []
    for name in drivers.names():
        if only in ("", name):
            targets += _of_driver(name, drivers.find(name))
    for path in sorted((PROJECT / "config/devices").glob("*.toml")):
        profile = Profile.model_validate(tomllib.loads(path.read_text("utf-8")))
        if only in ("", profile.driver):
            targets += _of_profile(path.stem, profile)
    return targets


def _of_driver(name: str, module: ModuleType) -> list[Target]:
    """A driver's own vectors, as bytes to its ``decode``; and devices that no profile describes."""
    targets = []
    raws = [raw for raw, _ in getattr(module, "VECTORS", ()) if isinstance(raw, bytes)]
    if raws and hasattr(module, "decode"):
        seal = CHECKED.get(name, (None, None))[1]
        targets.append(Target(f"{name}.decode", name, seeds=raws, decode=module.decode, seal=seal))
    if name == "modbus":
        targets += [_modbus(framing) for framing in ("rtu", "ascii", "tcp")]
    if name == "line":
        targets.append(_line())
    if name == "frames":
        targets.append(_frames())
    return targets


def _spec(driver: str, points: Mapping[str, Any], address: int | str = 1, **options: object) -> DeviceSpec:
    line = LineSettings(name="l", serial=Path("/dev/null"))
    made = {name: PointSettings.model_validate(point) for name, point in points.items()}
    device = DeviceSettings(name="d", line="l", driver=driver, address=address, points=made)
    spec = resolve_device(device, line, None).spec
    return DeviceSpec(spec.name, driver, address, LineKind.SERIAL, spec.points, options)


def _device(name: str, spec: DeviceSpec) -> Target:
    module = drivers.find(spec.driver)
    if not getattr(module, "CALLS", False):
        return Target(name, spec.driver, lambda: module.make(spec), frozenset(spec.points))
    sound, seal = STATIONS[spec.driver]
    made = lambda: Calling(module.make(spec), sound)  # noqa: E731 - as above
    return Target(name, spec.driver, made, frozenset(spec.points), speaks=True, seal=seal)


def _modbus(framing: str) -> Target:
    """Every type and order, and every table."""
    at = 0
    points: dict[str, dict[str, Any]] = {
        "coil": {"at": "coil:3", "type": "bool"},
        "bits": {"at": "discrete:8", "type": "bits", "length": 9},
    }
    for kind, size in (("int16", 1), ("uint32", 2), ("float32", 2), ("int64", 4), ("float64", 4), ("bcd", 2)):
        for order in ("ABCD", "CDAB"):
            points[f"{kind}-{order.lower()}"] = {"at": f"holding:{at}", "type": kind, "order": order}
            if kind == "bcd":
                points[f"{kind}-{order.lower()}"]["length"] = size
            at += size
    points["text"] = {"at": f"input:{at}", "type": "string", "length": 4}
    points["decimals"] = {"at": "input:100"}
    points["level"] = {"at": "input:101", "decimals": "decimals", "valid": [0, 1000]}
    registers = {number: (number * 257 + 0x1234) & 0x7777 for number in range(200)} | {100: 2}
    target = _device(f"modbus {framing}", _spec("modbus", points, framing=framing))
    target.answer = Registers(registers, framing)
    target.sound, target.seal = modbus_checks(framing)
    return target


def _line() -> Target:
    options = {"separator": ",", "begin": "#", "mark": "*", "checksum": "xor", "request": "?\r"}
    points = {
        "level": {"at": "1", "unit": "m"},
        "state": {"at": "2", "type": "string"},
        "on": {"at": "3", "type": "bool"},
    }
    target = _device("line with checksum", _spec("line", points, **options))
    body = b"0012.34,fine,1"
    target.answer = lambda _question: b"#" + body + b"*" + xor8(body).hex().encode() + b"\r\n"

    def sound(data: bytes) -> Iterable[bytes]:
        for line in data.split(b"\r\n"):
            for at in (at for at, byte in enumerate(line) if byte == 0x23):
                inside, star, digits = line[at + 1 :].rpartition(b"*")
                if star and digits.lower() == xor8(inside).hex().encode():
                    yield line[at:] + b"\r\n"

    def seal(frame: bytes) -> bytes:
        inside = frame.strip(b"#\r\n").rpartition(b"*")[0]
        return b"#" + inside + b"*" + xor8(inside).hex().encode() + b"\r\n"

    target.sound, target.seal = sound, seal
    return target


def _frames() -> Target:
    options = {"header": "AA 55", "length": 12, "checksum": "crc16", "checksum_from": 2, "request": "01"}
    points = {"a": {"at": "2"}, "b": {"at": "4", "type": "int32"}, "c": {"at": "8", "type": "bool", "bit": 3}}
    target = _device("frames with crc16", _spec("frames", points, **options))
    body = bytes.fromhex("1234 89ABCDEF 08 00")
    target.answer = lambda _question: b"\xaa\x55" + body + crc16(body)
    target.sound, target.seal = of_frames(options)
    return target


def _of_profile(name: str, profile: Profile) -> list[Target]:
    targets = []
    for number, vector in enumerate(profile.vector):
        raw = [bytes.fromhex(frame) for frame in vector.frames]
        address = vector.address if vector.address is not None else raw[0][0] if raw else 1
        line = LineSettings(name="l", serial=Path("/dev/null"))
        spec = resolve_device(DeviceSettings(name="d", line="l", profile="x", address=address), line, profile).spec
        whole = bool(raw) and profile.driver == "modbus"
        target = _device(f"{name}-{number}", spec)
        target.points = frozenset(spec.points) if whole else frozenset(vector.expect)
        framing = str(spec.options.get("framing", "rtu"))
        if profile.driver in CHECKED:
            target.sound, target.seal = CHECKED[profile.driver]
        if profile.driver == "modbus":
            target.sound, target.seal = modbus_checks(framing)
        if profile.driver == "frames":
            target.sound, target.seal = of_frames(profile.options)
        if vector.registers:
            registers: dict[int, int] = {}
            for at, words in vector.registers.items():
                start = int(at.partition(":")[2], 0)
                registers.update(zip(range(start, start + len(words)), words, strict=True))
            target.answer = Registers(registers, framing)
        elif target.speaks or (target.make is not None and getattr(target.make(), "free_running", False)):
            target.speaks, target.seeds = True, raw
        else:
            target.answer = Tape(raw)
        targets.append(target)
    return targets


def is_good(value: PointValue) -> bool:
    """Whether it would be believed."""
    return value.quality == "good"
