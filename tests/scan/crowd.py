"""A bus on which answers that overlap destroy each other, with devices at their own speeds; in a thread if need be."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.meters.bus import Bus
from tests.meters.slaves import DltMeter
from tests.modbus_farm import crc16

READS = {1, 2, 3, 4}
Hear = Callable[[bytes], bytes]
QUIET = 0.003  # seconds without a byte end a question


def sealed(body: bytes) -> bytes:
    return body + bytes([sum(body) % 256, 0x16])


def overlaid(answers: list[bytes]) -> bytes:
    """What is heard when all speak at once: a driven low bit wins."""
    if not answers:
        return b""
    mixed = bytearray(max(answers, key=len))
    for answer in answers:
        for at, byte in enumerate(answer):
            mixed[at] &= byte
    return bytes(mixed)


class Crowd(Bus):
    """Answers of several devices at once are overlaid bit by bit, as on a real pair of wires."""

    def _readable(self) -> None:
        super()._readable()
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(QUIET, self._answer)

    def _answer(self) -> None:
        import termios

        question, self._buffer = self._buffer, b""
        speed = termios.tcgetattr(self._slave)[5]
        self.heard.append((speed, question))
        answers = [said for wanted, ear in self.ears if wanted in (None, speed) and (said := ear(question))]
        for chunk in self.spoil(question, overlaid(answers)):
            if chunk:
                os.write(self._master, chunk)

    def say(self, data: bytes) -> None:
        os.write(self._master, data)


@contextmanager
def crowd(*ears: tuple[int | None, Hear]) -> Iterator[Crowd]:
    bus = Crowd(*ears)
    try:
        yield bus
    finally:
        bus.close()


@contextmanager
def crowd_in_a_thread(*ears: tuple[int | None, Hear], talk: Callable[[Crowd], None] | None = None) -> Iterator[Crowd]:
    """A bus with a loop of its own, for tests that call the command."""
    ready, made = threading.Event(), []
    loop = asyncio.new_event_loop()

    async def live() -> None:
        made.append(Crowd(*ears))
        made.append(asyncio.Event())
        ready.set()
        if talk:
            talk(made[0])
        await made[1].wait()
        made[0].close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield made[0]
    finally:
        loop.call_soon_threadsafe(made[1].set)
        thread.join(10)
        assert not thread.is_alive()
        loop.close()


def only_reads(question: bytes) -> bool:
    """Judge what left the line from the standards alone, sharing nothing with the gate of the search."""
    if question[:1] == b":":
        return bytes.fromhex(question[1:-2].decode())[1] in READS
    # A busy machine may hear two questions as one.
    parts = [question[at : at + 8] for at in range(0, len(question), 8)]
    if all(len(part) == 8 and crc16(part[:6]) == part[6:] for part in parts):
        return all(part[1] in READS for part in parts)
    frame = question.lstrip(b"\xfe")
    if frame[:1] == b"\x10":
        return frame[1] in (0x40, 0x5B, 0x7B)
    if frame[:7] == bytes.fromhex("680B0B6873FD52"):
        return True
    if frame[:1] == b"\x68" and frame[7] == 0x68 and sealed(frame[:-2]) == frame:
        return frame[8] in (0x11, 0x12, 0x13, 0x01, 0x02)
    return frame[:1] == b"\x68" and sealed(frame[:-2]) == frame and frame[9] == 0x01


def of_edition(meter: DltMeter) -> Hear:
    """A meter that is deaf to the other edition's questions, as real ones are."""

    def hear(sent: bytes) -> bytes:
        frame = sent.lstrip(b"\xfe")
        is_1997 = len(frame) > 9 and frame[7] == 0x68 and frame[8] in (0x01, 0x02)
        return meter.hear(sent) if is_1997 == (meter.edition == 1997) else b""

    return hear


class MbusMeter:
    """A wired M-Bus water meter with primary and secondary address."""

    def __init__(self, primary: int, number: str, *, medium: int = 0x07, volume: int = 1234567) -> None:
        self.primary, self.medium = primary, medium
        self.identity = bytes.fromhex(number)[::-1] + bytes((0x93, 0x15, 0x02, medium))
        self.volume = volume
        self.selected = False

    def hear(self, sent: bytes) -> bytes:
        if sent[:1] == b"\x68" and len(sent) == 17 and sent[4:7] == b"\x73\xfd\x52":
            self.selected = self._matches(sent[7:15])
            return b"\xe5" if self.selected else b""
        if len(sent) != 5 or sent[0] != 0x10:
            return b""
        control, to = sent[1], sent[2]
        if to not in (self.primary, 0xFE) and not (to == 0xFD and self.selected):
            return b""
        if control == 0x40:
            return b"\xe5"
        volume = bytes.fromhex(f"{self.volume:08d}")[::-1]
        body = bytes((0x08, self.primary, 0x72)) + self.identity + b"\x01\0\0\0" + b"\x0c\x13" + volume
        body += b"\x4c\x13" + volume + bytes.fromhex("426CE101")
        return bytes((0x68, len(body), len(body), 0x68)) + body + bytes((sum(body) & 0xFF, 0x16))

    def _matches(self, wanted: bytes) -> bool:
        digits = zip(wanted[3::-1].hex(), self.identity[3::-1].hex(), strict=True)
        number = all(asked in ("f", own) for asked, own in digits)
        return number and all(asked in (0xFF, own) for asked, own in zip(wanted[4:], self.identity[4:], strict=True))
