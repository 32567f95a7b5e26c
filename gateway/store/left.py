"""What a run could not write any more because its database was damaged: a file that the next start takes in, once."""

import contextlib
import logging
import os
import zlib
from pathlib import Path
from typing import Any

import msgspec

from gateway.contract import Draft, Stream, TimeQuality, record_id
from gateway.store.envelope import Waiting
from gateway.store.queue import Batch

NAME = "records.left"
FACT = "left"  # the name of the last one that was taken in

Row = tuple[Stream, str, str, str, int, str, dict[str, Any], bytes, TimeQuality | None, float, str]

log = logging.getLogger("linli.store")
_decode = msgspec.msgpack.Decoder(tuple[str, list[Row], dict[str, bytes | None]]).decode
_encode = msgspec.msgpack.Encoder().encode


def leave(state: Path, batch: Batch, wall: int) -> None:
    """Write drafts and facts; positions belong to the damaged database. OSError when the disk does not take it."""
    rows = [
        (d.stream, d.type, d.source, d.subject, d.time, d.id, dict(d.extra), item.data, *_moment(item))
        for items in batch.drafts.values()
        for item in items
        for d in (item.draft,)
    ]
    content = _encode((record_id(wall), rows, batch.facts))
    unfinished = state / f"{NAME}.part"
    with unfinished.open("wb") as file:
        file.write(zlib.crc32(content).to_bytes(4, "little") + content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(state / NAME)


def _moment(item: Waiting) -> tuple[TimeQuality | None, float, str]:
    return item.quality, item.monotonic, item.boot


def found(state: Path, last: bytes | None) -> Batch | None:
    """Read what was left, with the fact that says so; None when there is nothing, or ``last`` says it was taken."""
    try:
        content = (state / NAME).read_bytes()
    except OSError:
        return None
    try:
        if zlib.crc32(content[4:]).to_bytes(4, "little") != content[:4]:
            raise msgspec.DecodeError("its checksum is wrong")
        name, rows, facts = _decode(content[4:])
    except msgspec.DecodeError as error:
        log.error("%s cannot be read (%s): what it holds is lost", state / NAME, error)
        return None
    if name.encode() == last:
        return None
    batch = Batch(facts={**facts, FACT: name.encode()})
    for stream, kind, source, subject, time, identity, extra, data, quality, monotonic, boot in rows:
        draft = Draft(stream, kind, source, subject, time, {}, identity, extra, monotonic)
        batch.drafts.setdefault(stream, []).append(Waiting(draft, data, quality, monotonic, boot))
    return batch


def forget(state: Path) -> None:
    """Delete the file: it was taken in, or cannot be read."""
    with contextlib.suppress(OSError):
        (state / NAME).unlink()
