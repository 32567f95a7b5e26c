"""The records that the store itself writes about the gateway."""

from collections.abc import Mapping
from typing import Any

from gateway.contract import Draft, record_id


def gateway_state(wall: int, reason: str, sentence: str, state: str = "online", **more: object) -> Draft:
    """Draft a ``linli.gateway.state.v1``; ``reason`` is a short code, ``wall`` nanoseconds."""
    data: Mapping[str, Any] = {"state": state, "reason": reason, "sentence": sentence, **more}
    return Draft("management", "linli.gateway.state.v1", "", "gateway", wall, data, record_id(wall))
