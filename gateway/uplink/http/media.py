"""Uploads the pictures and clips that delivered records name, and says which came too late."""

import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

from gateway.contract import SEND_ORDER, Clock, CommandError, ConfigError, Draft, Record, Stream, record_id
from gateway.settings.core import MEDIA_CONSUMER, HttpSettings
from gateway.uplink import notices
from gateway.uplink.answers import SPLITS, Verdict
from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.http.codes import HttpWords
from gateway.uplink.http.origin import media_origin
from gateway.uplink.http.pictures import Picture, named, naming
from gateway.uplink.http.transfer import GoneError, RefusedError, Transfer

LOOK_SECONDS = 0.5
FIRST_RETRY, LAST_RETRY = 0.5, 10.0
CHUNK_RECORDS, CHUNK_BYTES = 500, 256 * 1024
NAMED_AT_ONCE = 64  # files that one notice names
REMEMBERED = 1000
# So many refused one after the other are no bad files but a platform that takes none.
MOST_PARKED_IN_A_ROW = 20

log = logging.getLogger("linli.uplink")


class MediaShelf(Protocol):
    """What the upload needs of the store, beside what the outbox needs."""

    async def put(self, drafts: Sequence[Draft], *, urgent: bool = False) -> None:
        """Queue for the next commit."""

    async def records(self, stream: Stream, after: int, limit: int, max_bytes: int | None = None) -> Sequence[Record]:
        """Committed records behind ``after``."""

    def position(self, consumer: str, stream: Stream) -> int:
        """Last sequence the consumer has confirmed; 0 at first."""

    def confirm(self, consumer: str, stream: Stream, sequence: int) -> None:
        """Move the consumer's cursor with the next commit."""

    def media(self, sha256: str) -> tuple[Path, str] | None:
        """File and content type; None when it is not here."""


class MediaUpload:
    """A second cursor per stream, behind the records' own: what it has passed is uploaded, or told of."""

    def __init__(
        self,
        uplink: str,
        settings: HttpSettings,
        gateway: str,
        store: MediaShelf,
        clock: Clock,
        calm: Callable[[], bool],
    ) -> None:
        """``calm`` says whether media may go now."""
        self._uplink, self._settings, self._store, self._clock, self._calm = uplink, settings, store, clock, calm
        self._url = media_origin(settings).url
        self._transfer = Transfer(settings, gateway, clock)
        self._words = HttpWords()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._delay = 0.0
        self._parked_in_a_row = 0
        self._told: set[int] = set()
        self._uploaded = self._gone = self._parked = 0
        self.problem = self._logged = ""

    def view(self) -> dict[str, Any]:
        """``url``, files ``uploaded``, ``gone`` (evicted before their turn) and ``parked`` since the start."""
        return {
            "url": self._url,
            "uploaded": self._uploaded,
            "bytes": self._transfer.sent_bytes,
            "gone": self._gone,
            "parked": self._parked,
            "problem": self.problem,
        }

    async def run(self) -> NoReturn:
        """Upload for ever."""
        try:
            while True:
                for stream in (stream for stream in SEND_ORDER if stream in self._settings.streams):
                    await self._follow(stream)
                await self._clock.sleep(LOOK_SECONDS)
        finally:
            self._transfer.close()

    async def _follow(self, stream: Stream) -> None:
        """Bring the media of one stream up to where its records are delivered."""
        delivered = self._store.position(self._uplink, stream)
        while (position := self._store.position(MEDIA_CONSUMER, stream)) < delivered:
            try:
                found = await self._store.records(stream, position, CHUNK_RECORDS, CHUNK_BYTES)
            except CommandError:  # the outbox says that the store cannot be read
                return
            records = [record for record in found if record.sequence <= delivered]
            await self._upload(stream, records)
            # Without records, everything up to here was evicted: a gap record accounts for it.
            self._store.confirm(MEDIA_CONSUMER, stream, records[-1].sequence if records else delivered)

    async def _upload(self, stream: Stream, records: Sequence[Record]) -> None:
        gone: list[tuple[Picture, Record]] = []
        for record in records:
            pictures = named(record.json)
            for picture in pictures:
                if not await self._one(stream, record, picture):
                    gone.append((picture, record))
            if len(gone) >= NAMED_AT_ONCE or (gone and record is records[-1]):
                await self._tell_gone(gone)
                gone = []
            if pictures and not gone:
                self._store.confirm(MEDIA_CONSUMER, stream, record.sequence)

    async def _one(self, stream: Stream, record: Record, picture: Picture) -> bool:
        """Upload one file, however long that takes; False when it is no longer here."""
        while picture.sha256 not in self._known:
            while not self._calm():
                await self._clock.sleep(LOOK_SECONDS)
            file = self._store.media(picture.sha256)
            if file is None:
                return False
            try:
                await self._deliver(picture, file[0])
            except GoneError:
                return False
            except RefusedError as refusal:
                if refusal.verdict in SPLITS and self._parked_in_a_row < MOST_PARKED_IN_A_ROW:
                    await self._park(stream, record, picture, refusal)
                    return True
                await self._wait(stream, str(refusal), refusal.discreet, refusal)
            except ConnectionFailedError as error:
                what = "media cannot be uploaded: "
                await self._wait(stream, f"{what}{error}", f"{what}{error.discreet}")
            except (ConfigError, OSError) as error:
                sentence = f"media cannot be uploaded: {error}"
                await self._wait(stream, sentence, sentence)
        return True

    async def _deliver(self, picture: Picture, path: Path) -> None:
        if await self._transfer.deliver(picture, path):
            self._uploaded += 1
        self._known[picture.sha256] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        self._delay, self._parked_in_a_row = 0.0, 0
        if self.problem:
            log.info("%s: media are taken again", self._uplink)
            self.problem = self._logged = ""
        if self._told:
            self._told.clear()
            await self._store.put([notices.accepted(self._clock, self._uplink, None, "the platform takes media again")])

    async def _wait(self, stream: Stream, sentence: str, discreet: str, refusal: RefusedError | None = None) -> None:
        """Say once what is wrong, and let some time pass. ``discreet``: without the platform's own words."""
        if discreet != self._logged:
            log.warning("%s: %s", self._uplink, discreet)
        self.problem, self._logged = sentence, discreet
        if refusal is not None and refusal.verdict is not Verdict.LATER and refusal.status not in self._told:
            self._told.add(refusal.status)
            await self._store.put([self._refused(stream, refusal, effect="held")])
        self._delay = min(LAST_RETRY, max(FIRST_RETRY, self._delay * 2))
        asked = refusal.wait if refusal is not None else 0.0
        await self._clock.sleep(max(asked, self._delay * random.uniform(0.5, 1.0)))  # noqa: S311 - spreads retries

    async def _park(self, stream: Stream, record: Record, picture: Picture, refusal: RefusedError) -> None:
        self._parked, self._parked_in_a_row = self._parked + 1, self._parked_in_a_row + 1
        log.warning("%s: parked a file of %s: %s", self._uplink, stream, refusal.discreet)
        about = {"effect": "parked", "records": [naming(record.json)], "sha256": picture.sha256}
        await self._store.put([self._refused(stream, refusal, **about)])

    def _refused(self, stream: Stream, refusal: RefusedError, **more: Any) -> Draft:  # noqa: ANN401
        return notices.refused(
            self._clock, self._uplink, stream, refusal.status, str(refusal), self._words, what="media", **more
        )

    async def _tell_gone(self, gone: Sequence[tuple[Picture, Record]]) -> None:
        self._gone += len(gone)
        now = self._clock.wall()
        data = {
            "count": len(gone),
            "bytes": sum(picture.bytes for picture, _ in gone),
            "cause": "unsent",
            "sha256": [picture.sha256 for picture, _ in gone],
            "uplink": self._uplink,
            "records": [naming(record.json) for _, record in gone],
        }
        await self._store.put([Draft("management", "linli.media.gap.v1", "", "media", now, data, record_id(now))])
