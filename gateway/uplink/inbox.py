"""What arrives through the broker: commands (who may ask, what is refused, how the answer goes back), and receipts."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes

from gateway.contract import STREAMS, Clock, CommandError, Cursor, LinliError
from gateway.metrics import DROPPED
from gateway.uplink import reasons
from gateway.uplink.receipts import Receipts
from gateway.uplink.session import LARGEST_COMMAND, Session, properties
from gateway.uplink.topics import BATCH_TYPE, topic

VERBS = frozenset({"replay", "status", "read", "write"})
TIME_WINDOW = 60.0
SINGLE_USE_SECONDS = 300.0
REMEMBERED = 10_000
LARGEST_CORRELATION = 256
AT_ONCE, WAITING = 4, 32
SMALLEST_ANSWER, LARGEST_ANSWER = 16 * 1024, 256 * 1024
# A record has some 300 bytes at least, so more would not fit into an answer anyway.
REPLAY_RECORDS = 1000

log = logging.getLogger("linli.uplink")


class Executes(Protocol):
    """What the inbox needs of the commands."""

    async def execute(self, verb: str, arguments: Mapping[str, Any], actor: str) -> Any:  # noqa: ANN401 - any JSON
        """Do what ``verb`` says; CommandError when it is refused."""

    async def refused(self, verb: str, arguments: Mapping[str, Any], actor: str, error: CommandError) -> None:
        """Record what was refused before it was executed."""


class Answer(msgspec.Struct):
    """Payload and user properties that go to the response topic."""

    payload: bytes
    content_type: str = "application/json"
    user: tuple[tuple[str, str], ...] = ()


class Inbox:
    """Answers every command exactly once; what is hostile or malformed is refused and never harms.

    ``wish``: bytes that an answer should have at most, so that it does not stand in an alarm's way. ``receipts``: who
    takes the platform's acknowledgements, where they are waited for.
    """

    def __init__(
        self,
        name: str,
        gateway: str,
        commands: Executes,
        clock: Clock,
        *,
        wish: Callable[[], int] = lambda: LARGEST_ANSWER,
        receipts: Receipts | None = None,
    ) -> None:
        self._name, self._gateway, self._commands, self._clock = name, gateway, commands, clock
        self._wish, self._receipts = wish, receipts
        self._seen: dict[bytes, float] = {}
        self.problem = ""

    async def run(self, session: Session) -> None:
        """Take what comes until the connection ends; a few commands at once, so that a slow device blocks nothing."""
        await self._subscribe(session)
        places, waiting = asyncio.Semaphore(AT_ONCE), set[asyncio.Task[None]]()
        async with asyncio.TaskGroup() as group:
            while (message := await session.receive()) is not None:
                if len(waiting) < WAITING:
                    task = group.create_task(self._in_turn(places, session, message))
                    waiting.add(task)
                    task.add_done_callback(waiting.discard)
                else:
                    DROPPED.labels("commands", "too_many").inc()

    async def _in_turn(self, places: asyncio.Semaphore, session: Session, message: aiomqtt.Message) -> None:
        async with places:
            await self._serve(session, message)

    async def _subscribe(self, session: Session) -> None:
        commands, acks = topic(self._gateway, "cmd/+"), topic(self._gateway, "ack")
        codes = {commands: await session.listen(commands)}
        if self._receipts is not None:
            codes[acks] = await session.listen(acks, self._receipts.take)
        problem = "; ".join(reasons.subscribe_sentence(code, name) for name, code in codes.items() if code >= 0x80)
        if problem and problem != self.problem:
            log.warning("%s: %s", self._name, problem)
        self.problem = problem

    async def _serve(self, session: Session, message: aiomqtt.Message) -> None:
        response = str(getattr(message.properties, "ResponseTopic", ""))
        correlation = bytes(getattr(message.properties, "CorrelationData", b""))
        if not _may_answer(response):
            log.info("%s: a command has no usable response topic", self._name)
            return
        room = min(LARGEST_ANSWER, session.largest_packet - len(response.encode()) - len(correlation) - 256)
        try:
            if not 1 <= len(correlation) <= LARGEST_CORRELATION:
                raise CommandError(f"correlation data is missing or too long: use 1 to {LARGEST_CORRELATION} bytes")
            answer = await self._answer(message, correlation, room)
            if len(answer.payload) > room:
                size = len(answer.payload)
                raise CommandError(f"the answer has {size} bytes, {room} go through the broker: ask for less", 413)
        except CommandError as error:
            answer = _refusal(str(error), error.status, error.extra)
        except LinliError as error:
            answer = _refusal(str(error), 503, {})
        reply = properties(PacketTypes.PUBLISH, ContentType=answer.content_type)
        if correlation:  # as it came (MQTT 5.0, 4.10.1)
            reply.CorrelationData = correlation
        if answer.user:
            reply.UserProperty = list(answer.user)
        await session.deliver(response, answer.payload, about=reply)

    async def _answer(self, message: aiomqtt.Message, correlation: bytes, room: int) -> Answer:
        verb = str(message.topic).rsplit("/", 1)[-1]
        arguments = _arguments(bytes(message.payload))
        if message.retain:
            raise CommandError("a command must not be retained: it would come again at every connection")
        by = arguments.pop("by", None)
        if not isinstance(by, str) or not by.strip() or len(by) > 100 or not by.isprintable():
            raise CommandError("by is missing: say who asks, in 1 to 100 printable characters")
        actor, time = f"{self._name}:{by}", arguments.pop("time", None)
        try:
            self._check_time(time)
            self._use_once(correlation)
        except CommandError as error:
            if verb == "write":
                await self._commands.refused(verb, arguments, actor, error)
            raise
        if verb not in VERBS:
            raise CommandError(f"unknown command {verb[:40]!r}: one of {', '.join(sorted(VERBS))}", 404)
        log.info("%s: somebody asks for %s", self._name, verb)
        if verb == "replay":
            return await self._replay(arguments, actor, room)
        result = await self._commands.execute(verb, arguments, actor)
        return Answer(msgspec.json.encode({"ok": True, "result": result}))

    def _check_time(self, text: object) -> None:
        try:
            time = datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            time = None
        if time is None or time.tzinfo is None:
            raise CommandError("time is missing or not RFC 3339 with an offset, such as 2026-11-21T08:25:30+08:00")
        now = self._clock.wall()
        off = abs(time.timestamp() - now / 1e9)
        if off > TIME_WINDOW:
            here = self._clock.rfc3339(now)
            raise CommandError(f"time is {off:.0f} s off the gateway's {here}, at most {TIME_WINDOW:.0f} s count", 403)

    def _use_once(self, correlation: bytes) -> None:
        now = self._clock.monotonic()
        while self._seen and next(iter(self._seen.values())) < now - SINGLE_USE_SECONDS:
            del self._seen[next(iter(self._seen))]
        if correlation in self._seen:
            raise CommandError("this correlation data was used before: every command needs its own", 409)
        if len(self._seen) >= REMEMBERED:
            raise CommandError("too many commands in five minutes: send fewer, and this one again in a minute", 429)
        self._seen[correlation] = now

    async def _replay(self, arguments: dict[str, Any], actor: str, room: int) -> Answer:
        """A range of one stream as one batch, cut to what goes through the broker; the cursor says where to go on."""
        limit = arguments.get("limit", REPLAY_RECORDS)
        if isinstance(limit, int) and not isinstance(limit, bool):
            arguments["limit"] = min(limit, REPLAY_RECORDS)
        found = await self._commands.execute("replay", arguments, actor)
        records, kept, size = [bytes(record) for record in found["records"]], 0, 2
        wish = max(SMALLEST_ANSWER, min(room, self._wish()))
        while kept < len(records) and size + len(records[kept]) + 1 <= (wish if kept else room):
            size += len(records[kept]) + 1
            kept += 1
        cursor, more = found["next"], found["more"]
        if kept < len(records):
            if not kept:
                raise CommandError("the next record alone is larger than the broker takes: pull it over HTTPS", 413)
            last = Cursor.parse(cursor)
            sequence = int(msgspec.json.decode(records[kept - 1], type=_Place).sequence)
            cursor, more = str(last._replace(sequence=sequence)), True
        user = (("cursor", cursor), ("more", "true" if more else "false"))
        return Answer(b"[" + b",".join(records[:kept]) + b"]", BATCH_TYPE, user)


class _Place(msgspec.Struct):
    sequence: str


def _arguments(payload: bytes) -> dict[str, Any]:
    if len(payload) > LARGEST_COMMAND:
        raise CommandError(f"a command has at most {LARGEST_COMMAND} bytes: this one has {len(payload)}", 413)
    try:
        arguments = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise CommandError("the payload is not JSON: send an object with by and time") from None
    if not isinstance(arguments, dict):
        raise CommandError("the payload must be a JSON object with by and time")
    return arguments


def _refusal(sentence: str, status: int, extra: Mapping[str, Any]) -> Answer:
    return Answer(msgspec.json.encode({"ok": False, "error": sentence, "status": status, **extra}))


def _may_answer(response: str) -> bool:
    if not 1 <= len(response) <= 512:
        return False
    if response.startswith("$") or any(character in response for character in "+#\0"):
        return False
    # Nobody may have a gateway speak on the topics that gateways speak on by themselves.
    levels = response.split("/")
    return levels[:2] != ["linli", "v1"] or (len(levels) > 3 and levels[3] not in (*STREAMS, "state", "cmd", "ack"))
