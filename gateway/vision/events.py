"""From what a worker found to what the gateway records: the data of passages and of falling objects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.contract import Kept, VisionEvent
from gateway.vision.grammar import masked
from gateway.vision.messages import Clip, Dwell, Fall, Fell, Passage, Picture, Stands, Sure

PASSAGE = "linli.vehicle.passage.v1"
DWELL = "linli.vehicle.dwell.v1"
FALL = "linli.falling_object.v1"
READY = "linli.media.ready.v1"
LOST = "linli.media.lost.v1"


def passage_event(
    camera: str,
    passage: Passage,
    stamp: Callable[[int], str],
    monotonic: float,
    *,
    marks: Sequence[str] = (),
    reads: bool = False,
) -> VisionEvent:
    """Make the record to be; ``stamp`` turns ns since 1970 into RFC 3339. ``reads`` adds every single read.

    ``marks`` say what is unusual about it; the rules hear them as events.
    """
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
        "vehicle": {"type": passage.vehicle_type, "color": passage.vehicle_color},
        "list": passage.listed or None,
        "first_time": stamp(passage.first_time),
        "last_time": stamp(passage.last_time),
    }
    media: dict[str, tuple[bytes, str, str]] = {}
    if passage.picture is not None:
        data["picture"], media["picture"] = _pictured(passage.picture, stamp)
    if reads:
        data["reads"] = [
            {"time": stamp(read.time), "text": read.text, "confidence": read.confidence} for read in passage.reads
        ]
    if marks:
        data["marks"] = list(marks)
    if passage.unread:
        data["unread"] = True
    event = " ".join([passage.listed or "passage", *marks])
    kept = _kept(passage, marks)
    return VisionEvent(camera, passage.time, monotonic, PASSAGE, passage.lane, data, event, media, kept=kept)


def _kept(passage: Passage, marks: Sequence[str]) -> Kept:
    """How long its picture and clip are kept; what is out of the ordinary stays as long as what alarms show."""
    if marks or passage.listed == "deny" or passage.unread:
        return ""
    return "vehicle" if passage.listed else "unlisted"


def clip_event(
    camera: str,
    subject: str,
    record: str,
    clip: Clip,
    time: int,
    monotonic: float,
    stamp: Callable[[int], str],
    size: tuple[int, int] | None = None,
) -> VisionEvent:
    """What says that the clip of a record is here; ``time`` is now (ns since 1970), ``size`` that of camera frames."""
    data = {"record": record, **clip_data(clip, stamp, size)}
    return VisionEvent(camera, time, monotonic, READY, subject, data, "", {"": (clip.mp4, "video/mp4", "mp4")})


def lost_event(
    camera: str, subject: str, record: str, reason: str, sentence: str, time: int, monotonic: float
) -> VisionEvent:
    """What says that the clip of a record never comes, and why: a short code and a sentence; ``time`` is now (ns)."""
    return VisionEvent(camera, time, monotonic, LOST, subject, {"record": record, "reason": reason, "text": sentence})


def clip_data(clip: Clip, stamp: Callable[[int], str], size: tuple[int, int] | None) -> dict[str, Any]:
    """From when to when a clip goes, whether anything is hidden in it, and the size of the frames it is made of."""
    data: dict[str, Any] = {"first_time": stamp(clip.begin), "last_time": stamp(clip.end), "hidden": clip.hidden}
    return {**data, "frame_size": list(size)} if size else data


def sure_event(camera: str, sure: Sure, monotonic: float) -> VisionEvent:
    """What gates and rules hear while the vehicle is still there; no record, which comes when it is gone.

    ``age``: seconds since its frame came from the camera, as far as that is known.
    """
    age = max(0.0, monotonic - sure.arrived) if sure.arrived else 0.0
    data = {"plate": sure.text, "way": sure.way, "limited": sure.limited, "age": age}
    return VisionEvent(camera, sure.time, monotonic, "", camera, data, sure.listed)


def dwell_event(camera: str, dwell: Dwell, stamp: Callable[[int], str], monotonic: float, standing: str) -> VisionEvent:
    """Make the record to be; the rules hear it once, when it has stood for too long. ``standing``: that record's id."""
    data: dict[str, Any] = {
        "zone": dwell.zone,
        "kind": dwell.kind,
        "state": dwell.state,
        "since": stamp(dwell.since),
        "seconds": dwell.seconds,
        "allowed": dwell.allowed,
        "box": list(dwell.box),
    }
    media: dict[str, tuple[bytes, str, str]] = {}
    if dwell.picture is not None:
        data["picture"], media["picture"] = _pictured(dwell.picture, stamp)
    begins = dwell.state == "standing"
    if not begins and standing:
        data["standing"] = standing
    event, identity = ("dwell", standing) if begins else ("", "")
    return VisionEvent(camera, dwell.time, monotonic, DWELL, dwell.zone, data, event, media, identity)


def stands_event(camera: str, stands: Stands, monotonic: float) -> VisionEvent:
    """What goes on is told to the rules alone, and is no news."""
    return VisionEvent(camera, stands.time, monotonic, "", stands.zone, {}, "dwell", told="dwell")


def fell_event(camera: str, fell: Fell, monotonic: float, *, test: bool = False) -> VisionEvent:
    """What the rules hear at once; no record, which comes when the fall is over. ``test``: of a drop test."""
    return VisionEvent(camera, fell.time, monotonic, "", camera, {}, "fall test" if test else "fall")


def fall_event(
    camera: str, fall: Fall, stamp: Callable[[int], str], monotonic: float, *, test: bool = False
) -> VisionEvent:
    """Make the record to be; the rules have heard of it already. ``test``: of a drop test, and the record says so."""
    data: dict[str, Any] = {
        "trajectory": [[stamp(time), x, y] for time, x, y in fall.trajectory],
        "size_px": fall.size_px,
        "size_cm": fall.size_cm,
        "origin": None,
        "impact_speed": fall.speed,
        "gravity": fall.gravity,
        "terminal_speed": fall.terminal,
        "confidence": fall.confidence,
        "first_time": stamp(fall.trajectory[0][0]),
        "last_time": stamp(fall.trajectory[-1][0]),
    }
    if fall.origin is not None:
        origin = fall.origin
        data["origin"] = {"floor": origin.floor, "column": origin.column, "interval": list(origin.interval)}
    if test:
        data["test"] = True
    media: dict[str, tuple[bytes, str, str]] = {}
    if fall.picture is not None:
        data["picture"], media["picture"] = _pictured(fall.picture, stamp)
    return VisionEvent(camera, fall.time, monotonic, FALL, camera, data, "", media)


def _pictured(picture: Picture, stamp: Callable[[int], str]) -> tuple[dict[str, str], tuple[bytes, str, str]]:
    told = {"frame_time": stamp(picture.frame_time), "frame_sha256": picture.frame_sha256}
    return told, (picture.jpeg, "image/jpeg", "jpg")


def shown_fall(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the status may show of the ``data`` of a fall's record."""
    origin = data["origin"] or {}
    return {
        "time": data["first_time"],
        **{key: origin.get(key) for key in ("floor", "interval", "column")},
        **{key: data[key] for key in ("size_px", "size_cm", "impact_speed", "confidence")},
        "test": data.get("test", False),
        "complete": data.get("complete", True),
    }


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
