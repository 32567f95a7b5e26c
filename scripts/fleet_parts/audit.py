"""The platform's auditor: asks gateways how far they are, proves completeness in SQL, has what is missing replayed."""

import json
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import mqtt5
import psycopg
import zstandard
from writer import Batch, Writer

ANSWERS = "platform/audit/answers"
AT_ONCE = 100  # questions under way
PATIENCE = 10.0
REPLAYED = 500


class Question(NamedTuple):
    """A command to one gateway."""

    gateway: str
    verb: str
    arguments: dict[str, object]


class Hole(NamedTuple):
    """Numbers that a gateway has given out and the platform has neither as records nor in a gap."""

    gateway: str
    epoch: str
    stream: str
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many numbers."""
        return self.last - self.first + 1


class Audit:
    """One connection to the broker and one to the database."""

    def __init__(self, port: int, dsn: str) -> None:
        self._database = psycopg.connect(dsn, autocommit=True)
        self._writer = Writer(dsn)
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._incoming = mqtt5.Incoming()
        self._mid = 1
        self._socket.sendall(
            mqtt5.connect("platform-audit", clean=True, expiry=0, receive_maximum=AT_ONCE, keep_alive=0)
            + mqtt5.subscribe(1, ANSWERS)
        )

    def learn_ends(self, gateways: Sequence[str]) -> int:
        """Ask all for their status and note the last number of each stream; returns how many answered."""
        rows: list[tuple[str, str, str, int]] = []

        def note(_: Question, answer: mqtt5.Message) -> None:
            status = json.loads(answer.payload)["result"]
            for stream, row in status["streams"].items():
                if row["last"]:
                    rows.append((status["gateway"], status["epoch"], stream, row["last"]))

        answered = self._ask((Question(gateway, "status", {}) for gateway in gateways), note)
        with self._database.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO series (gateway, epoch, stream, told_last) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT (gateway, epoch, stream) DO UPDATE SET told_last = greatest("
                "series.told_last, excluded.told_last)",
                rows,
            )
        return answered

    def holes(self) -> list[Hole]:
        """What the completeness view finds missing."""
        rows = self._database.execute(
            "SELECT gateway, epoch, stream, lower(hole), upper(hole) - 1 "
            "FROM completeness, unnest(missing) AS hole ORDER BY 1, 2, 3, 4"
        )
        return [Hole(*row) for row in rows]

    def prove_on(self) -> int:
        """Move every series' proved number on; returns how many still miss something."""
        return int(self.one("SELECT prove_on()"))

    def sample(self) -> tuple[int, int]:
        """Bytes of up to 2,000 consecutive records of one series, as they are and compressed together by zstd."""
        rows = self._database.execute(
            "SELECT record::text FROM records WHERE series = (SELECT series FROM records GROUP BY series "
            "ORDER BY count(*) DESC, series LIMIT 1) ORDER BY sequence LIMIT 2000"
        ).fetchall()
        text = "\n".join(row[0] for row in rows).encode()
        return len(text), len(zstandard.ZstdCompressor(level=3).compress(text))

    def one(self, query: str) -> Any:  # noqa: ANN401 - SQL
        """The one value of a query."""
        row = self._database.execute(query).fetchone()
        assert row is not None
        return row[0]

    def heal(self, holes: Iterable[Hole]) -> tuple[int, int]:
        """Have the holes replayed and written; returns records that were new, and questions that were refused."""
        new = refused = 0
        left = list(holes)
        while left:
            again: list[Hole] = []
            by_place = {(hole.gateway, f"{hole.epoch}.{hole.stream}.{hole.first - 1}"): hole for hole in left}

            def keep(question: Question, answer: mqtt5.Message) -> None:
                nonlocal new, refused
                if "cursor" not in answer.user:
                    refused += 1
                    return
                hole = by_place[question.gateway, str(question.arguments["after"])]  # noqa: B023 - called before the next turn
                new += self._writer.take([Batch(hole.gateway, hole.stream, answer.payload)]).new
                reached = int(answer.user["cursor"].rpartition(".")[2])
                if answer.user["more"] == "true" and hole.first <= reached < hole.last:
                    again.append(hole._replace(first=reached + 1))  # noqa: B023

            questions = [
                Question(gateway, "replay", {"after": after, "limit": min(REPLAYED, hole.count)})
                for (gateway, after), hole in by_place.items()
            ]
            self._ask(questions, keep)
            left = again
        return new, refused

    def _ask(self, questions: Iterable[Question], keep: Callable[[Question, mqtt5.Message], None]) -> int:
        """Ask, a hundred at a time; a gateway that does not answer in time is left out. Returns the answers."""
        waiting: dict[bytes, Question] = {}
        source: Iterator[Question] = iter(questions)
        answered, patience, open_questions = 0, time.monotonic() + PATIENCE, True
        while open_questions or waiting:
            while open_questions and len(waiting) < AT_ONCE:
                question = next(source, None)
                open_questions = question is not None
                if question is not None:
                    correlation = uuid4().bytes
                    waiting[correlation] = question
                    self._socket.sendall(self._command(question, correlation))
            readable, _, _ = select.select([self._socket], [], [], max(0.0, patience - time.monotonic()))
            if not readable:
                return answered
            data = self._socket.recv(1 << 18)
            if not data:
                raise SystemExit("fleet: the broker hung up on the auditor")
            for packet in self._incoming.feed(data):
                if packet.kind != mqtt5.PUBLISH:
                    continue
                answer = mqtt5.message(packet.flags, packet.body)
                self._socket.sendall(mqtt5.puback(answer.mid))
                asked = waiting.pop(answer.correlation, None)
                if asked is not None:
                    keep(asked, answer)
                    answered, patience = answered + 1, time.monotonic() + PATIENCE
        return answered

    def _command(self, question: Question, correlation: bytes) -> bytes:
        self._mid = self._mid % 65535 + 1
        payload = {"by": "audit", "time": datetime.now(UTC).isoformat(), **question.arguments}
        return mqtt5.publish(
            f"linli/v1/{question.gateway}/cmd/{question.verb}", json.dumps(payload).encode(), self._mid,
            response=ANSWERS, correlation=correlation,
        )  # fmt: skip

    def close(self) -> None:
        """End both connections."""
        self._socket.close()
        self._database.close()
        self._writer.close()
