"""Makes a draft into the JSON of a record: encoded once, then the same bytes leave by every way."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import msgspec

from gateway.contract import Draft, LinliError, Stream, TimeQuality

# These never wait for the clock and never change afterwards, so their time quality is that of the moment they came.
AT_ONCE: frozenset[Stream] = frozenset({"alarm", "disposal"})
OVERHEAD = 640  # bytes of memory that a waiting draft takes besides its data


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot stand in a record")


encode = msgspec.json.Encoder(enc_hook=_plain).encode


@dataclass(frozen=True, slots=True)
class Waiting:
    """A draft whose data is already JSON, so that nobody can change it any more; ``size`` in bytes of memory.

    ``monotonic`` is when it happened, in the boot ``boot``; infinite for what the store itself tells at a commit.
    """

    draft: Draft
    data: bytes
    quality: TimeQuality | None
    monotonic: float = math.inf
    boot: str = ""

    @property
    def size(self) -> int:
        """Bytes that it takes while it waits."""
        return len(self.data) + OVERHEAD


def waiting(draft: Draft, quality: TimeQuality, monotonic: float = math.inf, boot: str = "") -> Waiting:
    """Encode a draft's data; LinliError when it cannot be JSON."""
    try:
        data = encode(draft.data)
    except TypeError as error:
        raise LinliError(
            f"a {draft.type} record of {draft.source or 'the gateway'} cannot be stored: {error}"
        ) from error
    if draft.quality is not None:  # of another time, so that neither this one's clock nor its boot say anything of it
        return Waiting(draft, data, draft.quality)
    return Waiting(draft, data, quality if draft.stream in AT_ONCE else None, monotonic, boot)


class Stamp(NamedTuple):
    """The moment of a commit: wall-clock nanoseconds, their RFC 3339 text, and how far they can be trusted.

    What was taken until ``known_since`` (``monotonic`` seconds) may bear a wrong time; while ``hold``, it waits.
    """

    wall: int
    recorded: str
    quality: TimeQuality
    monotonic: float = 0.0
    known_since: float = -math.inf
    hold: bool = False

    @property
    def trusted(self) -> int:
        """The wall time, or 0 when it must not be used to tell an age."""
        return 0 if self.quality == "unknown" else self.wall


class Envelope:
    """Writes records of one gateway and one epoch."""

    def __init__(self, gateway: str, epoch: str) -> None:
        self._gateway = gateway
        self._epoch = epoch

    def json(self, item: Waiting, time: str, sequence: int, stamp: Stamp) -> bytes:
        """Write one CloudEvent; the order of members is part of the interface."""
        draft = item.draft
        who = _who(self._gateway, draft.source, draft.type, draft.subject)
        extra = b"".join(_member(name, value) for name, value in draft.extra.items()) if draft.extra else b""
        quality = item.quality or stamp.quality
        if quality == "unknown" and item.monotonic < math.inf:
            extra = b',"bootid":%b,"monotonic":"%.3f"' % (encode(item.boot), item.monotonic) + extra
        return b"".join(
            (
                b'{"specversion":"1.0","id":"',
                draft.id.encode(),
                who,
                time.encode(),
                b'","datacontenttype":"application/json","stream":"%b","epoch":"%b","sequence":"%020d","recordedtime":"'
                % (draft.stream.encode(), self._epoch.encode(), sequence),
                stamp.recorded.encode(),
                b'","timequality":"',
                quality.encode(),
                b'"',
                extra,
                b',"data":',
                item.data,
                b"}",
            )
        )


@lru_cache(maxsize=1024)
def _who(gateway: str, source: str, kind: str, subject: str) -> bytes:
    path = f"/gateways/{gateway}/{source}" if source else f"/gateways/{gateway}"
    members = b',"source":%b,"type":%b,"subject":%b,"time":"' % (encode(path), encode(kind), encode(subject))
    return b'"' + members


def _member(name: str, value: object) -> bytes:
    return b",%b:%b" % (encode(name), encode(value))
