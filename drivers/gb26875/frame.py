"""Frames of GB/T 26875.3-2011: cut out of a stream, taken apart, put together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from gateway.links.calls import Call

START, END = b"@@", b"##"
HEAD = 27  # bytes before the application unit
TAIL = 3  # checksum and end
MOST_UNIT = 1024
CONTROL, DATA, CONFIRM, REQUEST, ANSWER, DENY = range(1, 7)
CENTURY = 2000


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's header and its application unit; ``tag`` is its time as sent, six bytes, seconds first."""

    serial: bytes
    version: bytes
    tag: bytes
    source: bytes
    target: bytes
    command: int
    unit: bytes

    @classmethod
    def parse(cls, data: bytes) -> Frame:
        """Take a whole frame apart; nothing is checked."""
        return cls(data[2:4], data[4:6], data[6:12], data[12:18], data[18:24], data[26], data[HEAD:-TAIL])

    def build(self) -> bytes:
        """Put the frame together, with its checksum."""
        body = b"".join(
            (
                self.serial,
                self.version,
                self.tag,
                self.source,
                self.target,
                len(self.unit).to_bytes(2, "little"),
                bytes((self.command,)),
                self.unit,
            )
        )
        return START + body + bytes((sum(body) & 0xFF,)) + END

    def reply(self, command: int, now: datetime | None) -> bytes:
        """Answer it: same serial number, addresses swapped, our time, or the sender's own while ours is not known."""
        tag = self.tag if now is None else tag_of(now)
        return Frame(self.serial, self.version, tag, self.target, self.source, command, b"").build()


def tag_of(time: datetime) -> bytes:
    """The six bytes of a time: second, minute, hour, day, month, year of the century."""
    return bytes((time.second, time.minute, time.hour, time.day, time.month, time.year % 100))


def time_of(tag: bytes) -> datetime | None:
    """Read six bytes of time; None when they are none."""
    try:
        second, minute, hour, day, month, year = tag
        return datetime(CENTURY + year, month, day, hour, minute, second)  # noqa: DTZ001 - the station's own clock
    except ValueError:
        return None


def parse_address(text: str | int) -> bytes:
    """Read a station's address: a number, or twelve hexadecimal digits as they go over the wire; ValueError if not."""
    if isinstance(text, int):
        return text.to_bytes(6, "little") if 0 <= text < 1 << 48 else b""
    plain = re.sub(r"[ :-]", "", text)
    return bytes.fromhex(plain) if re.fullmatch(r"[0-9A-Fa-f]{12}", plain) else b""


class FrameEars:
    """Cuts frames out of what comes over one connection. At most one frame's bytes are kept."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Call]:
        """Take more bytes; return the frames that are whole, and those that are damaged (sum, length, end)."""
        buffer = self._rest + data
        calls: list[Call] = []
        at = end = 0
        waiting = len(buffer)
        told = False  # one damaged frame may look like the beginning of several
        while (at := buffer.find(START, at)) >= 0:
            fault, length = _look(buffer, at)
            if fault == "short":
                # A length that was damaged must not hold back what follows: a whole frame behind it goes first.
                waiting = min(waiting, at)
            elif not fault or not told:
                calls.append(Call(buffer[at + 12 : at + 18].hex(), buffer[at : at + length], fault))
                told = bool(fault)
                if not fault:
                    at = end = at + length
                    waiting = len(buffer)
                    continue
            at += 1
        self._rest = buffer[min(waiting, max(end, len(buffer) - 1)) :]
        return calls


def _look(buffer: bytes, at: int) -> tuple[str, int]:
    """What is wrong with the frame that begins here (``short``: not whole yet), and its length."""
    unit = int.from_bytes(buffer[at + 24 : at + 26], "little")
    if len(buffer) - at < HEAD:
        return "short", 0
    if unit > MOST_UNIT:
        return "length", HEAD
    length = HEAD + unit + TAIL
    frame = buffer[at : at + length]
    if len(frame) < length:
        return "short", length
    if not frame.endswith(END):
        return "end", length
    if frame[-TAIL] != sum(frame[2:-TAIL]) & 0xFF:
        return "crc", length
    return "", length
