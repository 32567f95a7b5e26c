"""The MQTT 5 uplink: keeps one session to the broker, lets the outbox and the inbox work over it, tells its state."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway import __version__
from gateway.contract import Clock, ConfigError
from gateway.metrics import UPLINK_UP
from gateway.settings.core import MqttSettings
from gateway.uplink import notices, reasons
from gateway.uplink.address import parse_all, password, tls_context
from gateway.uplink.answers import Ack
from gateway.uplink.dial import ConnectionFailedError
from gateway.uplink.inbox import Executes, Inbox
from gateway.uplink.outbox import Outbox, Records
from gateway.uplink.pause import Pause
from gateway.uplink.receipts import Receipts
from gateway.uplink.session import WILL_DELAY, Session, properties
from gateway.uplink.standing import StoppedError, first_failure
from gateway.uplink.topics import topic
from gateway.uplink.tour import Tour
from gateway.uplink.wire import SessionWire
from gateway.words import many

NAME = "mqtt"
STEADY_SECONDS = 10.0
TICK = 1.0
GOODBYE_SECONDS, FLUSH_STEP = 1.0, 0.02
# After so long without a word the platform is asked after; parked records are a problem for a day.
PLATFORM_LATE, PARKED_SHOWN = 180.0, 86400.0

log = logging.getLogger("linli.uplink")


class Vessel(Records, Protocol):
    """What the uplink needs of the store."""

    @property
    def failing(self) -> str | None:
        """A sentence while the disk does not take everything."""


class MqttUplink:
    """One way out. ``run`` for ever, ``flush`` at the end, ``view`` at any time."""

    name = NAME

    def __init__(
        self,
        settings: MqttSettings,
        gateway: str,
        store: Vessel,
        commands: Executes,
        clock: Clock,
        status: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._settings, self._gateway, self._store, self._clock, self._status = settings, gateway, store, clock, status
        self._tour = Tour(parse_all(settings))
        self._words = reasons.MqttWords(gateway)
        awaits = settings.window if settings.ack == "platform" else 0
        self._outbox = Outbox(NAME, store, self._words, settings.streams, clock, rate=settings.rate, awaits=awaits)
        receipts = Receipts(NAME, lambda: store.epoch, self._outbox.acknowledge, clock) if awaits else None
        self._inbox = Inbox(NAME, gateway, commands, clock, wish=lambda: self._outbox.flow.budget, receipts=receipts)
        self._receipts = receipts
        self._stop = asyncio.Event()
        self._state, self._since = "starting", clock.wall()
        self._state_refusal, self._state_refused = "", 0

    # ------------------------------------------------------------------------------------------------ outside

    def view(self) -> dict[str, Any]:
        """State for people and /v1/status: name, url, state, reason, since, in_flight, backlog, rate, eta_s, held, …"""
        progress = self._outbox.progress() if self._state == "online" else {"rate": 0.0, "eta_s": None}
        return {
            "name": NAME,
            "url": self._tour.broker.url,
            "fallback": self._settings.fallback,
            "insecure": self._tour.broker.insecure,
            "ack": self._settings.ack,
            "state": self._state,
            "reason": self._reason(),
            "since": self._clock.rfc3339(self._since),
            "in_flight": self._outbox.in_flight(),
            "backlog": self._outbox.backlog(),
            **progress,
            "held": self._outbox.held(),
            "parked": self._outbox.parked,
            "acks_refused": self._receipts.refused if self._receipts else 0,
            "problems": self._problems(),
        }

    async def run(self) -> None:
        """Connect, serve, reconnect; returns after ``flush``."""
        pause = Pause(self._clock, self._stop)
        while not self._stop.is_set():
            began, taken = self._clock.monotonic(), self._outbox.taken
            error = await self._one_session()
            if error is None:
                break
            steady = self._state == "online" and self._clock.monotonic() - began > STEADY_SECONDS
            moved = self._outbox.taken > taken and error.code != reasons.TAKEN_OVER
            if steady:
                self._tour.lasted()
            if steady or moved:
                # A link that breaks again and again, and carries something each time, is not left for long.
                pause.served(steady=steady)
            await self._down(error)
            # One that lets us in and then takes nothing is no better than one that does not answer.
            if self._tour.go_on(good=moved or (steady and not self._outbox.unanswered)):
                continue
            await pause.wait(refused=error.refused)
        self._turn("offline")

    async def flush(self, seconds: float) -> None:
        """Send what is there for at most ``seconds``, then say goodbye; ``run`` returns."""
        end = self._clock.monotonic() + seconds
        while (
            self._clock.monotonic() < end - min(GOODBYE_SECONDS, seconds / 2)
            and self._state in ("starting", "online")
            and not self._outbox.idle()
        ):
            await self._clock.sleep(FLUSH_STEP)
        self._stop.set()
        while self._clock.monotonic() < end and self._state in ("starting", "online"):
            await self._clock.sleep(FLUSH_STEP)

    # ------------------------------------------------------------------------------------------------ sessions

    async def _one_session(self) -> ConnectionFailedError | None:
        """Live through one connection; why it ended, or None when we were asked to stop."""
        will = properties(PacketTypes.WILLMESSAGE, ContentType="application/json", WillDelayInterval=WILL_DELAY)
        try:
            session = Session(
                self._tour.broker,
                self._gateway,
                will=aiomqtt.Will(self._topic("state"), self._offline("lost"), 1, True, will),
                # The first session of a process has nothing to resume; a later one goes on within the will's delay,
                # so that a short outage never shows as offline.
                clean=not self._tour.known,
                user=self._settings.user,
                password=password(self._settings),
                tls=tls_context(self._settings) if self._tour.broker.tls else None,
            )
        except ConfigError as error:
            return ConnectionFailedError(str(error), refused=True)
        opening = asyncio.ensure_future(session.open())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                return None
            opening.result()
            return await self._serve(session)
        except ConnectionFailedError as error:
            return error
        finally:
            opening.cancel()
            stopping.cancel()
            await session.close(politely=self._stop.is_set())

    async def _serve(self, session: Session) -> ConnectionFailedError | None:
        """Work over an open session until it is lost, an error ends it, or we stop."""
        error: ConnectionFailedError | None = None
        await self._up()
        try:
            async with asyncio.TaskGroup() as group:
                wire = SessionWire(session, self._gateway, self._settings)
                group.create_task(self._outbox.pump(wire, session.round_trip))
                group.create_task(self._inbox.run(session))
                group.create_task(self._tell_state(session))
                group.create_task(self._until_stopped(session))
                raise await session.lost()
        except* ConnectionFailedError as failures:
            error = await session.lost() if session.ended else first_failure(failures)
        except* StoppedError:
            pass
        finally:
            UPLINK_UP.labels(NAME).set(0)
            await self._outbox.lost(error.code if error is not None else None)
        return None if self._stop.is_set() else error

    async def _until_stopped(self, session: Session) -> None:
        await self._stop.wait()
        await session.deliver(self._topic("state"), self._offline("stopped"), about=_json(), retain=True)
        raise StoppedError

    async def _tell_state(self, session: Session) -> None:
        """Keep the retained state true: at once after connecting, and whenever it changes."""
        told: dict[str, Any] | None = None
        # Where brokers pass on each other's messages, the will at the one we left comes over the state told here.
        once_more = self._clock.monotonic() + WILL_DELAY + TICK if self._tour.moved else None
        while True:
            if once_more is not None and self._clock.monotonic() >= once_more:
                told = once_more = None
            state = self._online()
            if state != told:
                payload = msgspec.json.encode({**state, "time": self._clock.rfc3339(self._clock.wall())})
                self._judge_state(await session.deliver(self._topic("state"), payload, about=_json(), retain=True))
                told = state
            await self._clock.sleep(TICK)

    def _judge_state(self, ack: Ack) -> None:
        code, where = ack.code, self._topic("state")
        if code >= 0x80 and code != self._state_refused:
            log.warning("%s: %s", NAME, reasons.publish_sentence(code, where))
        self._state_refused = code if code >= 0x80 else 0
        self._state_refusal = reasons.publish_sentence(code, where, ack.text) if code >= 0x80 else ""

    def _online(self) -> dict[str, Any]:
        state: dict[str, Any] = {"state": "online", "gateway": self._gateway, "epoch": self._store.epoch}
        state["version"] = __version__
        if self._store.failing is not None:
            alarms = self._status().get("alarms", [])
            state |= {"store": self._store.failing, "alarms": [{**alarm, "stored": False} for alarm in alarms]}
        return state

    def _offline(self, reason: str) -> bytes:
        state = {"state": "offline", "gateway": self._gateway, "epoch": self._store.epoch, "reason": reason}
        if reason == "stopped":
            state["time"] = self._clock.rfc3339(self._clock.wall())
        return msgspec.json.encode(state)

    # ------------------------------------------------------------------------------------------------ state

    async def _up(self) -> None:
        self._turn("online")
        UPLINK_UP.labels(NAME).set(1)
        url = self._tour.broker.url
        if self._tour.greets():
            log.info("%s: connected to %s", NAME, url)
        if self._tour.welcome():
            await self._store.put(
                [notices.accepted(self._clock, NAME, None, f"the broker at {url} takes this gateway")]
            )

    async def _down(self, error: ConnectionFailedError) -> None:
        sentence = str(error)
        self._turn("offline")
        if self._tour.failed(sentence, error.discreet):
            log.warning("%s: %s", NAME, error.discreet)
        if error.refused and self._tour.refused(error.discreet):
            await self._store.put([notices.refused(self._clock, NAME, None, error.code, sentence, self._words)])

    def _turn(self, state: str) -> None:
        if state != self._state:
            self._since = self._clock.wall()
        self._state = state

    def _reason(self) -> str:
        if self._state == "online":
            return ""
        return "stopped" if self._stop.is_set() else self._tour.reason()

    def _problems(self) -> list[str]:
        found = [*self._outbox.held().values(), self._outbox.unreadable, self._state_refusal, self._inbox.problem]
        now = self._clock.monotonic()
        if self._receipts is not None:
            found.append(self._receipts.problem())
            late = [stream for stream, since in self._outbox.unsaid().items() if now - since > PLATFORM_LATE]
            if late:
                asked = f"it must publish its cursors on {self._topic('ack')}"
                found.append(f"the platform does not acknowledge {', '.join(late)}, though the broker has it: {asked}")
        if self._outbox.parked and now - self._outbox.parked_at < PARKED_SHOWN:
            told = f"each is named by a {notices.REFUSED} in management, and can still be pulled"
            found.append(f"the broker refused {many(self._outbox.parked, 'record')}, passed over: {told}")
        if self._state == "online" and (first := self._tour.instead_of()):
            found.append(f"{self._tour.broker.url} is used because of this: {first}")
        if self._tour.broker.insecure:
            found.append(f"{self._tour.broker.url} is not encrypted: records and passwords can be read on the way")
        return [sentence for sentence in found if sentence]

    def _topic(self, last: str) -> str:
        return topic(self._gateway, last)


def _json() -> Properties:
    return properties(PacketTypes.PUBLISH, ContentType="application/json")
