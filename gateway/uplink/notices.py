"""Management records that tell the platform what an uplink's far end refused."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.contract import Clock, Draft, Stream, record_id
from gateway.uplink.answers import Words

REFUSED, ACCEPTED = "linli.uplink.refused.v1", "linli.uplink.accepted.v1"


def refused(
    clock: Clock,
    uplink: str,
    stream: Stream | None,
    code: int | None,
    sentence: str,
    words: Words,
    **more: Any,  # noqa: ANN401
) -> Draft:
    """A refusal: of a stream, of single records (``parked``), or of the connection (no stream)."""
    data: dict[str, Any] = {"uplink": uplink, "stream": stream}
    if code is not None:
        data |= {"code": words.name(code), "meaning": words.meaning(code)}
    return _draft(clock, REFUSED, uplink, data | {"text": sentence} | more)


def accepted(clock: Clock, uplink: str, stream: Stream | None, sentence: str) -> Draft:
    """The end of a refusal."""
    return _draft(clock, ACCEPTED, uplink, {"uplink": uplink, "stream": stream, "text": sentence})


def parked(
    clock: Clock, uplink: str, stream: Stream, code: int, sentence: str, words: Words, records: Sequence[bytes]
) -> Draft:
    """Records that the cursor passed without delivery; they stay pullable."""
    named = [_name(record) for record in records]
    return refused(clock, uplink, stream, code, sentence, words, effect="parked", records=named)


def is_own(record: bytes) -> bool:
    """Whether a record is itself such a notice: refusing it must not make another one."""
    return msgspec.json.decode(record, type=_Head).type in (REFUSED, ACCEPTED)


class _Head(msgspec.Struct):
    id: str
    sequence: str
    type: str


def _name(record: bytes) -> dict[str, str]:
    head = msgspec.json.decode(record, type=_Head)
    return {"id": head.id, "sequence": head.sequence, "type": head.type}


def _draft(clock: Clock, kind: str, uplink: str, data: Mapping[str, Any]) -> Draft:
    now = clock.wall()
    return Draft("management", kind, "", uplink, now, data, record_id(now))
