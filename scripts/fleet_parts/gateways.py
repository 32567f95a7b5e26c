"""Many simulated gateways in one process: each with its own MQTT 5 connection, window, resends and answers to commands.

Started as `gateways.py PORT FIRST COUNT RATE`; answers each line on stdin (`report`, `break`, `epoch`, `finish`) with a
line of JSON, and ends with its stdin.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from typing import cast

import mqtt5
import uvloop
from community import Site

from gateway.contract import SEND_ORDER, CommandError, Cursor, Stream
from gateway.uplink.topics import topic

EVERY = 0.5  # seconds between two commits of the real store
WINDOW = 20
AT_ONCE = 200  # records in a batch
REPLAYED = 500
DIALS = 50
BATCH = "application/cloudevents-batch+json"
RESEND, GAP, CUT = 0.02, 0.003, 0.002  # chance of each fault, for each commit of each gateway


class Shared:
    """What all gateways of this process have in common."""

    def __init__(self, port: int) -> None:
        self.port, self.faults = port, False
        self.began = time.monotonic()
        self.making = True
        self.tally: Counter[str] = Counter()
        self.dials = asyncio.Semaphore(DIALS)


class Gateway(asyncio.Protocol):
    """One simulated gateway."""

    def __init__(self, site: Site, shared: Shared) -> None:
        self.site, self._shared = site, shared
        self._open()

    def _open(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._incoming = mqtt5.Incoming()
        self._ready = False
        self._mid = 0
        self._flight: deque[list[object]] = deque()  # [mid, stream, last number, answered]
        self._last_batch: tuple[Stream, bytes, str] | None = None

    # ------------------------------------------------------------------------------------------------ life

    async def run(self, delay: float) -> None:
        """Make records and send them until cancelled; the connection is opened again whenever it broke."""
        self._acked = dict.fromkeys(SEND_ORDER, 0)
        self._sent = dict(self._acked)
        await asyncio.sleep(delay)
        while True:
            if self._transport is None:
                await self._dial()
            if self._shared.making:
                self._make()
            if self._ready:
                self._flush()
            await asyncio.sleep(EVERY)

    async def _dial(self) -> None:
        async with self._shared.dials:
            self._open()
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._shared.port)
            except OSError:
                self._shared.tally["no_connection"] += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say CONNECT."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        will = topic(self.site.name, "state")
        self._transport.write(
            mqtt5.connect(self.site.name, clean=True, expiry=0, receive_maximum=32, keep_alive=60, will=will)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """What was not acknowledged is sent again: go back to the last number that was."""
        self._transport, self._ready = None, False
        self._sent = dict(self._acked)

    @property
    def idle(self) -> bool:
        """Whether everything that was made is acknowledged."""
        return all(self._acked[name] >= numbering.last for name, numbering in self.site.streams.items())

    def renew(self) -> bool:
        """Begin a new epoch, if everything of the old one is acknowledged."""
        if not self.idle or self._flight:
            return False
        self.site.new_epoch(time.monotonic() - self._shared.began)
        self._acked = dict.fromkeys(SEND_ORDER, 0)
        self._sent, self._last_batch = dict(self._acked), None
        return True

    # ------------------------------------------------------------------------------------------------ out

    def _make(self) -> None:
        self.site.make(time.monotonic() - self._shared.began)
        if not self._shared.faults:
            return
        chance = self.site.random.random
        if chance() < GAP:
            numbering = self.site.streams["perception"]
            numbering.evict(1 + int(50 * chance()), int(40 * chance()) if chance() < 0.5 else 0)
            self._shared.tally["gaps"] += 1
        if chance() < CUT and self._transport is not None:
            self._shared.tally["cuts"] += 1
            self._transport.abort()

    def _flush(self) -> None:
        for stream in SEND_ORDER:
            while self._sent[stream] < self.site.streams[stream].last and len(self._flight) < WINDOW:
                payload, cursor, until, count = self.site.batch(stream, self._sent[stream], AT_ONCE)
                if not count:
                    break  # the numbers after this are evicted and their gap record is not made yet
                self._publish(stream, payload, cursor, until)
                self._shared.tally["records_sent"] += count
                self._sent[stream] = until
                self._last_batch = (stream, payload, cursor)
        if self._last_batch and self._shared.faults and self._shared.making and self.site.random.random() < RESEND:
            # As after an acknowledgement that was lost: the broker has it, and gets it once more.
            self._publish(*self._last_batch, 0)
            self._shared.tally["resent"] += 1

    def _publish(self, stream: Stream, payload: bytes, cursor: str, until: int) -> None:
        self._flight.append([self._next(), stream, until, False])
        self._write(
            mqtt5.publish(
                topic(self.site.name, stream), payload, self._mid, content_type=BATCH, user=(("cursor", cursor),)
            )
        )
        self._shared.tally["messages"] += 1
        self._shared.tally["bytes"] += len(payload)

    def _next(self) -> int:
        self._mid = self._mid % 65535 + 1
        return self._mid

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    # ------------------------------------------------------------------------------------------------ in

    def data_received(self, data: bytes) -> None:
        """Take what the broker says."""
        for packet in self._incoming.feed(data):
            if packet.kind == mqtt5.PUBACK:
                self._acknowledged(*mqtt5.answer(packet.body))
            elif packet.kind == mqtt5.PUBLISH:
                self._command(mqtt5.message(packet.flags, packet.body))
            elif packet.kind == mqtt5.CONNACK:
                if packet.body[1]:
                    raise SystemExit(f"fleet: the broker refuses a connection with {packet.body[1]:#x}")
                self._write(mqtt5.subscribe(self._next(), topic(self.site.name, "cmd/+")))
                state = json.dumps({"state": "online", "gateway": self.site.name, "epoch": self.site.epoch}).encode()
                self._write(mqtt5.publish(topic(self.site.name, "state"), state, self._next(), retain=True))
                self._ready = True

    def _acknowledged(self, mid: int, code: int) -> None:
        if code >= 0x80:
            raise SystemExit(f"fleet: the broker refuses a batch with {code:#x}")
        for entry in self._flight:
            if entry[0] == mid:
                entry[3] = True
                break
        while self._flight and self._flight[0][3]:
            _, stream, until, _ = self._flight.popleft()
            self._acked[stream] = max(self._acked[stream], until)

    def _command(self, message: mqtt5.Message) -> None:
        if message.mid:
            self._write(mqtt5.puback(message.mid))
        verb = message.topic.rpartition("/")[2]
        try:
            payload, user = self._answer(verb, json.loads(message.payload))
        except CommandError as error:
            payload, user = json.dumps({"ok": False, "error": str(error), "status": error.status}).encode(), ()
        self._write(mqtt5.publish(message.response, payload, self._next(), user=user, correlation=message.correlation))

    def _answer(self, verb: str, arguments: dict[str, object]) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        site = self.site
        if verb == "status":
            streams = {name: {"first": 1, "last": numbering.last} for name, numbering in site.streams.items()}
            result = {"gateway": site.name, "epoch": site.epoch, "streams": streams}
            return json.dumps({"ok": True, "result": result}).encode(), ()
        if verb != "replay":
            raise CommandError(f"unknown command {verb!r}", 404)
        after = Cursor.parse(str(arguments["after"]))
        if after.epoch != site.epoch:
            raise CommandError("a cursor of another epoch", 410)
        limit = min(REPLAYED, int(str(arguments.get("limit", REPLAYED))))
        payload, cursor, until, count = site.batch(after.stream, after.sequence, limit)
        self._shared.tally["replayed"] += count
        more = "true" if count and until < site.streams[after.stream].last else "false"
        return payload, (("cursor", cursor), ("more", more))


async def main() -> None:
    """Run the gateways; words come on stdin."""
    port, first, count, rate = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    shared = Shared(port)
    start = time.time_ns()
    gateways = [Gateway(Site(first + index, rate, start), shared) for index in range(count)]
    # Spread over a whole commit window (or the dial rate), as nothing keeps real gateways in step.
    tasks = [
        asyncio.create_task(gateway.run(max(EVERY, count / 1000) * index / count))
        for index, gateway in enumerate(gateways)
    ]
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        broken = [task for task in tasks if task.done()]
        if broken:
            broken[0].result()
        if line == b"break\n":
            shared.faults = True
        if line == b"finish\n":
            shared.making = False
        if line == b"epoch\n":
            shared.tally["epochs"] += sum(gateway.renew() for gateway in gateways[:: max(1, count // 10)])
        report = {
            **shared.tally,
            "made": sum(gateway.site.count() for gateway in gateways),
            "numbers": sum(gateway.site.numbers() for gateway in gateways),
            "idle": sum(gateway.idle for gateway in gateways),
            "connected": sum(gateway._ready for gateway in gateways),  # noqa: SLF001 - the same part
        }
        print(json.dumps(report), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
