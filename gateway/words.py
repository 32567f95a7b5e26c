"""Words for people that depend on a number."""


def many(count: int, what: str) -> str:
    """``1 device``, ``2 devices``; of a ``what`` of several words the last one counts: ``2 older falls``."""
    return f"{count} {plural(count, what)}"


def plural(count: int, noun: str) -> str:
    """The noun as it stands behind a number."""
    if count == 1:
        return noun
    return f"{noun}es" if noun.endswith(("ch", "sh", "s", "x")) else f"{noun}s"
