"""What one device takes: how much in one request, and across which addresses it does not read; kept over restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drivers.modbus.address import Table
from drivers.modbus.planning import Block, Limits, cut_of

Cut = tuple[Table, int]
KINDS = ("registers", "bits")


class Learned:
    """Two ways to explain a refused block: it is too long, or it reaches across a hole.

    Too long fits when the block has no gap and its pieces are all read. A length is believed only while every block
    that was read is shorter than every one that was refused; the true limit is then closed in from both sides.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.cuts: set[Cut] = set()
        self._taken = dict.fromkeys(KINDS, 0)  # longest that was read
        self._refused: dict[str, int] = {}  # shortest that was refused for its length, as far as we can tell
        self._open: dict[Cut, Block] = {}  # cuts of this read that a length would explain as well
        self._told: dict[str, Any] | None = None
        self._used = limits  # what the plans in use were made with

    @property
    def limits(self) -> Limits:
        """What to plan with: half way between what is known to go and what is known not to."""
        found = {}
        for kind, refused in self._refused.items():
            taken = self._taken[kind]
            most = getattr(self._limits, kind)  # may have been lowered since that was learned
            found[kind] = min(most, max(1, taken + (refused - taken) // 2 if refused - taken > 1 else taken))
        return replace(self._limits, **found)

    def read(self, block: Block) -> None:
        """The device gave this block."""
        kind, size = _kind(block), block.span.size
        if size <= self._taken[kind] or len(block.requests) > 1:
            return
        self._taken[kind] = size
        if size >= self._refused.get(kind, size + 1):
            del self._refused[kind]  # it was not the length
            self._told = None

    def divide(self, block: Block) -> bool:
        """The device refused this block: remember where not to read across; False when it is one point's alone."""
        cut = cut_of(block)
        if cut is None:
            self._open.clear()  # one point alone is refused: a hole explains it all
            return False
        self.cuts.add(cut)
        if _has_no_gap(block):
            self._open[cut] = block
        self._told = None
        return True

    def doubt(self) -> None:
        """Something was not read for another reason: no telling what was too long."""
        self._open.clear()

    def settle(self) -> bool:
        """End of a read: blame the length for what was divided, where that fits. True when plans are out of date."""
        if not self._open and not self._refused and self._used is self._limits:
            return False
        for cut, block in self._open.items():
            kind, size = _kind(block), block.span.size
            if size > self._taken[kind] > 0:
                self._refused[kind] = min(size, self._refused.get(kind, size))
                self.cuts.discard(cut)
                self._told = None
        self._open.clear()
        before, self._used = self._used, self.limits
        if self._used != before:
            self._told = None
        return self._used != before

    def tell(self) -> Mapping[str, Any]:
        """All of it, as JSON; the same object until something was learned."""
        if self._told is None:
            self._told = {
                "cuts": [[table.name, at] for table, at in sorted(self.cuts)],
                "taken": {kind: self._taken[kind] for kind in self._refused},
                "refused": dict(self._refused),
            }
        return self._told

    def recall(self, known: Mapping[str, Any]) -> None:
        """Take over what an earlier run told; what makes no sense is passed over."""
        cuts, taken, refused = known.get("cuts", ()), known.get("taken", {}), known.get("refused", {})
        for cut in cuts if isinstance(cuts, list) else ():
            if isinstance(cut, list) and len(cut) == 2 and isinstance(cut[0], str) and isinstance(cut[1], int):
                self.cuts.update((table, cut[1]) for table in Table if table.name == cut[0])
        if isinstance(taken, dict) and isinstance(refused, dict):
            for kind in KINDS:
                least, most = taken.get(kind), refused.get(kind)
                if isinstance(least, int) and isinstance(most, int) and 0 < least < most:
                    self._taken[kind], self._refused[kind] = least, most
        self._told = None


def _kind(block: Block) -> str:
    return "bits" if block.span.table.of_bits else "registers"


def _has_no_gap(block: Block) -> bool:
    end = block.span.start
    for span in block.wanted:
        if span.start > end:
            return False
        end = max(end, span.end)
    return True
