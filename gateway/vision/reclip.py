"""Clips of a recording that was played: cut out of the file itself once its records are known."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from gateway.contract import VisionEvent, record_id
from gateway.settings import CameraSettings
from gateway.vision.capture import Capture
from gateway.vision.clip import CONTENT_TYPE, SUFFIX, ClipError, make_clip
from gateway.vision.conceal import Concealer
from gateway.vision.events import FALL, PASSAGE, READY, clip_data
from gateway.vision.messages import Clip
from gateway.vision.ring import Coded
from gateway.vision.watchers import FALL_AFTER, FALL_BEFORE, LONGEST_FALL, LONGEST_PASSAGE

SECOND = 1_000_000_000


class Recording:
    """One file that begins at ``start`` (ns since 1970), and what happens in it that is to have a clip."""

    def __init__(self, camera: CameraSettings, file: Path, start: int, concealer: Concealer | None = None) -> None:
        """``concealer`` hides faces and plates where ``unblurred`` does not say that nothing has to be."""
        self._camera, self._file, self._start = camera, file, start
        self._concealer = concealer if camera.unblurred is None else None
        self._owed: list[tuple[VisionEvent, int, int]] = []

    def note(self, event: VisionEvent) -> VisionEvent:
        """Give an event its record's id if a clip will have to name it."""
        around = self._around(event)
        if around is None:
            return event
        event = replace(event, id=record_id(event.time))
        first, last = (_ns(str(event.data[key])) for key in ("first_time", "last_time"))
        before, after, longest = (round(seconds * SECOND) for seconds in around)
        self._owed.append((event, max(first, last - longest) - before, last + after))
        return event

    def _around(self, event: VisionEvent) -> tuple[float, float, float] | None:
        """Seconds before and after, and how long what lies between may be."""
        clip = self._camera.vehicles.clip if self._camera.vehicles else None
        if self._camera.unblurred is None and (self._concealer is None or not self._concealer.able):
            return None
        if event.type == FALL:
            return FALL_BEFORE, FALL_AFTER, LONGEST_FALL
        return (clip.before, clip.after, LONGEST_PASSAGE) if clip and event.type == PASSAGE else None

    def clips(self, stamp: Callable[[int], str], warn: Callable[[str], None]) -> Iterator[VisionEvent]:
        """Give what says that each clip is there, in order; what cannot be made is warned of."""
        for event, begin, end in self._owed:
            with contextlib.closing(Capture(str(self._file))) as capture:
                packets = self._between(capture, begin, end)
                try:
                    mp4 = make_clip(packets, capture.stream, self._camera.masks, begin, self._concealer, _own(event))
                except ClipError as error:
                    warn(f"no clip for {stamp(event.time)}: {error}")
                    continue
            cut = self._camera.masks or self._concealer is not None
            first = max(packets[0].wall, begin) if cut else packets[0].wall
            last = packets[-1].wall
            codec = capture.stream.codec_context
            clip = Clip("", begin=first, end=last, hidden=self._concealer is not None)
            data = {"record": event.id, **clip_data(clip, stamp, (codec.width, codec.height))}
            media = {"": (mp4, CONTENT_TYPE, SUFFIX)}
            yield VisionEvent(
                event.camera, last, event.monotonic, READY, event.subject, data, media=media, purpose=event.purpose
            )

    def _between(self, capture: Capture, begin: int, end: int) -> Sequence[Coded]:
        found: list[Coded] = []
        for coded in capture.packets(start=self._start):
            if coded.wall > end:
                break
            if coded.key and coded.wall <= begin:
                found = []
            if found or coded.key:
                found.append(coded)
        return found


def _own(event: VisionEvent) -> str:
    plate = event.data.get("plate", {})
    return str(plate["text"]) if plate.get("status") == "accepted" else ""


def _ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000) * 1_000_000
