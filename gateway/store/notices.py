"""The records that the store itself writes about the gateway."""

from collections.abc import Mapping
from typing import Any

from gateway.contract import Draft, record_id
from gateway.store.envelope import Stamp, Waiting, waiting
from gateway.store.retention import Gap
from gateway.words import many


def gateway_state(gateway: str, wall: int, reason: str, text: str, state: str = "online", **more: object) -> Draft:
    """Draft a ``linli.gateway.state.v1``; ``reason`` is a short code, ``text`` a sentence, ``wall`` nanoseconds."""
    data: Mapping[str, Any] = {"state": state, "reason": reason, "text": text, **more}
    return Draft("management", "linli.gateway.state.v1", "", gateway, wall, data, record_id(wall))


def held_damaged(gateway: str, wall: int, lost: int) -> Draft:
    """Tell of records that waited for the clock, unnumbered, and cannot be read any more."""
    text = f"damaged and lost: {many(lost, 'record')} that waited for the time and had no number yet."
    return gateway_state(gateway, wall, "held_damaged", text, "degraded", lost=lost)


def gap_told(gap: Gap, stamp: Stamp) -> Waiting:
    """Say which records of a stream are gone."""
    data = {"stream": gap.stream, "first": gap.first, "last": gap.last, "count": gap.last - gap.first + 1}
    draft = Draft(
        stream=gap.stream,
        type="linli.gap.v1",
        source="",
        subject=gap.stream,
        time=stamp.wall,
        data={**data, "cause": gap.cause},
        id=record_id(stamp.wall),
    )
    return waiting(draft, stamp.quality)
