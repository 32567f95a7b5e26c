"""From a worker's passage to what the gateway records: the data of ``linli.vehicle.passage.v1``."""

from collections.abc import Callable
from typing import Any

from gateway.contract import VisionEvent
from gateway.vision.grammar import masked
from gateway.vision.messages import Passage

PASSAGE = "linli.vehicle.passage.v1"


def passage_event(
    camera: str, passage: Passage, stamp: Callable[[int], str], monotonic: float, *, reads: bool = False
) -> VisionEvent:
    """Make the record to be; ``stamp`` turns ns since 1970 into RFC 3339. ``reads`` adds every single read."""
    data: dict[str, Any] = {
        "lane": passage.lane,
        "direction": passage.direction,
        "plate": {
            "text": passage.text or None,
            "kind": passage.kind,
            "color": passage.color,
            "status": passage.status,
            "confidence": min(passage.characters, default=0.0),
            "characters": list(passage.characters),
        },
        # No installed model knows these; a guess would be worse than nothing.
        "vehicle": {"type": "unknown", "color": "unknown"},
        "list": passage.listed or None,
        "first_time": stamp(passage.first_time),
        "last_time": stamp(passage.last_time),
    }
    media: dict[str, tuple[bytes, str, str]] = {}
    if passage.picture is not None:
        picture = passage.picture
        data["picture"] = {"frame_time": stamp(picture.frame_time), "frame_sha256": picture.frame_sha256}
        media["picture"] = (picture.jpeg, "image/jpeg", "jpg")
    if reads:
        data["reads"] = [
            {"time": stamp(read.time), "text": read.text, "confidence": read.confidence} for read in passage.reads
        ]
    event = passage.listed or "passage"
    return VisionEvent(camera, passage.time, monotonic, PASSAGE, passage.lane, data, event, media)


def shown_passage(passage: Passage, stamp: Callable[[int], str]) -> dict[str, Any]:
    """What the status may show of a passage; the plate is shortened, the record has all of it."""
    return {
        "time": stamp(passage.time),
        "lane": passage.lane,
        "direction": passage.direction,
        "plate": masked(passage.text) or None,
        "status": passage.status,
        "list": passage.listed or None,
    }
