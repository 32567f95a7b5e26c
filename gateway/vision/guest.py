"""A model that nobody needs: opened where its pack is there or was chosen, and let go when not, beside the lane."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.vision.packs import BY_CHOICE, Pack, PackError, chosen_pack, stamps
from gateway.vision.runtime import reason
from gateway.vision.selftest import open_tested, ranked
from gateway.vision.suspects import caught

LOOK_AGAIN = 1.0  # seconds between looks at what is chosen
AGAIN = 6 * 3600.0  # seconds after which one that failed is tried again


class Guest:
    """The model of one optional task: ``model`` is None as long as there is none that works. Any thread may ask."""

    def __init__(
        self, folder: Path, task: str, providers: Sequence[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open what is there; ``without`` of ``trouble`` is said by whoever needs it."""
        self._folder, self._task, self._providers, self._clock = folder, task, tuple(providers), clock
        self._stamp = stamps(folder)
        self._now: tuple[Any, str] = (None, "")  # the model and the SHA-256 of its file
        self._trouble = ""
        self._again = math.inf
        self._looked = clock()
        self._loading: threading.Thread | None = None
        self._load()

    @property
    def model(self) -> Any:  # noqa: ANN401 - a detector, by the task
        """The model that works now, or None."""
        return self._now[0]

    @property
    def trouble(self) -> str:
        """Why the pack that was chosen, or is here, does not work; empty when it does, and when there is none."""
        return self._trouble

    def failed(self, model: Any, error: Exception) -> None:  # noqa: ANN401 - what ``model`` gave
        """It failed at work: it is not asked for some hours, or until its file or the choice changes."""
        caught()
        if self._now[0] is model:
            self._now = (None, "")
            sentence = f"the model pack for {self._task} fails at work: {reason(error)}"
            self._trouble = f"{sentence}; it is tried again in some hours, or after: linli model use NAME"
            self._again = self._clock() + AGAIN

    def renew(self) -> None:
        """Look, at most once a second, whether another pack is to be used; called between two frames."""
        if self._clock() - self._looked < LOOK_AGAIN or (self._loading is not None and self._loading.is_alive()):
            return
        self._looked = self._clock()
        stamp = stamps(self._folder)
        if stamp != self._stamp or self._looked >= self._again:
            self._stamp, self._again = stamp, math.inf
            self._loading = threading.Thread(target=self._load, name=self._task, daemon=True)
            self._loading.start()

    def _wanted(self) -> Pack | None:
        if self._task in BY_CHOICE:
            return chosen_pack(self._folder, self._task)
        return next((pack for pack in ranked(self._folder, self._task) if pack.present), None)

    def _load(self) -> None:
        try:
            pack = self._wanted()
            if pack is None:
                self._now, self._trouble = (None, ""), ""
            elif pack.sha256 != self._now[1]:
                opened = open_tested(replace(pack, providers=self._providers), strict=pack.task in BY_CHOICE)
                self._now, self._trouble = (opened.model, pack.sha256), ""
        except PackError as error:
            self._now, self._trouble = (None, ""), str(error)
            self._again = self._clock() + AGAIN
