"""What is wrong with plate lists, for the log: said once as long as a list stays as it is, whoever reads it anew."""

import logging
from collections.abc import Callable, Sequence

from gateway.words import many

SAID = 20  # broken lines that are named one by one

log = logging.getLogger("linli.lists")

Tell = Callable[[str, str, Sequence[str]], None]


class ListNews:
    """Of all cameras: workers come and go, and several may read the same list."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[tuple[str, ...], int]] = {}

    def take(self, name: str, file: str, problems: Sequence[str], count: int) -> None:
        """A list (``allow``, ``deny``) was read: the first of its ``count`` problems, of which none names a plate."""
        now = tuple(problems[:SAID]), count
        before = self._known.get((name, file), ((), 0))
        self._known[name, file] = now
        if now == before:
            return
        for sentence in now[0]:
            if sentence not in before[0]:
                log.warning("%s", sentence)
        if count > len(now[0]):
            more = many(count - len(now[0]), "line")
            log.warning("%s: and %s more to be left out; linli check names all", file, more)
        if not count:
            log.info("%s: the %s list has no broken line any more", file, name)


def logged() -> Tell:
    """Say it in this process's own log, where nobody else keeps in mind what was said."""
    news = ListNews()
    return lambda name, file, problems: news.take(name, file, problems, len(problems))
