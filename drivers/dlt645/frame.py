"""Frames of DL/T 645: questions that only read, the time for everybody, answers told from everything else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from drivers._meters import START, RefusedError, StrayError, close
from gateway.contract import DeviceError

OFFSET = 0x33
HEADER = 10  # 68 address(6) 68 control length
OVERHEAD = HEADER + 2
ANYONE, EVERYONE = "AA" * 6, "99" * 6
READ, READ_ON, READ_ADDRESS = 0x11, 0x12, 0x13  # 2007
READ_1997, READ_ON_1997 = 0x01, 0x02
READS = frozenset({READ, READ_ON, READ_ADDRESS, READ_1997, READ_ON_1997})
SET_TIME = 0x08  # of both editions, only to EVERYONE: no meter answers
# All that can leave: what writes, freezes, clears (04H, 0AH to 10H, 14H to 1BH) or cuts (1CH) cannot.
SENT = READS | {SET_TIME}
ANSWER, ABNORMAL, MORE = 0x80, 0x40, 0x20
FUNCTION = 0x1F
NO_SUCH_DATA = 0x02
# The error word, bit by bit.
WORDS = (
    "another error", "no such data", "password wrong or not authorised", "speed cannot be changed",
    "too many year zones", "too many day slots", "too many tariffs", "reserved bit 7",
)  # fmt: skip


class Frame(NamedTuple):
    """A sound frame: address as on the meter's plate (12 digits), control byte, data without the 33H."""

    address: str
    control: int
    data: bytes


class ErrorWordError(RefusedError):
    """The meter refused with an error word of the standard."""

    def __init__(self, what: str, word: int, frame: bytes) -> None:
        meaning = ", ".join(text for bit, text in enumerate(WORDS) if word >> bit & 1) or "no reason"
        reason = "no_such_data" if word & NO_SUCH_DATA else "refused"
        super().__init__(f"{what}: the meter refuses, error word {word:02X} ({meaning})", reason, frame)
        self.word = word


def question(control: int, address: str, data: bytes = b"") -> bytes:
    """Build a question. ValueError for what does not read."""
    if control not in READS:
        raise ValueError(f"control {control:02X}H does not read; no question has it")
    return _built(control, address, data)


def time_for_all(now: datetime) -> bytes:
    """Build the broadcast that sets the clocks of all meters that hear it: ``ss mm hh DD MM YY`` of local time."""
    nearest = now + timedelta(milliseconds=500)
    return _built(SET_TIME, EVERYONE, bytes.fromhex(nearest.strftime("%S%M%H%d%m%y")))


def _built(control: int, address: str, data: bytes) -> bytes:
    """Every byte that this driver sends comes from here. ValueError for what may not be sent."""
    if control not in SENT:
        raise ValueError(f"control {control:02X}H changes a meter or cuts a supply; it is never sent")
    body = bytes((START, *reversed(bytes.fromhex(address)), START, control, len(data)))
    return close(body + bytes(byte + OFFSET & 0xFF for byte in data))


def measure(data: bytes) -> int:
    """Tell the length of the frame that begins here, see ``Frames``."""
    if len(data) > 7 and data[7] != START:
        return 0
    return OVERHEAD + data[9] if len(data) >= HEADER else OVERHEAD


def parse(frame: bytes) -> Frame:
    """Take a sound frame apart."""
    data = bytes(byte - OFFSET & 0xFF for byte in frame[HEADER:-2])
    return Frame(bytes(reversed(frame[1:7])).hex().upper(), frame[8], data)


def answer_to(frame: bytes, control: int, address: str, ident: bytes, what: str) -> tuple[bytes, bool] | None:
    """Return the data behind the identifier and whether more follows; None when the frame is none of ours.

    ``ident`` is the identifier as sent. ErrorWordError when our meter refuses, StrayError when it answers another
    question.
    """
    sender, given, data = parse(frame)
    if sender != address or not given & ANSWER:
        return None
    if given & FUNCTION != control:
        raise StrayError(f"{what}: answered with control {given:02X}H, another question's", "protocol", frame)
    if given & ABNORMAL:
        if not data:
            raise DeviceError(f"{what}: a refusal without an error word", "protocol", frame)
        raise ErrorWordError(what, data[0], frame)
    if data[: len(ident)] != ident:
        got = bytes(reversed(data[: len(ident)])).hex().upper()
        raise StrayError(f"{what}: the meter answered {got or 'nothing'} instead", "protocol", frame)
    return data[len(ident) :], bool(given & MORE)
