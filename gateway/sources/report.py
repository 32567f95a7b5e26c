"""What of a read becomes a record (always, on change with a deadband, at least every so often) and shows in status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.contract import PointValue
from gateway.settings import ReportSettings

SHORTEST_NAP = 0.1


class ReportPolicy:
    """Remembers what was recorded last, by point."""

    def __init__(self, reports: Mapping[str, ReportSettings], every: float) -> None:
        self._slack = every / 2  # polls come every so often: take the one nearest to ``at_least``
        self._reports = reports
        self._all = frozenset(reports)
        self._constant = all(report.on == "always" for report in reports.values())
        self._recorded: dict[str, tuple[PointValue, float]] = {}
        self._failure: str | None = None
        self._heartbeats = {name: report.at_least for name, report in reports.items() if report.at_least}

    @property
    def failing(self) -> bool:
        """True since the last read failed as a whole."""
        return self._failure is not None

    @property
    def has_heartbeat(self) -> bool:
        """True when some point has an ``at_least``."""
        return bool(self._heartbeats)

    def answered(self, points: Mapping[str, PointValue], now: float) -> frozenset[str]:
        """Return the points of an answered read that belong into its record."""
        self._failure = None
        if self._constant:
            return self._all if len(points) == len(self._all) else frozenset(points)
        wanted = [name for name, value in points.items() if self._is_due(name, value, now)]
        for name in wanted:
            self._recorded[name] = (points[name], now)
        return frozenset(wanted)

    def failed(self, points: Mapping[str, PointValue], reason: str, now: float) -> frozenset[str]:
        """Return the same for a read that failed as a whole: all at first and when the reason changes."""
        if reason == self._failure:
            return self.overdue(now)
        self._failure = reason
        self._recorded.update((name, (value, now)) for name, value in points.items())
        return frozenset(points)

    def overdue(self, now: float) -> frozenset[str]:
        """Return the points whose ``at_least`` has run out, and count them as recorded now."""
        due = frozenset(
            name
            for name, at_least in self._heartbeats.items()
            if name in self._recorded and now - self._recorded[name][1] >= at_least
        )
        for name in due:
            self._recorded[name] = (self._recorded[name][0], now)
        return due

    def next_overdue(self, now: float) -> float:
        """Seconds until a point's ``at_least`` may run out."""
        ends = (
            self._recorded[name][1] + at_least if name in self._recorded else now + at_least
            for name, at_least in self._heartbeats.items()
        )
        return max(SHORTEST_NAP, min(ends) - now)

    def _is_due(self, name: str, value: PointValue, now: float) -> bool:
        report = self._reports[name]
        if report.on == "always" or name not in self._recorded:
            return True
        last, at = self._recorded[name]
        if report.at_least is not None and now - at + self._slack >= report.at_least:
            return True
        if value[1:] != last[1:]:
            return True
        new, old = value.value, last.value
        if _is_number(new) and _is_number(old):
            # The tolerance keeps 0.3 - 0.2 from missing a deadband of 0.1.
            return new != old and abs(new - old) >= report.deadband * (1 - 1e-9)  # type: ignore[operator]
        return new != old


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def all_bad(points: frozenset[str], reason: str) -> dict[str, PointValue]:
    """What a read that failed as a whole gives."""
    bad = PointValue(None, "bad", reason)
    return dict.fromkeys(sorted(points), bad)


def shown(value: PointValue, unit: str, time: str, age: float) -> dict[str, Any]:
    """A value as status shows it; ``age`` in seconds."""
    row: dict[str, Any] = {"value": value.value, "unit": unit, "quality": value.quality, "time": time}
    if value.reason is not None:
        row["reason"] = value.reason
    return {**row, "age_s": round(age, 1)}
