"""Finds the name that was probably meant."""

from collections.abc import Iterable


def did_you_mean(word: str, names: Iterable[str], *, what: str = "") -> str:
    """Suggest the nearest name, else list all when they are few; ``what`` says what they are (``lines``)."""
    from difflib import get_close_matches  # only needed when something is wrong

    known = sorted(set(names))
    lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), list(lower), 1, 0.6)
    if close:
        return f'did you mean "{lower[close[0]]}"?'
    if not known:
        return f"there are no {what}" if what else "there are none"
    if len(known) > 12:
        return f"there are {len(known)} {what}".rstrip()
    return f"expected one of {', '.join(known)}" if len(known) > 1 else f"expected {known[0]}"
