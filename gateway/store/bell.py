"""Lets tasks wait until something has happened, or until a time has passed on the clock that was given."""

import asyncio
import math

from gateway.contract import Clock


class Bell:
    """Wakes everybody who waits, each time it is rung."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all who wait now."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, seconds: float = math.inf) -> None:
        """Wait for the next ring, but no longer than ``seconds``."""
        rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(rung)
        try:
            if seconds == math.inf:
                await rung
                return
            sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
            try:
                await asyncio.wait((rung, sleeper), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeper.cancel()
                await asyncio.gather(sleeper, return_exceptions=True)
        finally:
            self._waiting.discard(rung)
