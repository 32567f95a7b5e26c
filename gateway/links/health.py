"""How the devices of a line answer: times, errors by kind, and what a pattern of damage means, in words with a fix."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from gateway.links.faint import Faint
from gateway.metrics import DEVICE_ERRORS

WINDOW = 16  # transactions of a device that are looked at
SEEN = 4  # damaged ones among them before anything is named: a spark is no fault
MANY = 0.25  # share of damaged answers by which a line, or what is left of it, counts as disturbed
HEARD_WELL = 8  # answers of the other devices, of which so few may be damaged:
FEW = 0.05
ECHOES = 5  # questions in a row that came back
ANSWERS = 8  # until the time that a device takes is known
FADES = 0.02
DAMAGE = frozenset({"crc", "damaged", "cut"})
GATEWAY = "gateway_target"  # its answer comes from a gateway, and says nothing of how long the device takes
SILENCE = frozenset({"timeout", GATEWAY})
GOOD, TWICE = "", "twice"
FLAWS = DAMAGE | {TWICE}


class Trouble(NamedTuple):
    """A fault with its short code and a sentence whose advice stands behind the last semicolon."""

    reason: str
    sentence: str


class Tally:
    """One device on its line: what became of its transactions, and how long they took."""

    def __init__(self, name: str, faint: Faint | None = None) -> None:
        self.name = name
        self.address = ""
        self._faint = faint or Faint()
        self.recent: deque[str] = deque(maxlen=WINDOW)
        self.flaws = 0  # damaged or doubled answers in the window
        self.misses = 0  # questions in a row without any answer
        self.with_line = False  # silent together with all the others, so that nothing is said against itself
        self.welcome = False  # as ``with_line``, and the others have been heard again
        self.slowest = 0.0  # seconds from question to first byte; forgets slowly
        self._errors: Counter[str] = Counter()
        self._count = self._answers = 0
        self._seconds = self._worst = 0.0

    def add(self, kind: str, seconds: float, latency: float) -> None:
        """Count a transaction: ``kind`` is "" or the reason of its error, ``latency`` 0 when nothing came."""
        self._count += 1
        self._seconds += seconds
        if seconds > self._worst:
            self._worst = seconds
        recent = self.recent
        if self.flaws and len(recent) == WINDOW and recent[0] in FLAWS:
            self.flaws -= 1
        recent.append(kind)
        if kind in DAMAGE:
            self.flaws += 1
        if latency and kind != GATEWAY:
            self._answers += 1
            self.slowest = max(latency, self.slowest - FADES * (self.slowest - latency))
        if kind:
            self._errors[kind] += 1
            DEVICE_ERRORS.labels(self.name, kind).inc()

    def spoke_twice(self) -> None:
        """Something that looks like a second answer followed the last one."""
        if self.recent and self.recent[-1] == GOOD:
            self.recent[-1] = TWICE
            self.flaws += 1

    def hurt(self) -> None:
        """One answer was damaged in a transaction that brought others."""
        self._faint.hurt(self.name)

    @property
    def learned(self) -> float | None:
        """Seconds that it takes to answer at the slowest; None until that is known."""
        return self.slowest if self._answers >= ANSWERS else None

    @property
    def proven(self) -> bool:
        """Whether it has ever answered."""
        return self._answers > 0

    @property
    def damaged(self) -> int:
        """Damaged answers in the window."""
        return sum(kind in DAMAGE for kind in self.recent)

    @property
    def heard(self) -> int:
        """Answers of any kind in the window."""
        return sum(kind not in SILENCE for kind in self.recent)

    def view(self) -> dict[str, Any]:
        """What status shows."""
        return {
            "transactions": self._count,
            "mean_ms": round(1000 * self._seconds / self._count, 1) if self._count else None,
            "worst_ms": round(1000 * self._worst, 1) if self._count else None,
            "answers_in_ms": round(1000 * self.slowest, 1) if self._answers else None,
            "errors_by_kind": dict(sorted(self._errors.items())),
            "with_line": self.with_line,
        }


class LineHealth:
    """All devices of a line together: one that is garbled alone is another fault than all that are."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tallies: dict[str, Tally] = {}
        self.faint = Faint()
        self._echoes = 0

    def tally(self, device: str) -> Tally:
        """Return the tally of a device, made at its first use."""
        tally = self._tallies.get(device)
        if tally is None:
            tally = self._tallies[device] = Tally(device, self.faint)
        return tally

    def echoed(self, whole: bool) -> None:
        """Note whether the last question came back word for word."""
        self._echoes = self._echoes + 1 if whole else 0

    @property
    def echoes(self) -> bool:
        """Whether the line repeats what is sent."""
        return self._echoes >= ECHOES

    def trouble(self, device: str) -> Trouble | None:
        """Name what is wrong between this device and us, if its answers show a pattern."""
        return self._plain(device) or self._slight(device)

    def _slight(self, device: str) -> Trouble | None:
        """Noise that only many exchanges show."""
        if not self.faint.named or not self.faint.suffers(device):
            return None
        whose = self.faint.whose()
        if whose:
            return self._own_noise(self.tally(device), *self._counted(device)) if whose == device else None
        return Trouble("noise", self._noise(*self._counted(""), self.faint.devices))

    def _counted(self, device: str) -> tuple[int, int]:
        share = self.faint.share(device)
        return share.hurt, share.asked

    def _plain(self, device: str) -> Trouble | None:
        """What the last answers show by themselves."""
        mine = self.tally(device)
        if mine.flaws < SEEN:
            return self._deaf(mine)
        if sum(kind == TWICE for kind in mine.recent) >= SEEN:
            return Trouble(
                "collision",
                f"two answers come to one question: two devices on line {self._name} have {_address(mine)}; "
                "disconnect one of them and give the other another address",
            )
        damaged, heard = mine.damaged, mine.heard
        if damaged < SEEN:
            return None
        cut = sum(kind == "cut" for kind in mine.recent)
        if 2 * cut > damaged:
            return Trouble(
                "half_frames",
                f"{damaged} of its last {heard} answers break off in the middle; "
                "raise the packet interval of the serial server, or check the adapter's switching of direction",
            )
        others = [tally for name, tally in self._tallies.items() if name != device]
        well, bad = sum(tally.heard for tally in others), sum(tally.damaged for tally in others)
        if well >= HEARD_WELL and bad <= FEW * well and 2 * damaged > heard:
            return Trouble(
                "collision",
                f"{damaged} of its last {heard} answers are garbled while the rest of line {self._name} is heard well: "
                f"probably two devices have {_address(mine)}; disconnect one, or check this device's own cable",
            )
        if well >= HEARD_WELL and bad > MANY * well:
            return Trouble("noise", self._noise(*_sums([mine, *others])))
        if damaged <= MANY * heard or (others and well < HEARD_WELL):
            return None  # a spark now and then, or nobody to compare with yet
        return self._own_noise(mine, damaged, heard)

    def _own_noise(self, mine: Tally, damaged: int, heard: int) -> Trouble:
        alone = "" if len(self._tallies) > 1 else f", or two devices have {_address(mine)}"
        return Trouble(
            "noise",
            f"{damaged} of its last {heard} answers are damaged; "
            f"check this device's cable, terminals, speed and format{alone}",
        )

    def _deaf(self, mine: Tally) -> Trouble | None:
        if not (self.echoes and mine.recent and mine.recent[-1] in SILENCE):
            return None
        return Trouble(
            "timeout",
            "only the echo of our own question comes back; check its power and address, and the wires A and B "
            "between it and the adapter",
        )

    def troubles(self) -> list[Trouble]:
        """Name what is wrong with the line as a whole."""
        found = []
        tallies = list(self._tallies.values())
        disturbed = [tally for tally in tallies if tally.damaged >= SEEN]
        if len(disturbed) > 1 and sum(tally.damaged for tally in tallies) > MANY * sum(
            tally.heard for tally in tallies
        ):
            found.append(Trouble("noise", self._noise(*_sums(tallies))))
        elif self.faint.whose() == "":
            found.append(Trouble("noise", self._noise(*self._counted(""), self.faint.devices)))
        if self.echoes:
            found.append(
                Trouble(
                    "echo",
                    f"line {self._name} repeats every question: it is passed over and does no harm but takes time; "
                    "switch the adapter's echo off (two-wire mode)",
                )
            )
        return found

    def _noise(self, damaged: int, heard: int, devices: int) -> str:
        return (
            f"noise on line {self._name}: {damaged} of the last {heard} answers of {devices} devices are damaged; "
            "check its termination (120 ohms at both ends only), the earth of its shield, its way along power cables, "
            "and its speed"
        )


def _sums(tallies: Iterable[Tally]) -> tuple[int, int, int]:
    tallies = [tally for tally in tallies if tally.damaged]
    return sum(tally.damaged for tally in tallies), sum(tally.heard for tally in tallies), len(tallies)


def _address(tally: Tally) -> str:
    return f"the address {tally.address}" if tally.address else "this address"
