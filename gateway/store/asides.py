"""The databases that were set aside as damaged: nothing can be erased inside one, it can only be deleted whole."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.store.wreck import asides, remove


class Asides:
    """Those of one state directory; ``salvaging`` tells whether records of one are still being brought back."""

    def __init__(self, state: Path, thread: ThreadPoolExecutor, salvaging: Callable[[], bool]) -> None:
        self._state, self._thread, self.salvaging = state, thread, salvaging

    def paths(self) -> list[Path]:
        """The files there are, the oldest first."""
        return asides(self._state)

    async def delete(self) -> list[str]:
        """Delete them all with what lies beside them; returns their names."""
        doomed = self.paths()
        loop = asyncio.get_running_loop()
        for path in doomed:
            await loop.run_in_executor(self._thread, remove, path)
        return [path.name for path in doomed]
