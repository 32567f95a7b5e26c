"""Names a device that speaks by itself: plays what was heard to every profile that only listens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import drivers
from gateway.contract import ConfigError, DeviceError, DeviceSilentError
from gateway.scan.fingerprint import Sheet
from gateway.scan.found import Candidate, Found
from gateway.scan.talking import Talk
from gateway.settings import DeviceSettings, LineSettings
from gateway.settings.resolve import resolve_device

DRIVERS = ("nmea", "line", "frames")
POINT_BITS = 6.0  # a point of a message that has the profile's form and checksum
LEAST_FRACTION = 0.5
STRETCH = 256


class _Replay:
    """A pipe that says again what was heard."""

    def __init__(self, data: bytes) -> None:
        self._chunks = [data[at : at + STRETCH] for at in range(0, len(data), STRETCH)]

    async def write(self, data: bytes) -> None:
        """Nobody is there to be asked."""

    async def read(self, at_most: int = 4096) -> bytes:
        """The next bytes."""
        if not self._chunks:
            raise DeviceSilentError("all was said")
        return self._chunks.pop(0)

    async def drain_input(self) -> bytes:
        """Nothing came before."""
        return b""


async def name_talker(talk: Talk, sheets: Sequence[Sheet]) -> Found:
    """What was heard as a device, with the profiles that understand it, the best first."""
    driver = {"nmea": "nmea", "text": "line"}.get(talk.kind, "frames")
    found = Found(driver, 1, talk.serial, sample=talk.data)
    for sheet in sheets if talk.kind else ():
        if sheet.profile.driver in DRIVERS and (candidate := await _candidate(sheet, talk)) is not None:
            found.candidates.append(candidate)
    found.candidates.sort(key=lambda one: (-one.bits, one.profile))
    if found.candidates:
        names = {sheet.name: sheet.profile.driver for sheet in sheets}
        found.driver = names[found.candidates[0].profile]
    found.remarks.append(f"speaks by itself: {talk.sample}")
    return found


async def _candidate(sheet: Sheet, talk: Talk) -> Candidate | None:
    profile = sheet.profile
    line = LineSettings(name="scan", serial=Path("/dev/null"))
    device = DeviceSettings(name="heard", line="scan", profile=sheet.name)
    spec = resolve_device(device, line, profile).spec
    try:
        driver = drivers.find(spec.driver).make(spec)
    except (ConfigError, KeyError):
        return None
    if not getattr(driver, "free_running", False):
        return None
    values = {}
    for name in spec.points:  # each alone: a station seldom sends all that its profile knows
        try:
            values.update(await driver.read(_Replay(talk.data), frozenset({name})))
        except DeviceError:
            continue
    good = {name: value for name, value in values.items() if value.quality == "good"}
    fraction = len(good) / len(spec.points)
    if fraction < LEAST_FRACTION or any(value.reason == "out_of_range" for value in values.values()):
        return None
    units = {name: point.unit for name, point in spec.points.items()}
    return Candidate(
        sheet.name, profile.model, profile.family, profile.every, POINT_BITS * len(good), fraction, good, units,
        profile.serial, dict(profile.options),
    )  # fmt: skip
