"""Compares a device that was found with the profiles: which of them can be read whole, and how much that says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import drivers
from drivers._points import FLOATS, INTEGERS, SIGNED
from drivers.modbus.address import parse_at
from gateway.contract import ConfigError, DeviceError, DeviceSilentError, Driver, Pipe, Point, PointValue
from gateway.scan.found import Candidate, Found
from gateway.scan.modbus import ILLEGAL, Hailer, Spot
from gateway.scan.wire import Wire
from gateway.settings import DeviceSettings, LineSettings, Profile
from gateway.settings.profiles import Profiles
from gateway.settings.resolve import ResolvedDevice, resolve_device

NEUTRAL = frozenset({"not_available"})  # the device has the point and no value for it now
MOST_BITS = 8.0  # that one point may say
WEAK = 0.5  # a zero fits nearly everything
TEXT_BITS, FLOAT_BITS, SMALL_BITS, BARE_BITS = 6.0, 5.0, 3.0, 0.3
SETTINGS_BITS = 2.0  # the profile's own speed and format
SAMPLES = 3  # points that are tried before a whole profile is read
METER_BITS = 3.0  # a point of a meter whose protocol names it
LEAST_FRACTION = 0.5  # of a meter's points; what tariffs it lacks it refuses
KEPT = 5
PLAUSIBLE = (1e-4, 1e9)
MOST_PLACES = 5  # decimals that a device tells of its own value
MBUS_MEDIA = {0x04: "heat", 0x0C: "heat", 0x0D: "heat", 0x06: "water", 0x07: "water", 0x15: "water", 0x16: "water"}


@dataclass(frozen=True)
class Sheet:
    """A profile with its name."""

    name: str
    profile: Profile


def sheets(profiles: Profiles) -> list[Sheet]:
    """All profiles that can be used."""
    found = []
    for name in profiles.names():
        try:
            profile, _, _ = profiles.find(name)
        except ConfigError:
            continue  # `linli check` says what is wrong with it
        if profile is not None:
            found.append(Sheet(name, profile))
    return found


class _Memory:
    """A pipe that asks no question twice: many profiles begin with the same one."""

    def __init__(self, known: dict[bytes, bytes], framing: str) -> None:
        self._known = known
        self._skip = 2 if framing == "tcp" else 0  # the transaction is another one each time
        self._pipe: Pipe | None = None
        self._asked = b""
        self._head = b""
        self._heard = bytearray()
        self._replay = b""

    def lent(self, pipe: Pipe) -> _Memory:
        """Use this pipe from now on."""
        self._pipe = pipe
        return self

    async def write(self, data: bytes) -> None:
        """Send, unless the answer is known."""
        self._keep()
        self._head, self._asked = data[: self._skip], data[self._skip :]
        self._replay = self._known.get(self._asked, b"")
        if self._asked not in self._known and self._pipe is not None:
            await self._pipe.write(data)

    async def read(self, at_most: int = 4096) -> bytes:
        """Read, from memory first."""
        if self._asked in self._known or self._pipe is None:
            if not self._replay:
                raise DeviceSilentError("silent before")
            data, self._replay = self._head + self._replay[self._skip :], b""
            return data
        try:
            data = await self._pipe.read(at_most)
        except DeviceSilentError:
            if not self._heard:
                self._known[self._asked] = b""
            raise
        self._heard.extend(data)
        return data

    async def drain_input(self) -> bytes:
        """Throw away what came unasked."""
        return await self._pipe.drain_input() if self._pipe is not None else b""

    def _keep(self) -> None:
        if self._heard:
            self._known[self._asked] = bytes(self._heard)
            self._heard.clear()


class Comparison:
    """Compares devices on one line with all profiles."""

    def __init__(self, wire: Wire, hailers: Mapping[tuple[object, ...], Hailer], all_sheets: Sequence[Sheet]) -> None:
        self._wire = wire
        self._hailers = hailers
        self._sheets = all_sheets

    async def compare(self, found: Found) -> None:
        """Fill in ``candidates``, the best first; a device that fits none keeps none."""
        known: dict[bytes, bytes] = {}
        spots: dict[Spot, bool] = {}
        dead: set[int] = set()
        candidates = []
        for sheet in self._sheets:
            if sheet.profile.driver != found.driver or not _fits_kind(sheet.profile, found):
                continue
            resolved = _resolved(sheet, found)
            if resolved is None:
                continue
            device, driver = resolved
            if found.driver == "modbus" and not await self._samples(found, device, spots, dead):
                continue
            values = await self._read(found, device, driver, _Memory(known, found.framing))
            if values is not None and (candidate := _candidate(sheet, device, values, found)) is not None:
                candidates.append(candidate)
        # Of those that say equally much, the one that leaves least of the device unread: contacts prove nothing singly.
        ranked = sorted(candidates, key=lambda one: (-one.weight, -len(one.values), one.profile))
        found.candidates = ranked[:KEPT]
        if found.driver == "modbus":
            found.readable = found.readable or next((str(spot) for spot, sound in spots.items() if sound), "")

    async def _samples(self, found: Found, device: ResolvedDevice, spots: dict[Spot, bool], dead: set[int]) -> bool:
        """Try a few points alone: most profiles fall out here, with one question or none."""
        hailer = self._hailers[found.framing, found.serial]
        points = sorted(device.spec.points.values(), key=lambda point: parse_at(point.at))
        middle = len(points) // 2
        for point in dict.fromkeys(points[index].at for index in (0, -1, middle)):
            table, start = parse_at(point)
            spot = Spot(int(table), start)
            if spot.function in dead:
                return False
            if spot not in spots:
                heard = await hailer.hail(int(found.address), spot)
                answers = heard.of(int(found.address))
                spots[spot] = any(not answer.code for answer in answers)
                if any(answer.code == ILLEGAL[0] for answer in answers):
                    dead.add(spot.function)
            if not spots[spot]:
                # Some devices refuse half a number: that is judged when the whole profile is read.
                whole = next(one for one in points if one.at == point)
                if not await self._whole(hailer, found, whole, spots):
                    return False
        return True

    async def _whole(self, hailer: Hailer, found: Found, point: Point, spots: dict[Spot, bool]) -> bool:
        from drivers.modbus.address import locate

        span = locate(point)
        if span.size == 1:
            return False
        spot = Spot(int(span.table), span.start, span.size)
        if spot not in spots:
            answers = (await hailer.hail(int(found.address), spot)).of(int(found.address))
            spots[spot] = any(not answer.code for answer in answers)
        return spots[spot]

    async def _read(
        self, found: Found, device: ResolvedDevice, driver: Driver, memory: _Memory
    ) -> Mapping[str, PointValue] | None:
        points = frozenset(device.spec.points)
        timeout = max(0.1, 3 * found.seconds) if found.driver == "modbus" else max(device.timeout, 3 * found.seconds)

        async def work(pipe: Pipe) -> Mapping[str, PointValue]:
            return await driver.read(memory.lent(pipe), points)

        try:
            return await self._wire.lend(work, timeout=timeout, serial=found.serial)
        except DeviceError:
            return None


def _resolved(sheet: Sheet, found: Found) -> tuple[ResolvedDevice, Driver] | None:
    serial, network = LineSettings(name="scan", serial=Path("/dev/null")), LineSettings(name="scan", tcp="a:1")
    line = serial if found.serial else network
    try:
        device = DeviceSettings(
            name="found", line="scan", profile=sheet.name, address=found.address,
            framing=found.framing or None,  # type: ignore[arg-type]
        )  # fmt: skip
        resolved = resolve_device(device, line, sheet.profile)
        return resolved, drivers.find(resolved.spec.driver).make(resolved.spec)
    except (ConfigError, KeyError):
        return None  # needs an extra that is not installed, or is no sound profile


def _fits_kind(profile: Profile, found: Found) -> bool:
    """Whether a meter's profile is of the meter's own kind, as far as its protocol tells."""
    if found.driver == "dlt645":
        is_1997 = all(len(point.at.replace("-", "").partition("+")[0]) == 4 for point in profile.points.values())
        return is_1997 == (found.options.get("edition") == 1997)
    if found.driver == "cjt188":
        return bool(profile.options.get("meter_type", 0x10) == found.options.get("meter_type"))
    if found.driver == "mbus" and (medium := MBUS_MEDIA.get(found.options.get("medium", -1))):
        return medium in profile.family
    return True


def _candidate(
    sheet: Sheet, device: ResolvedDevice, values: Mapping[str, PointValue], found: Found
) -> Candidate | None:
    unread = [value for value in values.values() if value.quality != "good" and value.reason not in NEUTRAL]
    fraction = 1 - len(unread) / len(values)
    if found.driver == "modbus":
        if unread:
            return None
        bits = sum(_evidence(device.spec.points, values))
    else:
        if fraction < LEAST_FRACTION or any(value.reason == "out_of_range" for value in unread):
            return None
        bits = METER_BITS * (len(values) - len(unread))
    own = sheet.profile.serial
    if own is not None and found.serial is not None and own.baud == found.serial.baud:
        bits += SETTINGS_BITS
    return Candidate(
        sheet.name, sheet.profile.model, sheet.profile.family, sheet.profile.every, bits, fraction, dict(values),
        {name: point.unit for name, point in device.spec.points.items()}, own, dict(sheet.profile.options),
    )  # fmt: skip


def _evidence(points: Mapping[str, Point], values: Mapping[str, PointValue]) -> Iterator[float]:
    """Yield what each point says. A second one of the same kind says half: what looks like one looks like all."""
    places = {point.decimals for point in points.values() if point.decimals}
    alike: Counter[tuple[object, ...]] = Counter()
    for name, value in values.items():
        if name in places:
            yield SMALL_BITS if value.value in range(1, MOST_PLACES) else WEAK
            continue
        point = points[name]
        decimals = values[point.decimals].value if point.decimals else 0
        kind = (point.type, point.unit, point.scale, point.valid)
        yield says(point, value, decimals if isinstance(decimals, int) else 0) / 2 ** alike[kind]
        alike[kind] += 1


def says(point: Point, value: PointValue, decimals: int = 0) -> float:
    """How many bits of evidence a good value is: how unlikely a register of something else would look like it."""
    if value.value is None or point.type == "bool":
        return 0.0
    if point.enum:
        code = next((int(code) for code, name in point.enum.items() if name == value.value), 0)
        return min(MOST_BITS, 16 - math.log2(len(point.enum))) if code else WEAK
    if point.type == "string":
        return TEXT_BITS if value.value else 0.0
    if not isinstance(value.value, int | float) or point.type not in INTEGERS | FLOATS:
        return 0.0
    if value.value in (0, point.offset):
        return WEAK
    if point.type in FLOATS:
        low, high = PLAUSIBLE
        plausible = FLOAT_BITS if low <= abs(value.value) <= high else 0.0
        return plausible + (SMALL_BITS if point.valid else 0.0)
    size = SIGNED.get(point.type) or (32 if point.type == "uint32" else 16)
    if point.valid is None or isinstance(point.ratio, str):
        return SMALL_BITS if size > 16 and abs(value.value) / point.scale < 2**24 else BARE_BITS
    share = (point.valid[1] - point.valid[0]) / abs(point.scale) * 10**decimals / 2**size
    return min(MOST_BITS, max(BARE_BITS, -math.log2(share))) if share > 0 else MOST_BITS
