"""The models of a running lane, changed between two frames: the new pack is loaded and tested beside the old one."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from gateway.vision.evidence import Pixels
from gateway.vision.packs import DETECTION, READING, SLOWER, Pack, PackError, choices, stamps
from gateway.vision.plates import FoundPlate, PlateRead
from gateway.vision.runtime import available, missing, reason
from gateway.vision.selftest import MISFITS, Opened, open_tested, ranked
from gateway.vision.shapes import Box
from gateway.vision.suspects import caught
from gateway.vision.troubles import Trouble

LOOK_AGAIN = 1.0  # seconds between looks at what is chosen
SAME = 0.3  # overlap from which two finds are one plate
PROBATION = 40  # looks after which a new pack is kept for good
FAULTS = 3  # looks of so many in which a pack may fail before it is put aside
AGAIN = (6 * 3600.0, 48 * 3600.0)  # seconds after which what does not work is tried again: first, and at most
TASKS = (DETECTION, READING)

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Seat:
    """Who does one task now, who did before while the new one is on trial, and what each costs (CPU s a look).

    ``now`` is None where nobody can do it.
    """

    now: Opened | None
    before: Opened | None = None
    slower: float = SLOWER
    looks: int = 0
    spent: float = 0.0
    usual: float = 0.0  # CPU of a look of the one before, measured at work
    faults: int = 0

    @property
    def cost(self) -> float:
        """Mean CPU of a look so far, 0 before the first."""
        return self.spent / self.looks if self.looks else 0.0


class LiveSight:
    """Finds and reads plates with the packs that are chosen; what is chosen anew takes over between two frames.

    A pack that does not load, fails on its golden picture, fails at work or takes ``slower`` times the CPU of the one
    before does not stay: the one before goes on, and ``trouble`` says so. So it does when a pack fails at work that was
    in use for long: another one goes on, or, without any, nothing is found until one works.
    """

    def __init__(
        self, folder: Path, providers: Sequence[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open what works; ``troubles`` say what does not."""
        self._folder, self._providers, self._clock = folder, tuple(providers), clock
        self._refused: dict[str, str] = {}  # by task: why what was chosen is not at work, and who is
        self._lacking: dict[str, PackError] = {}
        self._aside: set[str] = set()  # SHA-256 of packs that failed at work
        self._again = math.inf
        self._pause = AGAIN[0]
        self._anew = False  # what is being loaded was chosen anew, and what was said before is over
        self._missing = missing(self._providers)
        self._stamp = stamps(folder)
        self._seats = {task: Seat(self._first(task)) for task in TASKS}
        self._second = self._other_reader()
        self._second_faults = 0
        self._looked = clock()
        self._loading: threading.Thread | None = None
        self._loaded: list[tuple[str, Opened | None, float, PackError | None]] = []

    def _able(self, task: str) -> list[Pack]:
        return [pack for pack in ranked(self._folder, task) if pack.sha256 not in self._aside]

    def _open(self, pack: Pack) -> Opened:
        return open_tested(replace(pack, providers=self._providers))

    def _first(self, task: str) -> Opened | None:
        """The chosen pack; when that one does not work, the next one that does."""
        failed: PackError | None = None
        try:
            for pack in self._able(task):
                try:
                    opened = self._open(pack)
                except PackError as error:
                    failed = failed or error
                    continue
                if failed is not None and failed.reason == "models_refused":
                    self._refused[task] = f"{failed}; {opened.pack.title} does its work"
                    self._try_later()
                return opened
        except PackError as error:
            failed = error
        self._lack(task, failed)
        return None

    def _lack(self, task: str, error: PackError | None) -> None:
        none = PackError(f"no model pack for {task} in {self._folder}; run: linli model pull", "models_missing")
        error = error or none
        # That nobody else can do it says less than why the one that could was put aside.
        if task not in self._lacking or error.reason != "models_missing":
            self._lacking[task] = error
        self._try_later()

    def _try_later(self) -> None:
        """Once for all that does not work now: what fails again waits twice as long the next time."""
        if self._again == math.inf:
            self._again = self._clock() + self._pause
            self._pause = min(2 * self._pause, AGAIN[1])

    def _other_reader(self) -> Opened | None:
        now = self._seats[READING].now
        for pack in self._able(READING) if now is not None else ():
            if pack.present and now is not None and pack.name != now.pack.name:
                try:
                    return self._open(pack)
                except PackError:
                    continue  # a second opinion is no need
        return None

    # ------------------------------------------------------------------------------------------------- looking

    @property
    def names(self) -> dict[str, str]:
        """Name and version of the pack at work, by task."""
        return {task: seat.now.pack.title for task, seat in self._seats.items() if seat.now is not None}

    @property
    def sees(self) -> bool:
        """Whether there is a pack at work that finds plates."""
        return self._seats[DETECTION].now is not None

    @property
    def troubles(self) -> list[Trouble]:
        """Why chosen packs and providers are not at work."""
        found: list[Trouble] = []
        for lacking in self._lacking.values():
            fix = "" if "linli model" in str(lacking) else "; replace it, or choose another with: linli model use NAME"
            found.append((lacking.reason, f"{lacking}{fix}; until then passages come without plates"))
        # Why nobody does a task at all says why what was chosen does not.
        refused = (sentence for task, sentence in self._refused.items() if task not in self._lacking)
        found += [("models_refused", sentence) for sentence in refused]
        if self._missing:
            wanted, there = ", ".join(self._missing), ", ".join(available())
            sentence = f"[vision] providers wants {wanted}, which this onnxruntime does not have (it has: {there})"
            found.append(("provider", f"{sentence}; install an onnxruntime that has it, or change providers"))
        return found

    def find(self, picture: Pixels, region: Box, expected: float = 0.0, *, dark: bool = False) -> list[FoundPlate]:
        """Plates in a region of a BGR picture, in pixels of the whole; none while a pack is lacking.

        ``dark`` for black ones.
        """
        if self._lacking:
            return []
        return self._look(DETECTION, lambda model: model.find(picture, region, expected, dark=dark)) or []

    def search(self, picture: Pixels, region: Box) -> list[FoundPlate]:
        """As ``find``, both ways, for what must not be passed over; MISFITS when a look fails, or nobody can look."""
        seat = self._seats[DETECTION]
        if seat.now is None:
            raise RuntimeError("nobody looks for plates")
        return searched(seat.now.model, picture, region)

    def read(self, crop: Pixels) -> PlateRead | None:
        """Read a rectified plate under the grammar."""
        read: PlateRead | None = self._look(READING, lambda model: model.read(crop))
        return read

    def second(self, crop: Pixels) -> PlateRead | None:
        """The opinion of another, slower recogniser; None without one."""
        if self._second is None:
            return None
        try:
            read: PlateRead | None = self._second.model.read(crop)
        except MISFITS as error:
            caught()
            self._second_faults += 1
            if self._second_faults >= FAULTS:
                what = f"model pack {self._second.pack.name} fails at work: {reason(error)}"
                self._put_aside(self._second.pack, f"{what}; plates are read without its second opinion")
                self._second, self._second_faults = None, 0
            return None
        return read

    def _look(self, task: str, work: Callable[[Any], Answer]) -> Answer | None:
        """One look, which a pack that fails does not spoil; None when nobody can look."""
        seat = self._seats[task]
        if seat.now is None:
            return None
        try:
            answer = self._timed(seat, seat.now.model, work)
        except MISFITS as error:
            caught()
            why = f"fails at work: {reason(error)}"
            if seat.before is not None:
                self._roll_back(task, why, usable=False)
                return self._look(task, work)
            seat.faults += 1
            if seat.faults < FAULTS:
                return None
            self._go_without(task, seat.now.pack, why)
            return self._look(task, work)
        if seat.looks % PROBATION == 0:
            seat.faults = 0
        if seat.before is None:
            return answer
        if seat.usual and seat.looks >= PROBATION // 4 and seat.cost > seat.slower * seat.usual:
            self._roll_back(task, f"takes {seat.cost / seat.usual:.1f} times the CPU of the one before")
        elif seat.looks >= PROBATION:
            seat.before = None
        return answer

    def _go_without(self, task: str, pack: Pack, why: str) -> None:
        """A pack that was in use for long fails again and again: whoever can take its work does."""
        sentence = f"model pack {pack.name} {why}; it is put aside for some hours"
        other, self._second = (self._second, None) if task == READING else (None, self._second)
        self._put_aside(pack, f"{sentence}, and {other.pack.title} does its work" if other else sentence)
        self._seats[task] = Seat(other)
        if other is None:
            self._lacking[task] = PackError(f"{sentence} (another one: linli model use NAME)", "models_refused")
            self._start_loading()

    def _put_aside(self, pack: Pack, sentence: str) -> None:
        self._aside.add(pack.sha256)
        self._try_later()
        self._refused[pack.task] = f"{sentence}. Choose it again, or another one, with: linli model use NAME"

    @staticmethod
    def _timed(seat: Seat, model: Any, work: Callable[[Any], Answer]) -> Answer:  # noqa: ANN401 - by the task
        began = time.thread_time()
        answer = work(model)
        seat.looks += 1
        seat.spent += time.thread_time() - began
        return answer

    def _roll_back(self, task: str, why: str, *, usable: bool = True) -> None:
        seat = self._seats[task]
        if seat.before is not None and seat.now is not None:
            if self._second is seat.before:  # they had changed places
                self._second = seat.now if usable else None
            self._refuse(f"model pack {seat.now.pack.name} {why}", seat.before)
            self._seats[task] = Seat(seat.before)

    def _refuse(self, what: str, stays: Opened) -> None:
        sentence = f"{what}; {stays.pack.title} stays in use. Choose it, or another one, with: linli model use NAME"
        self._refused[stays.pack.task] = sentence
        self._try_later()

    # ------------------------------------------------------------------------------------------------- changing

    def renew(self) -> None:
        """Take over what is ready and look at what is chosen; called between two frames, costs next to nothing."""
        if self._loading is not None:
            if self._loading.is_alive():
                return
            self._loading = None
            loaded, self._loaded = self._loaded, []
            if self._anew:
                self._refused.clear()
            for task, opened, slower, error in loaded:
                self._take_over(task, opened, slower, error)
            if self._anew and self._second is None:
                self._second = self._other_reader()  # one that was put aside is tried again, too
        now = self._clock()
        if now - self._looked < LOOK_AGAIN:
            return
        self._looked = now
        stamp = stamps(self._folder)
        if stamp != self._stamp or now >= self._again:
            if stamp != self._stamp:
                self._pause = AGAIN[0]
            self._stamp, self._again = stamp, math.inf
            self._aside.clear()
            self._start_loading(anew=True)

    def _start_loading(self, *, anew: bool = False) -> None:
        if self._loading is None:
            self._anew = anew
            self._loading = threading.Thread(target=self._load, name="models", daemon=True)
            self._loading.start()

    def _load(self) -> None:
        """Open and test what is chosen, in a thread of its own; the lane goes on with what it has."""
        loaded: list[tuple[str, Opened | None, float, PackError | None]] = []
        for task in TASKS:
            slower = SLOWER
            try:
                chosen = choices(self._folder).get(task)
                slower = chosen.slower if chosen else float("inf")  # the default is never too slow
                able, seated = self._able(task), self._seats[task].now
                now = seated.pack if seated is not None else None
                if now is None or not able or (able[0].name, able[0].sha256) != (now.name, now.sha256):
                    loaded.append((task, self._next(task, able, now is None), slower, None))
            except PackError as error:
                loaded.append((task, None, slower, error))
        self._loaded = loaded

    def _next(self, task: str, able: Sequence[Pack], anyone: bool) -> Opened:
        """Open the first of these packs, or the first that works; PackError when that is none."""
        failed: PackError | None = None
        for pack in able:
            try:
                return self._open(pack)
            except PackError as error:
                failed = failed or error
                if not anyone:
                    break
        raise failed or PackError(
            f"no model pack for {task} in {self._folder}; run: linli model pull", "models_missing"
        )

    def _take_over(self, task: str, opened: Opened | None, slower: float, error: PackError | None) -> None:
        seat = self._seats[task]
        if opened is None:
            if seat.now is None:
                self._lack(task, error)
            else:
                self._refuse(str(error), seat.now)
        elif seat.now is None:
            self._seats[task] = Seat(opened)
            self._lacking.pop(task, None)
            self._second = self._second or self._other_reader()
        elif seat.now.cost and opened.cost > slower * seat.now.cost:
            times = opened.cost / seat.now.cost
            what = f"model pack {opened.pack.name} takes {times:.1f} times the CPU of {seat.now.pack.name} for a look"
            self._refuse(what, seat.now)
        else:
            usual = seat.cost if seat.looks >= PROBATION // 4 else 0.0
            self._seats[task] = Seat(opened, seat.now, slower, usual=usual)
            if task == READING and (self._second is None or self._second.pack.name == opened.pack.name):
                self._second = seat.now


def searched(model: Any, picture: Pixels, region: Box) -> list[FoundPlate]:  # noqa: ANN401 - a detector of plates
    """Plates of every colour: what the detector finds in the picture as it is, and as for black ones."""
    found: list[FoundPlate] = model.find(picture, region)
    black: list[FoundPlate] = model.find(picture, region, dark=True)
    return [*found, *(plate for plate in black if all(plate.box.overlap(one.box) < SAME for one in found))]
