"""The threads of the store: one for each kind of blocking work."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self


class Threads(NamedTuple):
    """One named thread for each kind of blocking work."""

    writer: ThreadPoolExecutor
    reader: ThreadPoolExecutor
    files: ThreadPoolExecutor

    @classmethod
    def start(cls) -> Self:
        """Make the three; a thread starts with its first work."""
        return cls(*(ThreadPoolExecutor(1, f"linli-store-{name}") for name in ("write", "read", "media")))

    def stop(self) -> None:
        """End them; what they have begun is finished."""
        for pool in self:
            pool.shutdown(wait=True)
