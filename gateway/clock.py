"""The system's clock: wall time with its quality, monotonic time, and the one sleep of the gateway."""

import asyncio
import ctypes
import math
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.contract import TimeQuality

# Earlier than this, a wall clock was never set: the code did not exist yet.
PLAUSIBLE = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
CHECK_EVERY = 5.0
# systemd-timesyncd touches this file at every answer; it asks at least every 2048 s, and one answer may get lost.
TIMESYNCD = "run/systemd/timesync/synchronized"
TIMESYNCD_FRESH = 2 * 2048.0
FAR_BEHIND = 3600.0  # seconds off the newest record, or the clock chip: a clock that shows less has lost its time


class _Timex(ctypes.Structure):
    # struct timex of adjtimex(2); only `modes` is read here, the rest must have its size.
    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 252))


def kernel_synced() -> bool:
    """Ask adjtimex(2) whether the kernel's clock is synchronised; timesyncd, ntpd and chrony (rtcsync) tell it."""
    answer: int = ctypes.CDLL(None).adjtimex(ctypes.byref(_Timex()))
    return answer not in (-1, TIME_ERROR)


class SystemClock:
    """Reads the kernel's clocks; ``quality`` asks who keeps the time at most every few seconds.

    ``root`` and ``synced`` are the file system and the kernel's word, for those who bring their own.
    """

    def __init__(
        self, zone: str | None = None, root: Path = Path("/"), synced: Callable[[], bool] = kernel_synced
    ) -> None:
        self._zone: tzinfo | None = ZoneInfo(zone) if zone else None
        self._timesyncd = root / TIMESYNCD
        self._synced = synced
        self._root = root
        self._quality: TimeQuality = "unknown"
        self._was_synced = False
        self._least = PLAUSIBLE
        self._checked = -CHECK_EVERY

    def wall(self) -> int:
        """Nanoseconds since 1970, UTC; may step."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never step back."""
        return time.monotonic()

    def quality(self) -> TimeQuality:
        """``synced`` now, ``holdover`` when it was in this boot or a battery keeps it, else ``unknown``.

        A clock that was not synchronised in this boot and shows less than our newest record's time is not believed.
        """
        now = self.monotonic()
        if now - self._checked >= CHECK_EVERY:
            self._checked = now
            self._quality = self._judged()
        return self._quality

    def _judged(self) -> TimeQuality:
        wall = self.wall() / 1e9
        with suppress(OSError):
            # The file is in memory, so it is of this boot; the program that touched it had set the clock before.
            touched = self._timesyncd.stat().st_mtime
            self._was_synced = True
            if 0 <= wall - touched < TIMESYNCD_FRESH:
                return "synced"
        if self._synced():
            self._was_synced = True
            return "synced"
        kept = self._was_synced or (wall >= self._least and has_battery(self._root, wall))
        return "holdover" if kept else "unknown"

    @property
    def was_synced(self) -> bool:
        """Whether it was synchronised in this boot, as far as we know."""
        return self._was_synced

    def remember(self, newest: int, was_synced: bool) -> None:
        """Take over from an earlier run: the time of its newest record in ns, and whether it saw this boot synced."""
        self._least = max(PLAUSIBLE, newest / 1e9 - FAR_BEHIND)
        self._was_synced = self._was_synced or was_synced
        self._checked = -CHECK_EVERY

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait; returns at once for zero or less."""
        return asyncio.sleep(max(0.0, seconds))

    def rfc3339(self, time_ns: int) -> str:
        """Millisecond RFC 3339 text with the gateway's zone offset."""
        seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
        second, zone = _second_text(seconds, self._zone)
        return f"{second}.{nanoseconds // 1_000_000:03d}{zone}"


@lru_cache(maxsize=64)
def _second_text(seconds: int, zone: tzinfo | None) -> tuple[str, str]:
    text = datetime.fromtimestamp(seconds, UTC).astimezone(zone).isoformat()
    return text[:19], text[19:]


def has_battery(root: Path, wall: float) -> bool:
    """Tell whether something kept the time ``wall`` (seconds since 1970) while the power was off.

    A board with a device tree needs a clock chip that shows it: a Raspberry Pi 5 has the chip, but often no battery.
    Virtual machines and containers have neither tree nor chip, but take their time from a host that has one.
    """
    try:
        board = (root / "proc/device-tree/model").read_bytes()
    except OSError:
        return True
    return b"dummy-virt" in board or any(
        abs(_chip_time(chip) - wall) < FAR_BEHIND for chip in (root / "sys/class/rtc").glob("rtc*")
    )


def _chip_time(chip: Path) -> float:
    try:
        return float((chip / "since_epoch").read_text())
    except (OSError, ValueError):
        return -math.inf


def boot_id() -> str:
    """Return the kernel's id of this boot, or "" where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - procfs
            return file.read().strip()
    except OSError:
        return os.environ.get("INVOCATION_ID", "")
