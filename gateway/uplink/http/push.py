"""The HTTPS uplink: keeps posting what the outbox gives out, and tells its state."""

import asyncio
import logging
from typing import Any, Protocol

from gateway.contract import Clock, ConfigError
from gateway.metrics import UPLINK_UP
from gateway.settings.core import HttpSettings
from gateway.uplink.address import tls_context
from gateway.uplink.answers import Verdict
from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.http import codes
from gateway.uplink.http.codes import HttpWords
from gateway.uplink.http.media import MediaShelf, MediaUpload
from gateway.uplink.http.origin import media_origin, origin
from gateway.uplink.http.wire import HttpWire
from gateway.uplink.outbox import Outbox, Records
from gateway.uplink.standing import Standing, StoppedError, first_failure, until_stopped

NAME = "http"
FLUSH_STEP = 0.02
# Media go when no more records wait than this: they come after records, not after the last one of all.
CAUGHT_UP = 500

log = logging.getLogger("linli.uplink")


class Vessel(Records, MediaShelf, Protocol):
    """What the uplink needs of the store."""


class HttpUplink:
    """One way out. ``run`` for ever, ``flush`` at the end, ``view`` at any time."""

    name = NAME

    def __init__(self, settings: HttpSettings, gateway: str, store: Vessel, clock: Clock) -> None:
        self._settings, self._gateway, self._store, self._clock = settings, gateway, store, clock
        self._place = origin(settings.url)
        self._words = HttpWords()
        self._outbox = Outbox(NAME, store, self._words, settings.streams, clock, rate=settings.rate)
        self._media = MediaUpload(NAME, settings, gateway, store, clock, self._calm) if settings.media else None
        self._stop = asyncio.Event()
        self._standing = Standing(NAME, self._words, store, clock)

    # ------------------------------------------------------------------------------------------------ outside

    def view(self) -> dict[str, Any]:
        """State for people and /v1/status: name, url, state, reason, since, in_flight, backlog, rate, eta_s, held, …"""
        state, reason = self._state()
        progress = self._outbox.progress() if state == "online" else {"rate": 0.0, "eta_s": None}
        return {
            "name": NAME,
            "url": self._place.url,
            "insecure": self._place.insecure,
            "state": state,
            "reason": reason,
            "since": self._clock.rfc3339(self._standing.since),
            "in_flight": self._outbox.in_flight(),
            "backlog": self._outbox.backlog(),
            **progress,
            "held": self._outbox.held(),
            "parked": self._outbox.parked,
            **({} if self._media is None else {"media": self._media.view()}),
            "problems": self._problems(),
        }

    async def run(self) -> None:
        """Send, and try again when it fails; returns after ``flush``."""
        async with asyncio.TaskGroup() as group:
            media = None if self._media is None else group.create_task(self._media.run(), name="uplink http media")
            await self._standing.keep(self._one_session, lambda: self._outbox.taken, self._stop)
            if media is not None:
                media.cancel()

    async def flush(self, seconds: float) -> None:
        """Send what is there for at most ``seconds``; ``run`` returns."""
        end = self._clock.monotonic() + seconds
        while self._clock.monotonic() < end and self._standing.state != "offline" and not self._outbox.idle():
            await self._clock.sleep(FLUSH_STEP)
        self._stop.set()

    # ------------------------------------------------------------------------------------------------ sending

    async def _one_session(self) -> ConnectionFailedError | None:
        """Post until a request has no answer; why, or None when we were asked to stop."""
        try:
            tls = tls_context(self._settings) if self._place.tls else None
            wire = HttpWire(self._settings, self._gateway, self._store.epoch, tls, self._clock, self._heard)
        except ConfigError as error:
            return ConnectionFailedError(str(error), refused=True)
        failed: ConnectionFailedError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                wire.begin(group)
                group.create_task(until_stopped(self._stop))
                await wire.open()
                if self._outbox.idle():
                    await self._heard()
                await self._outbox.pump(wire)
        except* ConnectionFailedError as failures:
            failed = first_failure(failures)
        except* ConfigError as failures:
            failed = ConnectionFailedError(str(failures.exceptions[0]), refused=True)
        except* StoppedError:
            pass
        finally:
            wire.close()
            UPLINK_UP.labels(NAME).set(0)
            await self._outbox.lost(None)
        return None if self._stop.is_set() else failed

    def _calm(self) -> bool:
        """Whether media may go: the platform answers, and nearly all records have gone that it will take."""
        held = self._outbox.held()
        waiting = sum(count for stream, count in self._outbox.backlog().items() if stream not in held)
        return self._standing.state == "online" and waiting <= CAUGHT_UP

    # ------------------------------------------------------------------------------------------------ state

    async def _heard(self) -> None:
        """The platform has answered, whatever it said."""
        if self._standing.state == "online":
            return
        log.info("%s: %s answers", NAME, self._place.url)
        await self._standing.up(f"the connection to {self._place.url} works again")

    def _state(self) -> tuple[str, str]:
        """State and reason; a platform in trouble of its own is there, but takes nothing."""
        later = [
            lane.held.sentence
            for lane in self._outbox.lanes
            if lane.held is not None and codes.verdict(lane.held.code) is Verdict.LATER
        ]
        standing = self._standing
        return ("degraded", later[0]) if standing.state == "online" and later else (standing.state, standing.reason)

    def _problems(self) -> list[str]:
        found = [*self._outbox.held().values(), self._outbox.unreadable]
        if self._media is not None:
            found.append(self._media.problem)
        places = [self._place, *([media_origin(self._settings)] if self._media is not None else [])]
        found += [
            f"{place.url} is not encrypted: records and secrets can be read on the way"
            for place in places
            if place.insecure
        ]
        return [sentence for sentence in found if sentence]
