"""The system's clock: wall time with its quality, monotonic time, and the one sleep of the gateway."""

import asyncio
import ctypes
import os
import time
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.contract import TimeQuality

# Earlier than this, a wall clock was never set: the code did not exist yet.
PLAUSIBLE = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
CHECK_EVERY = 5.0


class _Timex(ctypes.Structure):
    # struct timex of adjtimex(2); only `modes` is read here, the rest must have its size.
    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 252))


class SystemClock:
    """Reads the kernel's clocks; ``quality`` asks adjtimex(2) at most every few seconds."""

    def __init__(self, zone: str | None = None) -> None:
        self._zone: tzinfo | None = ZoneInfo(zone) if zone else None
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._quality: TimeQuality = "unknown"
        self._was_synced = False
        self._checked = -CHECK_EVERY

    def wall(self) -> int:
        """Nanoseconds since 1970, UTC; may step."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never step back."""
        return time.monotonic()

    def quality(self) -> TimeQuality:
        """``synced`` now, ``holdover`` when it was or is plausible, ``unknown`` when it cannot be trusted."""
        now = time.monotonic()
        if now - self._checked >= CHECK_EVERY:
            self._checked = now
            synced = self._libc.adjtimex(ctypes.byref(_Timex())) not in (-1, TIME_ERROR)
            self._was_synced = self._was_synced or synced
            plausible = time.time() > PLAUSIBLE
            self._quality = "synced" if synced else "holdover" if self._was_synced or plausible else "unknown"
        return self._quality

    async def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""
        await asyncio.sleep(max(0.0, seconds))

    def rfc3339(self, time_ns: int) -> str:
        """Millisecond RFC 3339 text with the gateway's zone offset."""
        seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
        second, zone = _second_text(seconds, self._zone)
        return f"{second}.{nanoseconds // 1_000_000:03d}{zone}"


@lru_cache(maxsize=64)
def _second_text(seconds: int, zone: tzinfo | None) -> tuple[str, str]:
    text = datetime.fromtimestamp(seconds, UTC).astimezone(zone).isoformat()
    return text[:19], text[19:]


def boot_id() -> str:
    """Return the kernel's id of this boot, or "" where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - procfs
            return file.read().strip()
    except OSError:
        return os.environ.get("INVOCATION_ID", "")
