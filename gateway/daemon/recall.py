"""Reads back after a start which plates went into each area last and which out: memory has lost it, the records not."""

import logging
from collections.abc import Mapping

import msgspec

from gateway.contract import Clock, CommandError, Run, Stream
from gateway.store import Store
from gateway.vision.presence import Presence

STREAM: Stream = "perception"
PASSAGE = b'"linli.vehicle.passage.v1"'
WINDOW = 20_000  # records at once, the newest first: who passed last passes next
MOST = 2_000_000  # records: what lies further back is not looked for
RUN_RECORDS, RUN_BYTES = 1000, 256 << 10
REST, SHARE = 0.2, 3.0  # seconds between windows, at least so many times what the last one took

log = logging.getLogger("linli.parking")


class _Plate(msgspec.Struct):
    text: str | None = None
    status: str | None = None


class _Data(msgspec.Struct):
    direction: str = ""
    plate: _Plate | None = None


class _Passage(msgspec.Struct):
    source: str
    data: _Data


class Recall:
    """Fills a ``Presence`` from the passages on record; what has passed since the start is not touched."""

    def __init__(self, areas: Mapping[str, str], presence: Presence, store: Store, clock: Clock) -> None:
        """``areas``: of each camera whose passages in and out alternate."""
        self._areas, self._presence, self._store, self._clock = areas, presence, store, clock

    async def run(self) -> None:
        """Read back once, slowly; without the records everything begins anew, as it does for a new plate."""
        first, last = self._store.bounds(STREAM)
        end, begin = last, max(first - 1, last - MOST, 0)
        try:
            while end > begin and not self._presence.full:
                began = self._clock.monotonic()
                after = max(begin, end - WINDOW)
                await self._window(after, end)
                end = after
                await self._clock.sleep(max(REST, SHARE * (self._clock.monotonic() - began)))
        except CommandError as error:
            log.warning("who is inside is known of new passages only: %s", error)

    async def _window(self, after: int, end: int) -> None:
        """Take up the last passage of each plate between two records."""
        found: dict[tuple[str, str], str] = {}
        while after < end and (runs := await self._store.runs(STREAM, after, RUN_RECORDS, RUN_BYTES)):
            for run in runs:
                found |= self._passages(run)
            after = runs[-1].last
        for (area, plate), direction in found.items():
            self._presence.recall(area, plate, direction)

    def _passages(self, run: Run) -> dict[tuple[str, str], str]:
        found = {}
        for raw in msgspec.json.decode(run.json, type=list[msgspec.Raw]) if PASSAGE in run.json else ():
            if PASSAGE not in bytes(raw):
                continue
            try:
                passage = msgspec.json.decode(raw, type=_Passage)
            except msgspec.MsgspecError:
                continue  # of another version, or no passage after all
            area, data = self._areas.get(passage.source.rpartition("/")[2]), passage.data
            plate = data.plate.text if data.plate and data.plate.status == "accepted" else None
            if area and plate and data.direction in ("in", "out"):
                found[area, plate] = data.direction
        return found
