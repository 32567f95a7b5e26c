"""The models of a running lane, changed between two frames: the new pack is loaded and tested beside the old one."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from gateway.vision.evidence import Pixels
from gateway.vision.packs import DETECTION, READING, SLOWER, PackError, choices, stamps
from gateway.vision.plates import FoundPlate, PlateRead
from gateway.vision.runtime import available, missing, reason
from gateway.vision.selftest import MISFITS, Opened, open_tested, ranked
from gateway.vision.shapes import Box

LOOK_AGAIN = 1.0  # seconds between looks at what is chosen
PROBATION = 40  # looks after which a new pack is kept for good
TASKS = (DETECTION, READING)

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Seat:
    """Who does one task now, who did before while the new one is on trial, and what each costs (CPU s a look)."""

    now: Opened
    before: Opened | None = None
    slower: float = SLOWER
    looks: int = 0
    spent: float = 0.0
    usual: float = 0.0  # CPU of a look of the one before, measured at work

    @property
    def cost(self) -> float:
        """Mean CPU of a look so far, 0 before the first."""
        return self.spent / self.looks if self.looks else 0.0


class LiveSight:
    """Finds and reads plates with the packs that are chosen; what is chosen anew takes over between two frames.

    A pack that does not load, fails on its golden picture, fails at work or takes ``slower`` times the CPU of the one
    before does not stay: the one before goes on, and ``trouble`` says so.
    """

    def __init__(
        self, folder: Path, providers: Sequence[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """PackError when there is no pack that works for a task."""
        self._folder, self._providers, self._clock = folder, tuple(providers), clock
        self._trouble = ("", "")
        self._missing = missing(self._providers)
        self._stamp = stamps(folder)
        self._seats = {task: Seat(self._first(task)) for task in TASKS}
        self._second = self._other_reader()
        self._looked = clock()
        self._loading: threading.Thread | None = None
        self._loaded: list[tuple[str, Opened | None, float, PackError | None]] = []

    def _open(self, task: str, place: int = 0) -> Opened:
        able = ranked(self._folder, task)
        if place >= len(able):
            raise PackError(f"no model pack for {task} in {self._folder}; run: linli model pull", "models_missing")
        return open_tested(replace(able[place], providers=self._providers))

    def _first(self, task: str) -> Opened:
        """The chosen pack; when that one does not work, the next one that does."""
        failed: PackError | None = None
        for place in range(len(ranked(self._folder, task)) or 1):
            try:
                opened = self._open(task, place)
            except PackError as error:
                failed = failed or error
                continue
            if failed is not None and failed.reason == "models_refused":
                self._trouble = (failed.reason, f"{failed}; {opened.pack.title} does its work")
            return opened
        raise failed or PackError(f"no model pack for {task} in {self._folder}", "models_missing")

    def _other_reader(self) -> Opened | None:
        for place, pack in enumerate(ranked(self._folder, READING)):
            if pack.present and pack.name != self._seats[READING].now.pack.name:
                try:
                    return self._open(READING, place)
                except PackError:
                    continue  # a second opinion is no need
        return None

    # ------------------------------------------------------------------------------------------------- looking

    @property
    def names(self) -> dict[str, str]:
        """Name and version of the pack at work, by task."""
        return {task: seat.now.pack.title for task, seat in self._seats.items()}

    @property
    def trouble(self) -> tuple[str, str]:
        """Why a chosen pack or provider is not at work: reason and sentence, both empty when all are."""
        if self._missing and not self._trouble[0]:
            wanted, there = ", ".join(self._missing), ", ".join(available())
            sentence = f"[vision] providers wants {wanted}, which this onnxruntime does not have (it has: {there})"
            return "provider", f"{sentence}; install an onnxruntime that has it, or change providers"
        return self._trouble

    def find(self, picture: Pixels, region: Box, expected: float = 0.0) -> list[FoundPlate]:
        """Plates in a region of a BGR picture, in pixels of the whole."""
        return self._look(DETECTION, lambda model: model.find(picture, region, expected))

    def read(self, crop: Pixels) -> PlateRead | None:
        """Read a rectified plate under the grammar."""
        read: PlateRead | None = self._look(READING, lambda model: model.read(crop))
        return read

    def second(self, crop: Pixels) -> PlateRead | None:
        """The opinion of another, slower recogniser; None without one."""
        read: PlateRead | None = self._second.model.read(crop) if self._second else None
        return read

    def _look(self, task: str, work: Callable[[Any], Answer]) -> Answer:
        seat = self._seats[task]
        if seat.before is None:
            return self._timed(seat, work)
        try:
            answer = self._timed(seat, work)
        except MISFITS as error:
            self._roll_back(task, f"fails at work: {reason(error)}", usable=False)
            return work(self._seats[task].now.model)
        if seat.usual and seat.looks >= PROBATION // 4 and seat.cost > seat.slower * seat.usual:
            self._roll_back(task, f"takes {seat.cost / seat.usual:.1f} times the CPU of the one before")
        elif seat.looks >= PROBATION:
            seat.before = None
        return answer

    @staticmethod
    def _timed(seat: Seat, work: Callable[[Any], Answer]) -> Answer:
        began = time.thread_time()
        answer = work(seat.now.model)
        seat.looks += 1
        seat.spent += time.thread_time() - began
        return answer

    def _roll_back(self, task: str, why: str, *, usable: bool = True) -> None:
        seat = self._seats[task]
        if seat.before is not None:
            if self._second is seat.before:  # they had changed places
                self._second = seat.now if usable else None
            self._refuse(f"model pack {seat.now.pack.name} {why}", seat.before)
            self._seats[task] = Seat(seat.before)

    def _refuse(self, what: str, stays: Opened) -> None:
        sentence = f"{what}; {stays.pack.title} stays in use. Choose it, or another one, with: linli model use NAME"
        self._trouble = ("models_refused", sentence)

    # ------------------------------------------------------------------------------------------------- changing

    def renew(self) -> None:
        """Take over what is ready and look at what is chosen; called between two frames, costs next to nothing."""
        if self._loading is not None:
            if self._loading.is_alive():
                return
            self._loading = None
            loaded, self._loaded = self._loaded, []
            self._trouble = ("", "")
            for task, opened, slower, error in loaded:
                self._take_over(task, opened, slower, error)
        if self._clock() - self._looked < LOOK_AGAIN:
            return
        self._looked = self._clock()
        stamp = stamps(self._folder)
        if stamp != self._stamp:
            self._stamp = stamp
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
                wanted = ranked(self._folder, task)[0]
                now = self._seats[task].now.pack
                if (wanted.name, wanted.sha256) != (now.name, now.sha256):
                    loaded.append((task, self._open(task), slower, None))
            except PackError as error:
                loaded.append((task, None, slower, error))
        self._loaded = loaded

    def _take_over(self, task: str, opened: Opened | None, slower: float, error: PackError | None) -> None:
        seat = self._seats[task]
        if opened is None:
            self._refuse(str(error), seat.now)
        elif seat.now.cost and opened.cost > slower * seat.now.cost:
            times = opened.cost / seat.now.cost
            what = f"model pack {opened.pack.name} takes {times:.1f} times the CPU of {seat.now.pack.name} for a look"
            self._refuse(what, seat.now)
        else:
            usual = seat.cost if seat.looks >= PROBATION // 4 else 0.0
            self._seats[task] = Seat(opened, seat.now, slower, usual=usual)
            if task == READING and self._second is not None and self._second.pack.name == opened.pack.name:
                self._second = seat.now
