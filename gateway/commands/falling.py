"""Falls that were recorded, and what people have said of each: true or false, who and why; the records stay as are."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.contract import Clock, CommandError, Draft, Stream, record_id
from gateway.settings.nearest import did_you_mean

if TYPE_CHECKING:
    from gateway.settings import CameraSettings
    from gateway.store import Store

FALL, LABELLED = b"linli.falling_object.v1", b"linli.disposal.labelled.v1"
READY, LOST = b"linli.media.ready.v1", b"linli.media.lost.v1"
DISPOSAL: tuple[Stream, ...] = ("disposal",)
LABELS = ("true", "false", "none")
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
MARGIN = 1800 * SECOND  # between a record's id and its storing: it may wait for the clock, and its clip for the fall
AT_ONCE = 1000  # records
RUN_BYTES = 256 << 10
ANSWER_BYTES = 8 << 20
PATIENCE = 5.0  # seconds until a label is on disk, so that whoever asks next sees it
LEAST_WHY = 4  # characters
LEAST_PART = 6  # characters of an id that is not written out

log = logging.getLogger("linli.commands")


class _Place(msgspec.Struct):
    """What of a record tells when it was stored."""

    recordedtime: str


@dataclass(slots=True)
class Fall:
    """One recorded fall, the clip that followed it or why none did (``lost``), and the label that counts."""

    event: dict[str, Any]
    clip: dict[str, Any] | None = None
    label: dict[str, Any] | None = None
    lost: str | None = None

    @property
    def id(self) -> str:
        """The record's."""
        return str(self.event["id"])

    @property
    def camera(self) -> str:
        """Who has seen it."""
        return str(self.event["subject"])

    def window(self) -> tuple[str, int, int] | None:
        """Camera, first and last moment (ns since 1970) of the clip, if there is one and the fall has a label."""
        if self.clip is None or self.label is None:
            return None
        return self.camera, _ns(self.clip["first_time"]), _ns(self.clip["last_time"])

    def is_in(self, windows: "Sequence[tuple[str, int, int]]") -> bool:
        """Whether it may be seen in one of these clips."""
        ends = self.event["data"]["trajectory"]
        first, last = _ns(ends[0][0]), _ns(ends[-1][0])
        return any(camera == self.camera and first <= end and last >= begin for camera, begin, end in windows)

    def row(self) -> dict[str, Any]:
        """What a list shows of it."""
        data, label = self.event["data"], self.label
        origin = data.get("origin") or {}
        return {
            "record": self.id,
            "camera": self.camera,
            "time": data.get("first_time", self.event["time"]),
            "floor": origin.get("floor"),
            "interval": origin.get("interval"),
            "column": origin.get("column"),
            **{key: data.get(key) for key in ("size_px", "size_cm", "impact_speed", "confidence")},
            "test": data.get("test", False),
            "complete": data.get("complete", True),
            "clip": self.clip["sha256"] if self.clip else None,
            "clip_lost": None if self.clip else self.lost or data.get("reason"),
            "label": label["label"] if label else None,
            **{key: label[key] if label else None for key in ("why", "by")},
            "labelled": label["time"] if label else None,
        }


@dataclass(slots=True)
class Found:
    """Falls by the id of their record, oldest first, and whether the sought id belongs to another kind of record."""

    falls: dict[str, Fall] = field(default_factory=dict)
    other: str = ""


class Falls:
    """Answers for one store and the cameras of its gateway."""

    def __init__(self, store: "Store", clock: Clock, cameras: "Sequence[CameraSettings]") -> None:
        self._store, self._clock, self._cameras = store, clock, cameras

    async def recent(self, days: int, last: int) -> dict[str, Any]:
        """The newest ``last`` falls of so many days, oldest first, with their labels; ``total`` counts all of them."""
        found = (await self._search(self._clock.wall() - days * DAY)).falls.values()
        falls = sorted((fall.row() for fall in found), key=lambda row: _ns(row["time"]))
        return {"falls": falls[-last:], "total": len(falls)}

    async def label(self, record: str, label: str, why: str, by: str) -> dict[str, Any]:
        """Put on record that a fall is ``true`` or ``false``, or (``none``) that nothing is said of it any more.

        CommandError: 400 without a reason, 404 for what is no fall, 409 when there is no label to take away.
        """
        if label not in LABELS:
            raise CommandError(f"{label[:40]!r} is no label: {', '.join(LABELS)}")
        why = _words(why)
        fall = await self._fall(record)
        if label == "none" and fall.label is None:
            raise CommandError(f"fall {fall.id} has no label, so there is none to take away", 409)
        wall = self._clock.wall()
        said = {"record": fall.id, "label": label, "why": why, "by": by, "was": _now(fall.label)}
        draft = Draft("disposal", LABELLED.decode(), fall.camera, fall.camera, wall, said, record_id(wall))
        await self._store.put([draft], urgent=True)
        with contextlib.suppress(TimeoutError):  # on a disk that takes nothing it is stored as soon as it does
            async with asyncio.timeout(PATIENCE):
                await self._store.committed(DISPOSAL)
        log.info("%s: fall %s of camera %s is labelled %s", by, fall.id, fall.camera, label)
        fall.label = None if label == "none" else {**said, "time": self._clock.rfc3339(wall)}
        return fall.row()

    async def export(self, days: int, reason: str, by: str) -> dict[str, Any]:
        """Labelled falls of so many days with all that a training set needs; that they were taken out is on record.

        ``falls`` holds those too that have no label but may be seen in the clip of one that has. ``cameras`` is what a
        clip may show (masks, leave) and how its camera stands.
        """
        reason = _words(reason)
        since = self._clock.wall() - days * DAY
        falls = (await self._search(since)).falls
        windows = [window for fall in falls.values() if (window := fall.window()) is not None]
        wanted = {fall.id for fall in falls.values() if fall.label or fall.is_in(windows)}
        rows: list[dict[str, Any]] = []
        size = 0
        async for event in self._events("perception", since, (FALL,) if wanted else ()):
            if event["id"] not in wanted:
                continue
            fall = falls[event["id"]]
            rows.append({**fall.row(), "trajectory": event["data"]["trajectory"], "clip": fall.clip})
            size += len(msgspec.json.encode(rows[-1]))
            if size > ANSWER_BYTES:
                rows.pop()
                break
        wall = self._clock.wall()
        counts = {"perception": sum(1 for row in rows if row["label"])}
        files = sum(1 for row in rows if row["label"] and row["clip"])
        data = {"by": by, "reason": reason, "what": "export", "records": counts, "files": files}
        draft = Draft("disposal", "linli.disposal.accessed.v1", "", "falling", wall, data, record_id(wall))
        await self._store.put([draft], urgent=True)
        log.info("%s: export of %d labelled falls", by, counts["perception"])
        keys = {"masks", "unblurred", "falling"}
        cameras = {
            camera.name: camera.model_dump(mode="json", by_alias=True, include=keys)
            for camera in self._cameras
            if camera.falling is not None
        }
        exported = self._clock.rfc3339(wall)
        return {
            "falls": rows, "cameras": cameras, "more": len(rows) < len(wanted), "exported": exported, "by": by,
            "reason": reason,
        }  # fmt: skip

    async def rows(self, records: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of these records by their whole id; CommandError 404 names the first that is no fall."""
        made = [_made(record) for record in records]
        since = min((time for time in made if time is not None), default=0)
        falls = (await self._search(since - MARGIN)).falls if records else {}
        for record in records:
            if record not in falls:
                raise CommandError(f'no fall "{record[:80]}" is recorded here', 404)
        return {record: falls[record].row() for record in records}

    async def _fall(self, record: str) -> Fall:
        """The fall of an id, or of one end of an id that only one has."""
        since = _made(record)
        if since is not None and (fall := (await self._search(since - MARGIN)).falls.get(record)):
            return fall
        found = await self._search(0, record)
        ends = [one for one in found.falls if one.startswith(record) or one.endswith(record)]
        if len(ends) == 1 and len(record) >= LEAST_PART:
            return found.falls[ends[0]]
        if found.other:
            raise CommandError(f"record {record} is a {found.other}; only falls are labelled", 404)
        if ends:
            raise CommandError(f'"{record[:80]}" is an end of {len(ends)} falls; write more of the id', 409)
        near = did_you_mean(record, found.falls)
        hint = near if near.startswith("did you mean") else "linli falling list shows them"
        raise CommandError(f'no fall "{record[:80]}" is recorded here; {hint}', 404)

    async def _search(self, since: int, also: str = "") -> Found:
        """All falls that were stored since then (ns since 1970), with clips and labels; ``also``: an id to look for."""
        found = Found()
        sought = also.encode() if len(also) >= LEAST_PART else b""
        async for event in self._events("perception", since, (FALL, READY, LOST, *([sought] if sought else []))):
            kind, data = event["type"].encode(), event["data"]
            if event["id"] == also and kind != FALL:
                found.other = event["type"]
            if kind == FALL:
                data["trajectory"] = data["trajectory"][:: max(1, len(data["trajectory"]) - 1)]  # its ends will do
                found.falls[event["id"]] = Fall(event)
            elif kind == READY and data.get("record") in found.falls:
                found.falls[data["record"]].clip = data
            elif kind == LOST and data.get("record") in found.falls:
                found.falls[data["record"]].lost = data["reason"]
        async for event in self._events("disposal", since, (LABELLED,)):
            data = event["data"]
            fall = found.falls.get(data.get("record"))
            if fall is not None and event["type"].encode() == LABELLED:
                fall.label = None if data["label"] == "none" else {**data, "time": event["time"]}
        return found

    async def _events(self, stream: Stream, since: int, needles: Sequence[bytes]) -> AsyncIterator[dict[str, Any]]:
        """Records that hold one of these words, stored since then, oldest first."""
        after = await self._place(stream, since) if since > 0 else 0
        while runs := await self._store.runs(stream, after, AT_ONCE, RUN_BYTES):
            for run in runs:
                if not any(needle in run.json for needle in needles):
                    continue
                for raw in msgspec.json.decode(run.json, type=list[msgspec.Raw]):
                    record = bytes(raw)
                    if any(needle in record for needle in needles):
                        yield msgspec.json.decode(record)
            after = runs[-1].last
            await asyncio.sleep(0)

    async def _place(self, stream: Stream, since: int) -> int:
        """A sequence up to which everything was stored before ``since``: found by halves, for a stream may be long."""
        low, high = self._store.bounds(stream)
        low = max(0, low - 1)
        while high - low > AT_ONCE:
            middle = (low + high) // 2
            records = await self._store.records(stream, middle, 1)
            if not records or _ns(msgspec.json.decode(records[0].json, type=_Place).recordedtime) >= since:
                high = middle
            else:
                low = middle
        return low


def _ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000) * 1_000_000


def _made(record: str) -> int | None:
    """When a UUIDv7 was made (RFC 9562, 5.7), ns since 1970; None for what is none."""
    digits = record.replace("-", "")
    if len(record) != 36 or len(digits) != 32 or digits[12:13] != "7" or not digits.isalnum():
        return None
    try:
        return int(digits[:12], 16) * 1_000_000
    except ValueError:
        return None


def _now(label: Mapping[str, Any] | None) -> str:
    return str(label["label"]) if label else "none"


def _words(text: str) -> str:
    words = " ".join(text.split())
    if len(words) < LEAST_WHY:
        raise CommandError("say why, in a few words: it goes into the record of this")
    return words[:500]
