"""Tells a cut wire from dead devices: who of a line is silent, and whether anybody has answered since."""

from __future__ import annotations

import logging

from gateway.contract import Clock, LineKind
from gateway.links.health import Tally, Trouble

log = logging.getLogger("linli.links")

MISSES = 2  # of a device that has answered before; one lost answer says nothing
TOGETHER = 2  # devices
LASTS = 10.0  # seconds without any answer, while some devices have not been asked yet


class Hush:
    """The silence of one line. ``missing`` devices did not answer their last question; ``whole``: nobody answers."""

    def __init__(self, name: str, kind: LineKind, address: str, clock: Clock) -> None:
        self.missing = 0
        self.whole = False
        self.since = 0  # of ``whole``, wall-clock nanoseconds
        self._name, self._clock = name, clock
        self._wire = f"what lies behind {address}"
        if kind is LineKind.SERIAL:
            self._wire = "wires A and B from the adapter to the first device, the adapter itself"
        self._mine: dict[str, Tally] = {}
        self._fresh: list[Tally] = []  # fell silent, and nobody has answered since
        self._fresh_since = 0.0

    def attach(self, tally: Tally) -> None:
        """One more device that should answer."""
        self._mine[tally.name] = tally

    def missed(self, tally: Tally) -> None:
        """A device was asked in vain."""
        if tally.name not in self._mine:
            return
        tally.misses += 1
        if tally.misses == 1:
            self.missing += 1
            if not self._fresh:
                self._fresh_since = self._clock.monotonic()
            self._fresh.append(tally)
        tally.with_line, tally.welcome = self.whole, False
        if not self.whole and self._is_whole():
            self.whole, self.since = True, self._clock.wall()
            for other in self._mine.values():
                other.with_line = other.misses > 0
            log.warning("%s", self._trouble().sentence)

    def spoke(self, tally: Tally) -> None:
        """A device answered, however badly."""
        if tally.name not in self._mine:
            return
        self._fresh.clear()
        if tally.misses:
            _forgive(tally)
            self.missing -= 1
        if self.whole:
            # Who has not been asked since is silent with the line still: its turn will tell.
            self.whole = False
            for other in self._mine.values():
                other.welcome = other.with_line
            log.info("line %s: %s answers again", self._name, tally.name)

    def reopened(self) -> None:
        """The line was down: nobody was asked."""
        self.missing, self.whole = 0, False
        self._fresh.clear()
        for tally in self._mine.values():
            _forgive(tally)

    def troubles(self) -> list[Trouble]:
        """The line's own fault, if it has this one."""
        return [self._trouble()] if self.whole else []

    def alone(self, device: str) -> Trouble | None:
        """Where one device is all there is, its silence may be the line's."""
        tally = self._mine.get(device)
        if tally is None or not tally.misses or len(self._mine) > 1:
            return None
        return Trouble(
            "timeout",
            f"no answer, and nobody else is on line {self._name} to tell whose fault it is; check its power, wiring, "
            f"address, speed and format, then the line: {self._wire}",
        )

    def _is_whole(self) -> bool:
        if len(self._mine) < TOGETHER:
            return False
        if self.missing == len(self._mine) and all(map(_is_silent, self._mine.values())):
            return True
        # Not by single misses: after a start, the dead ones may be asked first.
        together = sum(tally.misses >= MISSES for tally in self._fresh)
        return together >= TOGETHER and self._clock.monotonic() - self._fresh_since >= LASTS

    def _trouble(self) -> Trouble:
        proven = any(tally.proven for tally in self._mine.values())
        swapped = "" if proven else ", whether A and B are swapped, speed and format"
        return Trouble(
            "silent",
            f"nobody answers on line {self._name}{' any more' if proven else ''}: {self.missing} of its "
            f"{len(self._mine)} devices were asked in vain; check {self._wire}, and the devices' common power{swapped}",
        )


def _forgive(tally: Tally) -> None:
    tally.misses = 0
    tally.with_line = tally.welcome = False


def _is_silent(tally: Tally) -> bool:
    return tally.misses >= (MISSES if tally.proven else 1)
