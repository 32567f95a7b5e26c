"""Which model was at work when a camera's worker died, and which are left out for it: a page that outlives workers."""

import functools
import mmap
import os
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType

PAGE = "LINLI_AT_WORK"  # names the page's descriptor in a worker's environment
HASH, NAME = 64, 64
SLOT = HASH + NAME
SLOTS = 2  # the lane's thread, and whatever works beside it
LEFT_OUT = 8
SIZE = SLOTS * SLOT + LEFT_OUT * HASH
DEATHS = 3  # with the same model at work after which it is left out
WITHIN = 6 * 3600.0  # seconds in which they count


class Suspects:
    """The gateway's side for one camera: what its workers had at work when they died. ``close`` gives the page back."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now``: seconds that never step back."""
        self._now = now
        self.page = os.memfd_create("linli-at-work")
        os.ftruncate(self.page, SIZE)
        self._deaths: dict[str, deque[float]] = {}

    def blame(self) -> str:
        """A worker has died, or hangs: the name of the model that it had at work, "" when it had none."""
        names = []
        for slot in range(SLOTS):
            crumb = os.pread(self.page, SLOT, slot * SLOT)
            digest, name = (part.rstrip(b"\0").decode(errors="replace") for part in (crumb[:HASH], crumb[HASH:]))
            if digest:
                self._deaths.setdefault(digest, deque(maxlen=DEATHS)).append(self._now())
                names.append(name)
        return " and ".join(dict.fromkeys(names))

    def refresh(self) -> None:
        """Say what the next worker, or this one from now on, is to leave out."""
        if not self._deaths:
            return
        since = self._now() - WITHIN
        out = [each for each, deaths in self._deaths.items() if len(deaths) == DEATHS and deaths[0] > since]
        os.pwrite(
            self.page, b"".join(each.encode() for each in out[-LEFT_OUT:]).ljust(LEFT_OUT * HASH, b"\0"), SLOTS * SLOT
        )

    def clear(self) -> None:
        """A new worker begins, with nothing at work."""
        os.pwrite(self.page, bytes(SLOTS * SLOT), 0)
        self.refresh()

    def close(self) -> None:
        """There will be no worker any more."""
        os.close(self.page)


class AtWork:
    """A worker's side: the page names the model while the block runs.

    In the main thread also when it was left by an error, which ends the worker unless somebody has ``caught`` it.
    """

    __slots__ = ("_crumb",)

    def __init__(self, sha256: str, name: str) -> None:
        self._crumb = sha256.encode()[:HASH].ljust(HASH, b"\0") + name.encode()[:NAME].ljust(NAME, b"\0")

    def __enter__(self) -> None:
        _write(self._crumb)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or not _is_main():
            _write(bytes(HASH))


def caught() -> None:
    """What a model has raised in this thread was dealt with: whatever ends the worker later was not that model."""
    _write(bytes(HASH))


def _write(crumb: bytes) -> None:
    page = _own_page()
    if page is not None:
        at = 0 if _is_main() else SLOT
        page[at : at + len(crumb)] = crumb


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def left_out(sha256: str) -> bool:
    """Whether this process is to do without the model of this hash; always False outside a worker."""
    page = _own_page()
    return page is not None and sha256.encode() in {page[at : at + HASH] for at in range(SLOTS * SLOT, SIZE, HASH)}


@functools.cache
def _own_page() -> mmap.mmap | None:
    number = os.environ.get(PAGE, "")
    return mmap.mmap(int(number), SIZE) if number.isdecimal() else None
