"""The clips that a camera owes: each waits for its last second, then is made beside the analysis."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from gateway.vision.clip import ClipError, make_clip
from gateway.vision.conceal import Concealer
from gateway.vision.drawn_for import Size
from gateway.vision.evidence import Polygons
from gateway.vision.messages import LONGEST, Clip
from gateway.vision.ring import Coded, PacketRing

ROOM = 1 << 16  # of a message, for what is not the clip
NICE = 10  # the analysis goes before a clip
OWED = 16  # clips at once: more are a fault in what asks for them


class Wanted(NamedTuple):
    """One clip that was asked for, its times in ns since 1970; ``own``: the plate that it may show."""

    token: str
    begin: int
    end: int
    own: str = ""


class Clips:
    """Collects packets for clips and makes them in a thread of its own; ``say`` is told of each, from any thread."""

    def __init__(
        self,
        ring: PacketRing,
        masks: Polygons,
        say: Callable[[Clip], None],
        concealer: Concealer | None = None,
        misfit: Callable[[Size], str] = lambda _: "",
    ) -> None:
        """``concealer`` hides faces and plates; without it clips show what the masks leave.

        ``misfit`` says why the masks hide something else in pictures of a size.
        """
        self._ring, self._masks, self._say, self._concealer = ring, masks, say, concealer
        self._misfit = misfit
        self._owed: list[Wanted] = []
        self._refused: list[str] = []
        self._made: list[tuple[str, Future[None]]] = []
        self._maker = ThreadPoolExecutor(1, "clips", initializer=_step_back)

    @property
    def able(self) -> bool:
        """Whether a clip may be made now: where something has to be hidden, only as long as it can be found."""
        return self._concealer is None or self._concealer.able

    def ask(self, token: str, begin: int, end: int, own: str = "") -> bool:
        """Want a clip, which may show the plate ``own``; False when it may not be.

        When too many are owed already, that is what is said of it at the next ``tick``.
        """
        if not self.able:
            return False
        if len(self._owed) + len(self._made) < OWED:
            self._owed.append(Wanted(token, begin, end, own))
        else:
            self._refused.append(token)
        return True

    def tick(self, stream: Any, *, over: bool = False) -> None:  # noqa: ANN401 - av's stream
        """Make what is complete; ``over``: nothing more comes, so all that is owed."""
        while self._refused:
            self._say(Clip(self._refused.pop(), trouble=self._too_many()))
        for token, future in [one for one in self._made if one[1].done()]:
            self._made.remove((token, future))
            if (error := future.exception()) is not None:
                self._say(Clip(token, trouble=f"it cannot be made: {error!r}"))
        newest = self._ring.newest if self._owed else None
        for wanted in list(self._owed):
            if over or (newest is not None and newest.wall >= wanted.end):
                self._begin(wanted, self._ring.between(wanted.begin, wanted.end), stream)

    def _too_many(self) -> str:
        advice = "have fewer vehicles or alarms make one, or shorten before and after"
        if self._masks or self._concealer is not None:
            advice += "; what is masked or blurred is encoded anew: a smaller picture or a faster machine helps, too"
        return f"{OWED} others were owed already, more than this machine makes in time; {advice}"

    def cut(self, stream: Any, before: int) -> None:  # noqa: ANN401 - av's stream
        """Make all that is owed of the packets before the one of this index: what follows has another size."""
        for wanted in list(self._owed):
            packets = self._ring.between(wanted.begin, wanted.end)
            self._begin(wanted, [coded for coded in packets if coded.index < before], stream)
        self._ring.forget(before)

    def _begin(self, wanted: Wanted, packets: list[Coded], stream: Any) -> None:  # noqa: ANN401
        self._owed.remove(wanted)
        self._made.append((wanted.token, self._maker.submit(self._make, wanted, packets, stream)))

    @property
    def making(self) -> bool:
        """Whether a clip is still being made."""
        return any(not future.done() for _, future in self._made)

    def _make(self, wanted: Wanted, packets: list[Coded], stream: Any) -> None:  # noqa: ANN401
        try:
            mp4 = make_clip(packets, stream, self._masks, wanted.begin, self._concealer, wanted.own, self._misfit)
        except ClipError as error:
            self._say(Clip(wanted.token, trouble=str(error)))
            return
        if len(mp4) > LONGEST - ROOM:
            self._say(Clip(wanted.token, trouble=f"it would have {len(mp4) >> 20} MiB; shorten before and after"))
            return
        cut = self._masks or self._concealer is not None
        first = max(packets[0].wall, wanted.begin) if cut else packets[0].wall
        self._say(Clip(wanted.token, mp4, first, packets[-1].wall, hidden=self._concealer is not None))


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
