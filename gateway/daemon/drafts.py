"""Turns what comes over the bus into drafts of records."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from gateway.contract import (
    BusItem,
    DeviceEvent,
    Draft,
    PointValue,
    Reading,
    StateChange,
    TimeQuality,
    VisionEvent,
    record_id,
)

LOST = "linli.media.lost.v1"
WILL = "will/"


def draft_of(item: BusItem) -> Draft:
    """The record that an item of the bus becomes, pictures aside."""
    if isinstance(item, Reading):
        return reading_draft(item)
    if isinstance(item, StateChange):
        return state_draft(item)
    return event_draft(item) if isinstance(item, DeviceEvent) else vision_draft(item, {})


def reading_draft(reading: Reading) -> Draft:
    """One read becomes one ``linli.reading.v1`` with the points that its report policy asks for."""
    wanted, units = reading.record, reading.units
    points = {name: point_json(value, units.get(name, "")) for name, value in reading.points.items() if name in wanted}
    for name, time in (reading.told or {}).items():
        if name in points:
            points[name]["time"] = time
    return Draft(
        stream="perception",
        type="linli.reading.v1",
        source=reading.device,
        subject=reading.device,
        time=reading.time,
        data={"points": points},
        id=record_id(reading.time),
        monotonic=reading.monotonic,
    )


def point_json(value: PointValue, unit: str) -> dict[str, Any]:
    """A point as it stands in a record: value, unit, quality, and the reason when it is bad."""
    point: dict[str, Any] = {"value": value.value, "unit": unit, "quality": value.quality}
    if value.reason is not None:
        point["reason"] = value.reason
    return point


def event_draft(event: DeviceEvent) -> Draft:
    """What a station reports beside the values of points; a matter of life and limb stands among the alarms."""
    return Draft(
        stream="alarm" if event.alarm else "management",
        type="linli.device.event.v1",
        source=event.device,
        subject=event.device,
        time=event.time,
        data=event.data,
        id=record_id(event.time),
        monotonic=event.monotonic,
    )


def state_draft(change: StateChange) -> Draft:
    """A device's, camera's or the gateway's state as a management record."""
    besides = {"besides": list(change.besides)} if change.besides else {}
    return Draft(
        stream="management",
        type=f"linli.{change.kind}.state.v1",
        source=change.name if change.kind != "gateway" else "",
        subject=change.name,
        time=change.time,
        data={"state": change.state.value, "reason": change.reason, "text": change.sentence, **besides},
        id=record_id(change.time),
        monotonic=change.monotonic,
    )


def vision_draft(event: VisionEvent, media: Mapping[str, Mapping[str, Any]]) -> Draft:
    """A camera's result; ``media`` are the stored files that its pictures became, by key of ``data``.

    What could not be stored is not spoken of, but that there is no clip then is said.
    """
    if "" in event.media and "" not in media:
        return _lost(event)
    data = {key: value for key, value in event.data.items() if key not in event.media or key in media}
    for key, reference in media.items():
        if key:
            data[key] = {**reference, **(data.get(key) or {})}
        else:
            data |= reference
    return Draft(
        stream="perception",
        type=event.type,
        source=event.camera,
        subject=event.subject,
        time=event.time,
        data=data,
        id=event.id or record_id(event.time),
        extra={"purpose": event.purpose} if event.purpose else {},
        monotonic=event.monotonic,
    )


def _lost(event: VisionEvent) -> Draft:
    """The record of a clip that the disk did not take, which would have said that it is here."""
    text = "the disk did not take it in time; check the card or disk and its free space"
    data = {"record": event.data["record"], "reason": "disk", "text": text}
    return vision_draft(replace(event, type=LOST, data=data, media={}), {})


def wills(event: VisionEvent, quality: TimeQuality) -> dict[str, bytes | None]:
    """Facts beside a record of a camera: what has to be recorded should what is announced never come, and what not.

    ``quality`` is that of the time now: whoever executes them lives with another clock.
    """
    facts: dict[str, bytes | None] = {f"{WILL}{event.settles}": None} if event.settles else {}
    if event.owes is not None:
        draft = vision_draft(event.owes, {})
        facts[f"{WILL}{draft.id}"] = msgspec.json.encode(replace(draft, monotonic=None, quality=quality))
    return facts


def executed(saved: Mapping[str, bytes]) -> tuple[list[Draft], dict[str, bytes | None]]:
    """What a gateway that was ended hard still owed, as records, and the facts without it."""
    drafts = []
    for value in saved.values():
        with contextlib.suppress(msgspec.MsgspecError):
            drafts.append(msgspec.json.decode(value, type=Draft))
    return drafts, dict.fromkeys(saved)
