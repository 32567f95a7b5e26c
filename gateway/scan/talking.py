"""Listens to a line before anything is asked: devices that speak by themselves, and other masters."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from drivers._checksums import xor8
from drivers._meters import Frames
from drivers.cjt188.frame import measure as measure_cjt188
from drivers.dlt645.frame import measure as measure_dlt645
from gateway.contract import Clock, DeviceSilentError, Pipe
from gateway.scan.modbus import answers_in
from gateway.scan.reads import is_read
from gateway.scan.wire import Wire
from gateway.settings import SerialSettings

SENTENCE = re.compile(rb"[$!]([A-Z]{2}[A-Z0-9]{3},[^\r\n*$!]*)\*([0-9A-Fa-f]{2})")
TALKATIVE = 6  # bytes heard without asking that are no mere noise
READABLE = 0.95  # of all bytes: it is text
MOST_HEARD = 16384  # bytes
SHOWN = 48


@dataclass(frozen=True)
class Talk:
    """What was heard at one setting. ``kind``: ``nmea``, ``text``, ``master``, ``unknown`` or "" (nobody speaks)."""

    kind: str
    data: bytes
    serial: SerialSettings | None

    @property
    def sample(self) -> str:
        """A bit of it, for people."""
        if self.kind in ("nmea", "text"):
            lines = [line for line in re.split(rb"[\r\n]+", self.data) if line]
            line = lines[1] if len(lines) > 2 else (lines or [b""])[0]
            return line[:SHOWN].decode("ascii", "replace")
        return self.data[:SHOWN].hex(" ").upper()


async def listen(wire: Wire, clock: Clock, serial: SerialSettings | None, seconds: float) -> Talk:
    """Say nothing for so many seconds, and judge what comes."""
    heard = bytearray()
    until = clock.monotonic() + seconds

    async def work(pipe: Pipe) -> None:
        while clock.monotonic() < until and len(heard) < MOST_HEARD:
            heard.extend(await pipe.read())

    with contextlib.suppress(DeviceSilentError):
        await wire.lend(work, timeout=seconds, serial=serial)
    return Talk(judge(bytes(heard)), bytes(heard), serial)


def judge(data: bytes) -> str:
    """Say what it is, see ``Talk.kind``."""
    if len(data.strip(b"\0\xff")) < TALKATIVE:
        return ""
    if any(xor8(body).hex() == sum_.decode().lower() for body, sum_ in SENTENCE.findall(data)):
        return "nmea"
    if _is_masters(data):
        return "master"
    text = sum(byte in b"\t\r\n" or 0x20 <= byte < 0x7F for byte in data)
    if text >= READABLE * len(data) and re.search(rb"[\r\n]", data):
        return "text"
    return "unknown"


def _is_masters(data: bytes) -> bool:
    """Whether somebody else asks meters or Modbus units here."""
    if answers_in("rtu", data)[0] or any(is_read(data[at : at + 8]) for at in range(len(data) - 7)):
        return True
    return bool(Frames(measure_dlt645).feed(data)) or bool(Frames(measure_cjt188).feed(data))
