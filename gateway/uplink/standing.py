"""How an uplink stands with its far end, who is told of it, and what ends a session."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from gateway.contract import Clock
from gateway.metrics import UPLINK_UP
from gateway.uplink import notices
from gateway.uplink.answers import Words
from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.kept import Kept
from gateway.uplink.pause import Pause

log = logging.getLogger("linli.uplink")


class Standing:
    """``state`` (``starting``, ``online``, ``offline``), since when, and why; each change is told once."""

    def __init__(self, name: str, words: Words, store: Kept, clock: Clock) -> None:
        self.state, self.reason, self.since = "starting", "", clock.wall()
        self._name, self._words, self._store, self._clock = name, words, store, clock
        self._logged = self._refusal = ""

    def turn(self, state: str, reason: str) -> None:
        """Take another state; the same one goes on since its beginning."""
        if state != self.state:
            self.since = self._clock.wall()
        self.state, self.reason = state, reason

    async def up(self, again: str) -> None:
        """It serves us; ``again`` is what the record says that ends a refusal."""
        self.turn("online", "")
        self._logged = ""
        UPLINK_UP.labels(self._name).set(1)
        if self._refusal:
            self._refusal = ""
            await self._store.put([notices.accepted(self._clock, self._name, None, again)])

    async def down(self, error: ConnectionFailedError) -> None:
        """It does not: a log line, and a record when somebody must act, for each new reason."""
        # Compared without the far end's own words: a time or a number in them is no news.
        if error.discreet != self._logged:
            self._logged = error.discreet
            log.warning("%s: %s", self._name, error.discreet)
        self.turn("offline", str(error))
        if error.refused and error.discreet != self._refusal:
            self._refusal = error.discreet
            sentence = str(error)
            await self._store.put([notices.refused(self._clock, self._name, None, error.code, sentence, self._words)])

    async def keep(
        self,
        session: Callable[[], Awaitable[ConnectionFailedError | None]],
        taken: Callable[[], int],
        stop: asyncio.Event,
    ) -> None:
        """Have sessions until ``stop``, with a pause after each that failed; one is of use when ``taken`` has grown."""
        pause = Pause(self._clock, stop)
        while not stop.is_set():
            before = taken()
            error = await session()
            if error is None:
                break
            if taken() > before:
                pause.served()
            await self.down(error)
            await pause.wait(refused=error.refused)
        self.turn("offline", "stopped")


class StoppedError(Exception):
    """Ends the tasks of a session on our own wish."""


async def until_stopped(stop: asyncio.Event) -> NoReturn:
    """Wait for ``stop``, then raise StoppedError."""
    await stop.wait()
    raise StoppedError


def first_failure(failures: BaseExceptionGroup[ConnectionFailedError]) -> ConnectionFailedError:
    """The first of what a TaskGroup failed with."""
    first = failures.exceptions[0]
    return first_failure(first) if isinstance(first, BaseExceptionGroup) else first
