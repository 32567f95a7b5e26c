"""What lessens what a camera can do, by how serious it is."""

from collections.abc import Iterable

Trouble = tuple[str, str]  # a short code, and a sentence that says what to do

# Nothing is shown; nothing is looked for; frames are passed over; plates are not read; what is told may be wrong; less
# is done than was asked for.
SERIOUS = (
    "masks",
    *("frozen", "dark", "covered", "moved"),
    "overload",
    *("models_missing", "models_refused"),
    *("lanes", "list", "spider"),
    *("provider", "faces"),
)


def ranked(found: Iterable[Trouble]) -> tuple[Trouble, ...]:
    """Put the most serious first; alike ones stay in their order."""
    order = {code: place for place, code in enumerate(SERIOUS)}
    return tuple(sorted(found, key=lambda trouble: order.get(trouble[0], len(SERIOUS))))
