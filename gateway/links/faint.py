"""Noise too faint for a glance at the last answers: judged by exchanges, so that slow meters count like quick ones."""

from __future__ import annotations

from dataclasses import dataclass

WORTH = 70  # sound exchanges that make up for a damaged one: below 1.4 % damage the score falls, above it rises
NAMED, MOST, CLEARED = 5 * WORTH, 6 * WORTH, 2 * WORTH
COMPARED = 100  # exchanges of the other devices, by which one that suffers alone is told
MUCH_LESS, CLEAN = 0.25, 0.007
OFTEN = 2  # damaged ones of a device until it is said of it as well


@dataclass(slots=True)
class Share:
    """What became of a device's questions since the score left zero."""

    asked: int = 0
    hurt: int = 0

    @property
    def rate(self) -> float:
        """Damaged ones among those that were asked."""
        return self.hurt / self.asked if self.asked else 0.0


class Faint:
    """The damage of one line, exchange by exchange. ``named``: it is no chance any more."""

    def __init__(self) -> None:
        self.score = 0
        self.named = False
        self._shares: dict[str, Share] = {}

    def sound(self, device: str, questions: int) -> None:
        """So many questions were answered well; costs nothing to leave out while ``score`` is 0."""
        self._share(device).asked += questions
        self.score -= questions
        if self.score <= (CLEARED if self.named else 0):
            self.score, self.named = 0, False
            self._shares.clear()

    def hurt(self, device: str, questions: int = 1) -> None:
        """One of so many questions got a damaged answer."""
        share = self._share(device)
        share.asked += questions
        share.hurt += 1
        self.score = min(MOST, self.score + WORTH)
        self.named = self.named or self.score >= NAMED

    def whose(self) -> str | None:
        """The device that suffers alone, "" for the whole line, None while nothing is named."""
        if not self.named:
            return None
        worst = max(self._shares, key=lambda device: self._shares[device].hurt)
        rest = self.share("", beside=worst)
        compared = rest.asked >= COMPARED and rest.rate <= min(CLEAN, MUCH_LESS * self._shares[worst].rate)
        return worst if rest.hurt == 0 or compared else ""

    @property
    def devices(self) -> int:
        """How many have got damaged answers."""
        return sum(share.hurt > 0 for share in self._shares.values())

    def suffers(self, device: str) -> bool:
        """Whether a device has its part in it."""
        share = self._shares.get(device)
        return share is not None and share.hurt >= OFTEN

    def share(self, device: str, *, beside: str = "") -> Share:
        """What became of the questions to a device; "" for all of them, but not those to ``beside``."""
        if device:
            return self._shares.get(device, Share())
        counted = [share for name, share in self._shares.items() if name != beside]
        return Share(sum(share.asked for share in counted), sum(share.hurt for share in counted))

    def _share(self, device: str) -> Share:
        share = self._shares.get(device)
        if share is None:
            share = self._shares[device] = Share()
        return share
