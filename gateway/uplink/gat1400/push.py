"""The GA/T 1400 uplink: keeps registered, keeps sending, and tells its state."""

import asyncio
import contextlib
import logging
from typing import Any, NoReturn

from gateway.contract import Clock, ConfigError
from gateway.metrics import UPLINK_UP
from gateway.settings.core import Gat1400Settings
from gateway.uplink.address import tls_context
from gateway.uplink.answers import Verdict
from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.gat1400 import codes
from gateway.uplink.gat1400.codes import ViewWords
from gateway.uplink.gat1400.delivery import NAME, STREAM, Delivery, Shelf
from gateway.uplink.gat1400.session import LostError, Session, place_of
from gateway.uplink.standby import Standby
from gateway.uplink.standing import Standing, StoppedError, first_failure, until_stopped

FLUSH_STEP = 0.02
# Taking leave must not delay the stop of the daemon by more than this.
LEAVE_SECONDS = 1.0

log = logging.getLogger("linli.uplink")


class Gat1400Uplink:
    """One way out. ``run`` for ever, ``flush`` at the end, ``view`` at any time."""

    name = NAME

    def __init__(self, settings: Gat1400Settings, store: Shelf, clock: Clock) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._place = place_of(settings)
        self._delivery = Delivery(settings, store, clock)
        self._stop, self._ended = asyncio.Event(), asyncio.Event()
        self._standing = Standing(NAME, ViewWords(), store, clock)
        self._registrations = 0

    # ------------------------------------------------------------------------------------------------ outside

    def view(self) -> dict[str, Any]:
        """State for people and /v1/status: name, url, state, reason, since, in_flight, backlog, held, vehicles, …"""
        held = self._delivery.held()
        state, reason = self._standing.state, self._standing.reason
        if state == "online" and held is not None and codes.verdict(held.code) is Verdict.LATER:
            state, reason = "degraded", held.sentence
        return {
            "name": NAME,
            "url": self._place.url,
            "insecure": self._place.insecure,
            "state": state,
            "reason": reason,
            "since": self._clock.rfc3339(self._standing.since),
            "in_flight": self._delivery.in_flight,
            "backlog": {STREAM: self._delivery.backlog()},
            "rate": 0.0,
            "eta_s": None,
            "held": {} if held is None else {STREAM: held.sentence},
            "parked": self._delivery.parked,
            "vehicles": self._delivery.taken,
            "without_picture": self._delivery.bare,
            "registrations": self._registrations,
            "problems": self._problems(),
        }

    async def run(self) -> None:
        """Register and send, and again when that fails; returns after ``flush``."""
        try:
            await self._standing.keep(self._one_session, lambda: self._delivery.taken, self._stop)
        finally:
            self._ended.set()

    async def flush(self, seconds: float) -> None:
        """Send what is there for at most ``seconds``, end the registration; ``run`` returns."""
        end = self._clock.monotonic() + seconds - LEAVE_SECONDS
        while self._clock.monotonic() < end and self._standing.state != "offline" and not self._delivery.idle():
            await self._clock.sleep(FLUSH_STEP)
        self._stop.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._ended.wait()

    # ------------------------------------------------------------------------------------------------ sending

    async def _one_session(self) -> ConnectionFailedError | None:
        """Send until the connection or the registration is lost; why, or None when we were asked to stop."""
        try:
            session = Session(self._settings, tls_context(self._settings) if self._place.tls else None, self._clock)
        except ConfigError as error:
            return ConnectionFailedError(str(error), refused=True)
        failed: ConnectionFailedError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(until_stopped(self._stop))
                await self._stay(session)
        except* ConnectionFailedError as failures:
            failed = first_failure(failures)
        except* StoppedError:
            pass
        finally:
            UPLINK_UP.labels(NAME).set(0)
            if self._stop.is_set():
                await self._leave(session)
            session.close()
        return None if self._stop.is_set() else failed

    async def _stay(self, session: Session) -> NoReturn:
        """Stay registered: a registration that was of use and has ended is made again at once."""
        while True:
            await session.register()
            await self._heard()
            try:
                await self._serve(session)
            except LostError:
                if not session.served:
                    raise

    async def _serve(self, session: Session) -> NoReturn:
        """Send what is there, and keep the registration alive."""
        due = self._clock.monotonic() + self._settings.keepalive
        wake = asyncio.Event()
        async with Standby(self._store, self._clock, wake) as standby:
            while True:
                wake.clear()
                if self._clock.monotonic() >= due:
                    await session.keep_alive()
                    due = self._clock.monotonic() + self._settings.keepalive
                if await self._delivery.step(session):
                    continue
                wakes_at = self._delivery.wakes_at()
                await standby.wait(due if wakes_at is None else min(due, wakes_at), self._delivery.awaits())

    async def _leave(self, session: Session) -> None:
        """Unregister, if there is somebody to hear of it."""
        if not session.registered:
            return
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await session.unregister()
        except (ConnectionFailedError, TimeoutError) as error:
            why = error.discreet if isinstance(error, ConnectionFailedError) else "no answer"
            log.info("%s: the registration was not ended: %s", NAME, why)

    # ------------------------------------------------------------------------------------------------ state

    async def _heard(self) -> None:
        """The platform has registered us."""
        self._registrations += 1
        if self._registrations == 1:
            log.info("%s: registered at %s", NAME, self._place.url)
        await self._standing.up(f"{self._place.url} registers this gateway again")

    def _problems(self) -> list[str]:
        held = self._delivery.held()
        found = ["" if held is None else held.sentence, self._delivery.unreadable]
        if self._place.insecure:
            found.append(f"{self._place.url} is not encrypted: plates and pictures can be read on the way")
        return [sentence for sentence in found if sentence]
