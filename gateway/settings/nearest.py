"""Finds the name that was probably meant."""

from collections.abc import Iterable

MOST, SOME = 20, 5  # names that are listed: all, or some of more


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like the word, if any is."""
    from difflib import get_close_matches  # only needed when something is wrong

    lower = {name.lower(): name for name in names}
    close = get_close_matches(word.lower(), list(lower), 1, 0.6)
    return lower[close[0]] if close else None


def did_you_mean(word: str, names: Iterable[str], *, what: str = "") -> str:
    """Suggest the nearest name, else list all when they are few; ``what`` says what they are (``lines``)."""
    known = sorted(set(names))
    meant = nearest(word, known)
    if meant is not None:
        return f'did you mean "{meant}"?'
    if not known:
        return f"there are no {what}" if what else "there are none"
    if len(known) > MOST:
        return f"there are {len(known)} {what or 'of them, such as ' + ', '.join(known[:SOME])}"
    return f"expected one of {', '.join(known)}" if len(known) > 1 else f"expected {known[0]}"
