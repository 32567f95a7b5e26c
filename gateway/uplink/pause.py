"""How long an uplink waits before it tries the far end again, and waits for it."""

import asyncio
import random

from gateway.contract import Clock

FIRST_RETRY = 0.25
# After a short outage the far end is back within seconds of its return; after a long one it is not stormed.
SHORT_OUTAGE, SHORT_RETRY, LAST_RETRY = 120.0, 2.0, 10.0


class Pause:
    """Grows with each try in vain, up to 10 s; ``stop`` ends it at once."""

    def __init__(self, clock: Clock, stop: asyncio.Event) -> None:
        self._clock, self._stop = clock, stop
        self._delay, self._outage = 0.0, clock.monotonic()

    def served(self, *, steady: bool = True) -> None:
        """A connection carried something. Not ``steady``: it broke soon, so the next try comes soon, not at once."""
        self._delay = 0.0 if steady else min(self._delay, FIRST_RETRY)
        self._outage = self._clock.monotonic()

    async def wait(self, *, refused: bool) -> None:
        """Wait once more; ``refused``: somebody must act first."""
        short = self._clock.monotonic() - self._outage < SHORT_OUTAGE and not refused
        self._delay = min(SHORT_RETRY if short else LAST_RETRY, max(FIRST_RETRY, self._delay * 2))
        seconds = self._delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries only
        waits = [asyncio.ensure_future(self._stop.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.wait(waits)
