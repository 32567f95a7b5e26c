"""One platform consumer: a member of the shared subscription that acknowledges what PostgreSQL has committed.

Started as `consumer.py PORT DSN NAME EXPIRY`; answers each line on stdin (`report`, `lose N`) with a line of JSON, and
ends with its stdin. One thread, no loop: take what is there, write it in one transaction, acknowledge it.
"""

import json
import os
import select
import socket
import sys
import time

import mqtt5
from writer import Batch, Writer

GROUP = "$share/platform/linli/v1/+/+"
RECEIVE_MAXIMUM = 400  # messages that the broker may have under way to this consumer: what one hang can delay
GATHER = 0.1  # seconds: a larger group costs less a record, a smaller one is sooner acknowledged
MOST = 2_000_000  # bytes in a group
KEEP_ALIVE = 30
STREAMS = ("perception", "management", "alarm", "disposal")


class Consumer:
    """A connection to the broker, a connection to PostgreSQL, and what was counted."""

    def __init__(self, port: int, dsn: str, name: str, expiry: int) -> None:
        self._writer = Writer(dsn)
        self._incoming = mqtt5.Incoming()
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(
            mqtt5.connect(name, clean=False, expiry=expiry, receive_maximum=RECEIVE_MAXIMUM, keep_alive=KEEP_ALIVE)
            + mqtt5.subscribe(1, GROUP)
        )
        self._waiting: list[mqtt5.Message] = []
        self._size = 0
        self._since = 0.0
        self._pinged = time.monotonic()
        self._lose = 0
        self.tally = dict.fromkeys(("messages", "records", "new", "refused", "states", "lost", "groups", "bytes"), 0)
        self.tally["database_s"] = 0

    def run(self) -> None:
        """Work until stdin ends."""
        while True:
            now = time.monotonic()
            timeout = max(0.0, self._since + GATHER - now) if self._waiting else KEEP_ALIVE / 3
            readable, _, _ = select.select([self._socket, sys.stdin.fileno()], [], [], timeout)
            if self._socket in readable:
                data = self._socket.recv(1 << 18)
                if not data:
                    raise SystemExit("fleet: the broker hung up on a consumer")
                for packet in self._incoming.feed(data):
                    self._take(packet)
            if self._waiting and (time.monotonic() - self._since >= GATHER or self._size >= MOST):
                self._commit()
            if time.monotonic() - self._pinged > KEEP_ALIVE / 2:
                self._pinged = time.monotonic()
                self._socket.sendall(mqtt5.PING)
            if sys.stdin.fileno() in readable and not self._listen():
                return

    def _take(self, packet: mqtt5.Packet) -> None:
        if packet.kind == mqtt5.PUBLISH:
            self._since = self._since if self._waiting else time.monotonic()
            message = mqtt5.message(packet.flags, packet.body)
            self._waiting.append(message)
            self._size += len(message.payload)
        elif packet.kind == mqtt5.DISCONNECTED:
            raise SystemExit(f"fleet: the broker ends a consumer with {packet.body.hex()}")

    def _commit(self) -> None:
        batches = []
        for message in self._waiting:
            _, _, gateway, stream = message.topic.split("/")
            if stream not in STREAMS:
                self.tally["states"] += 1
            elif self._lose and stream == "perception":
                self._lose -= 1  # the fault: acknowledged below, and never written
                self.tally["lost"] += 1
            else:
                batches.append(Batch(gateway, stream, message.payload))
        start = time.monotonic()
        taken = self._writer.take(batches)
        self.tally["database_s"] += time.monotonic() - start
        self._socket.sendall(b"".join(mqtt5.puback(message.mid) for message in self._waiting if message.mid))
        self.tally["messages"] += len(batches)
        self.tally["records"] += taken.records
        self.tally["new"] += taken.new
        self.tally["refused"] += taken.refused
        self.tally["bytes"] += self._size
        self.tally["groups"] += 1
        self._waiting, self._size = [], 0

    def _listen(self) -> bool:
        line = os.read(sys.stdin.fileno(), 100).decode()
        if not line:
            return False
        if line.startswith("lose"):
            self._lose = int(line.split()[1])
        print(json.dumps(self.tally), flush=True)
        return True


if __name__ == "__main__":
    Consumer(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])).run()
