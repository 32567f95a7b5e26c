"""When an entry of a plate list holds: from a day to a day, on days of the week, between hours."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from functools import lru_cache

ALWAYS = frozenset(range(7))
DAY = 24 * 60  # minutes
SEPARATORS = re.compile(r"[;/、，+|\s]+")
# What people write for a day, Monday first; ``days`` may also say the numbers 1 to 7.
DAYS: tuple[tuple[str, ...], ...] = (
    ("mon", "monday", "周一", "星期一", "1"),
    ("tue", "tuesday", "周二", "星期二", "2"),
    ("wed", "wednesday", "周三", "星期三", "3"),
    ("thu", "thursday", "周四", "星期四", "4"),
    ("fri", "friday", "周五", "星期五", "5"),
    ("sat", "saturday", "周六", "星期六", "6"),
    ("sun", "sunday", "周日", "周天", "星期日", "星期天", "7"),
)
NUMBER_OF = {word: number for number, words in enumerate(DAYS) for word in words}
GROUPS = {
    "weekdays": frozenset(range(5)),
    "工作日": frozenset(range(5)),
    "weekend": frozenset((5, 6)),
    "周末": frozenset((5, 6)),
    "daily": ALWAYS,
    "每天": ALWAYS,
}


@dataclass(frozen=True, slots=True)
class Validity:
    """From when (inclusive) to when (exclusive) an entry holds, seconds since 1970; open ends are infinite.

    ``days`` (0 is Monday) and ``hours`` (minutes of the day, from inclusive to exclusive) are local. Hours that end
    past midnight belong to the day on which they begin.
    """

    start: float
    end: float
    days: frozenset[int] = ALWAYS
    hours: tuple[tuple[int, int], ...] = ()

    @property
    def limited(self) -> bool:
        """Whether it does not hold at every time."""
        return self != Validity(float("-inf"), float("inf"))

    def holds(self, now: float, zone: tzinfo | None) -> bool:
        """Whether it holds at ``now`` (seconds since 1970), in the gateway's zone."""
        if not self.start <= now < self.end:
            return False
        if self.days == ALWAYS and not self.hours:
            return True
        local = datetime.fromtimestamp(now).astimezone(zone)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        for begin, end in self.hours or ((0, DAY),):
            if begin <= minute < end and today in self.days:
                return True
            if minute + DAY < end and (today - 1) % 7 in self.days:
                return True
        return False


@lru_cache(maxsize=1024)  # thousands of lines share a few dates
def moment(text: str, zone: tzinfo | None, *, end: bool) -> float:
    """Read a date (as an ``end``, the whole day counts) or a date-time, local where it has no offset; seconds."""
    plain = re.sub(r"[年月/.]", "-", text.strip()).rstrip("日")
    plain = re.sub(r"^(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", lambda m: f"{m[1]}-{m[2]:0>2}-{m[3]:0>2}", plain)
    plain = re.sub(r"([ T])(\d):", r"\g<1>0\2:", plain)
    try:
        found = datetime.fromisoformat(plain)
    except ValueError as error:
        raise ValueError("a date is written 2026-11-21 or 2026-11-21T08:00") from error
    if end and len(plain) <= 10:
        found = datetime.combine(found.date(), time()) + timedelta(days=1)
    if found.tzinfo is None and zone is not None:
        found = found.replace(tzinfo=zone)
    return found.astimezone().timestamp()


def days(text: str) -> frozenset[int]:
    """Read ``mon-fri``, ``sat;sun``, ``1-5``, ``周一-周五``; ValueError says how it is written."""
    found: set[int] = set()
    for part in filter(None, SEPARATORS.split(text.strip().lower())):
        if part in GROUPS:
            found |= GROUPS[part]
            continue
        ends = [NUMBER_OF.get(word) for word in re.split(r"[-~–至到]", part)]
        if not 1 <= len(ends) <= 2 or any(number is None for number in ends):
            raise ValueError("days are written mon-fri, or sat;sun")
        first, last = ends[0] or 0, ends[-1] or 0
        found |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    return frozenset(found) or ALWAYS


def hours(text: str) -> tuple[tuple[int, int], ...]:
    """Read ``08:00-18:00``, or several of them with ``;`` between; ValueError says how it is written."""
    found = []
    for part in filter(None, SEPARATORS.split(re.sub(r"\s*[-~–至到]\s*", "-", text.strip()))):
        match = re.fullmatch(r"(\d{1,2})[:：](\d\d)-(\d{1,2})[:：](\d\d)", part)
        if match is None:
            raise ValueError("hours are written 08:00-18:00")
        begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if begin >= DAY or end > DAY or int(match[2]) > 59 or int(match[4]) > 59 or begin == end:
            raise ValueError("hours go from 00:00 to 24:00, and end at another time than they begin")
        found.append((begin, end if end > begin else end + DAY))
    return tuple(found)
