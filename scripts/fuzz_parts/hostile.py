"""A storm of malformed requests: what no client library would send, over raw sockets."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from prey import TOKEN

AT_ONCE = 16
ANSWER_WITHIN = 20.0  # seconds
NOTHING = 0  # counted when the daemon closed without an answer
STUCK = 599  # counted when there was no end within ANSWER_WITHIN

KNOWN = f"Authorization: Bearer {TOKEN}\r\n"
Make = Callable[[random.Random], bytes]


def _get(target: str, headers: str = KNOWN) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode("latin-1")


def _post(target: str, body: bytes, headers: str = KNOWN) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode("latin-1") + body


def _noise(chance: random.Random, most: int = 200) -> str:
    return "".join(chr(chance.randint(33, 255)) for _ in range(chance.randint(1, most)))


def _cursor(chance: random.Random) -> str:
    number = chance.choice(["-1", "0", "1" + "0" * 20, "9" * 20, "1e3", "0x1", "", _noise(chance, 9), "1" * 3000])
    epoch = chance.choice(["", "old", "a" * 500, _noise(chance, 9), "k3f9"])
    return f"{epoch}.{chance.choice(['perception', 'alarm', 'x', ''])}.{number}"


def _bytes(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randint(1, 4000)) + b"\r\n\r\n"


def _token(chance: random.Random) -> bytes:
    return _get("/v1/status", f"Authorization: {chance.choice(['Bearer', 'Basic', ''])} {_noise(chance)}\r\n")


def _address(chance: random.Random) -> bytes:
    return _get("/" + _noise(chance, 3000))


def _argument(chance: random.Random) -> bytes:
    name, value = chance.choice(["after", "limit", "wait", _noise(chance, 9)]), _noise(chance).replace("#", "")
    return _get(f"/v1/streams/perception/records?{name}={value}")


def _pull(chance: random.Random) -> bytes:
    return _get(f"/v1/streams/perception/records?after={_cursor(chance)}")


def _ack(chance: random.Random) -> bytes:
    return _post("/v1/streams/perception/ack", b'{"cursor": "' + _cursor(chance).encode() + b'"}')


def _json(chance: random.Random) -> bytes:
    deep = chance.choice([b"[", b'{"cursor":', b'{"a":[']) * chance.randint(1, 9000)
    return _post("/v1/streams/alarm/ack", chance.choice([deep, chance.randbytes(900), b"null", b'{"cursor": 1e999}']))


def _large(chance: random.Random) -> bytes:
    return _post("/v1/streams/alarm/ack", b" " * chance.randint(65_537, 300_000))


def _header(chance: random.Random) -> bytes:
    return _get("/v1/status", KNOWN + f"X: {'y' * chance.randint(1, 60_000)}\r\n")


def _headers(chance: random.Random) -> bytes:
    return _get("/v1/status", KNOWN + "".join(f"X-{number}: y\r\n" for number in range(chance.randint(1, 900))))


def _length(chance: random.Random) -> bytes:
    length = chance.choice(["-1", "1e9", "9" * 400, "0x10", "1, 2", ""])
    return f"POST /v1/streams/alarm/ack HTTP/1.1\r\nHost: x\r\n{KNOWN}Content-Length: {length}\r\n\r\n".encode()


def _chunks(chance: random.Random) -> bytes:
    head = f"POST /v1/streams/alarm/ack HTTP/1.1\r\nHost: x\r\n{KNOWN}Transfer-Encoding: chunked\r\n\r\n"
    return head.encode() + chance.choice([b"zz\r\n", b"-1\r\n", b"f" * 40 + b"\r\n", b"5\r\nab\r\n0\r\n\r\n"])


def _range(chance: random.Random) -> bytes:
    return _get("/v1/media/" + "0" * 64, KNOWN + f"Range: bytes={_noise(chance, 40)}\r\n")


def _local(chance: random.Random) -> bytes:
    return _post(f"/local/{chance.choice(['status', 'ack', 'reload', '..'])}", b"{}")


def _half(chance: random.Random) -> bytes:
    whole = _get("/v1/status")
    return whole[: chance.randint(1, len(whole) - 1)]


KINDS: tuple[Make, ...] = (
    *(_bytes, _token, _address, _argument, _pull, _ack, _json, _large, _header, _headers, _length, _chunks, _range),
    *(_local, _half),
)


def storm(port: int, requests: int, seed: int) -> Counter[int]:
    """Send so many malformed requests, each over its own connection; returns how often each status was the answer."""
    return asyncio.run(_storm(port, requests, seed))


async def _storm(port: int, requests: int, seed: int) -> Counter[int]:
    chance = random.Random(seed)
    statuses: Counter[int] = Counter()
    numbers = iter(range(requests))

    async def send() -> None:
        for number in numbers:
            statuses[await _status(port, KINDS[number % len(KINDS)](chance))] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(send())
    return statuses


async def _status(port: int, data: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        writer.write_eof()  # a half request stays half, and the daemon need not wait for the rest
        async with asyncio.timeout(ANSWER_WITHIN):
            line = await reader.readline()
            await reader.read(-1)
        return int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else NOTHING
    except TimeoutError:
        return STUCK
    except OSError:
        return NOTHING
    finally:
        writer.transport.abort()
