"""What bytes on a line mean, in one line each: protocol, function, address, what is asked, whether the sum is right."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cli.output import Cell, Line, Table, Word
from gateway.words import many

PIECES = 0.1  # seconds apart at most, and still one answer
MOST_SHOWN = 48  # bytes in hexadecimal
MOST_VALUES = 8
PASSWORD = re.compile(rb"(PW=)([^;&#\r\n]*)")
SEGMENT = re.compile(rb"(?:QN|ST|CN|PW|MN)=[^;]*;(?:.*;)?(?:ST|CN|PW|MN|Flag)=")  # HJ 212 without its envelope
TEXT = re.compile(rb"[\x20-\x7e\r\n\t]+")
TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
FUNCTIONS = {
    1: "read coils", 2: "read discrete inputs", 3: "read holding", 4: "read input", 5: "write coil",
    6: "write register", 15: "write coils", 16: "write registers",
}  # fmt: skip
EXCEPTIONS = {
    1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "server device failure",
    5: "acknowledge", 6: "server device busy", 8: "memory parity error", 10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}  # fmt: skip
SET_TIME = 0x08
DLT_CONTROLS = {
    0x11: "read", 0x12: "read on", 0x13: "read address", 0x01: "read (1997)", 0x02: "read on (1997)",
    SET_TIME: "broadcast time",
}  # fmt: skip
MBUS_CONTROLS = {0x40: "reset link", 0x5B: "request data", 0x7B: "request data", 0x53: "send", 0x73: "send"}
FIRE_COMMANDS = {1: "commands", 2: "sends data", 3: "confirms", 4: "asks", 5: "answers", 6: "denies"}
FIRE_TYPES = {
    1: "system state", 2: "component state", 3: "analogue value", 4: "operation", 8: "system time", 21: "device state",
    24: "device operation", 28: "device time", 90: "clock", 91: "duty check",
}  # fmt: skip
MBUS_DATA, MBUS_SELECT = 0x72, 0x52


@dataclass(frozen=True)
class Meaning:
    """One frame in words. ``good``: its checksum is right, wrong, or None where there is none."""

    protocol: str
    text: str
    good: bool | None


def joined(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the pieces of one answer together; the first piece gives the time."""
    whole: list[dict[str, Any]] = []
    ends: dict[str, float] = {}
    newest: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = row["line"]
        before = newest.get(line)
        pieces = before and before["direction"] == row["direction"] == "in" and not row.get("called")
        if before and pieces and row["monotonic"] - ends[line] < PIECES:
            before["data"] += row["data"]
        else:
            newest[line] = dict(row)
            whole.append(newest[line])
        ends[line] = row["monotonic"]
    return whole


def frame_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Frames with time, direction, bytes and meaning."""
    cells: list[list[Cell]] = []
    asked: dict[str, float] = {}
    for row in joined(rows):
        data = bytes.fromhex(row["data"])
        out = row["direction"] == "out"
        meaning = explain(data, is_question=out)
        after = f"+{(row['monotonic'] - asked[row['line']]) * 1000:.0f} ms" if not out and row["line"] in asked else ""
        if out and not row.get("called"):
            asked[row["line"]] = row["monotonic"]
        cells.append(
            [
                row["time"][11:23],
                row["line"],
                Word("→" if out else "←", "strong"),
                after,
                in_bytes(data),
                Word(meaning.protocol, "dim"),
                Word(meaning.text, "" if meaning.good or meaning.good is None else "bad"),
            ]
        )
    return Table(("time", "line", "", "after", "bytes", "protocol", "meaning"), cells)


def frame_rows(rows: Sequence[dict[str, Any]]) -> Iterator[Line]:
    """The same line by line, for a picture that scrolls."""
    for time, line, arrow, after, data, protocol, meaning in frame_table(rows).rows:
        yield Line([time, line, arrow, *([after] if after else []), data])
        yield Line([protocol, meaning], 4)


def in_bytes(data: bytes) -> str:
    """Bytes for people, passwords masked: text as text, all else in hexadecimal."""
    data = PASSWORD.sub(lambda match: match[1] + b"*" * len(match[2]), data)
    shown = data[:MOST_SHOWN]
    rest = f" … {many(len(data), 'byte')}" if len(data) > MOST_SHOWN else ""
    if len(data) > 2 and TEXT.fullmatch(data):
        return shown.decode("ascii").replace("\r", "␍").replace("\n", "␊").replace("\t", "␉") + rest
    return shown.hex(" ").upper() + rest


def masked(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Frames for programs: with their meaning, passwords masked."""
    shown = []
    for row in joined(rows):
        data = bytes.fromhex(row["data"])
        meaning = explain(data, is_question=row["direction"] == "out")
        safe = PASSWORD.sub(lambda match: match[1] + b"*" * len(match[2]), data)
        words = {"protocol": meaning.protocol, "meaning": meaning.text, "checksum_good": meaning.good}
        shown.append({**row, "data": safe.hex(), **words})
    return shown


def explain(data: bytes, *, is_question: bool) -> Meaning:
    """Say what a frame is, trying every protocol; a wrong checksum is told where the rest fits one."""
    from drivers._checksums import crc16

    frame = data.lstrip(b"\xfe")
    if frame[:1] == b":" and frame[-2:] == b"\r\n":
        return _ascii(frame)
    if frame[:1] in (b"$", b"!") and b"*" in frame:
        return _nmea(frame)
    if (frame[:2] == b"##" and frame[2:6].isdigit()) or SEGMENT.match(frame):
        return _hj212(frame)
    if frame[:2] == b"@@":
        return _gb26875(frame)
    if frame[:1] == b"\xe5" and len(frame) == 1:
        return Meaning("M-Bus", "acknowledged", None)
    meter = _meter(frame) or _mbus(frame)
    if meter is not None:
        return meter
    if len(data) >= 8 and data[2:4] == b"\0\0" and int.from_bytes(data[4:6]) == len(data) - 6:
        return Meaning("Modbus TCP", _modbus(data[6:], is_question), None)
    if len(data) >= 4 and data[1] & 0x7F in FUNCTIONS:
        good = crc16(data[:-2]) == data[-2:]
        return Meaning("Modbus RTU", _modbus(data[:-2], is_question) + _sum("CRC", good), good)
    if len(data) > 2 and TEXT.fullmatch(data):
        return Meaning("text", many(len(data), "character"), None)
    return Meaning("", f"{many(len(data), 'byte')} of no known protocol", None)


def _sum(name: str, good: bool) -> str:
    return f", {name} {'good' if good else 'WRONG'}"


def _modbus(body: bytes, is_question: bool) -> str:
    """Say what pymodbus makes of a unit and its PDU: what is shown does not come from the code that is looked at."""
    from pymodbus.pdu import DecodePDU, ExceptionResponse

    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # what it cannot decode is told here
    unit, function = body[0], body[1]
    name = FUNCTIONS.get(function & 0x7F, f"function {function & 0x7F}")
    pdu = DecodePDU(is_server=is_question).decode(body[1:])
    if pdu is None or len(body) < 3:
        return f"unit {unit}: {name}, {many(len(body) - 2, 'byte')} out of place"
    if isinstance(pdu, ExceptionResponse):
        code = pdu.exception_code
        return f"unit {unit} refuses {name}: exception {code:02X} ({EXCEPTIONS.get(code, 'not in the standard')})"
    data = list(pdu.registers) or [int(bit) for bit in pdu.bits]
    values = " ".join(map(str, data[:MOST_VALUES])) + (" …" if len(data) > MOST_VALUES else "")
    told = f": {values}" if data else ""
    if function in TABLES:
        if is_question:
            return f"unit {unit}: {name} {pdu.address}, {pdu.count} of them"
        return f"unit {unit} answers {name}, {body[2]} bytes{told}"
    return f"unit {unit}: {name} {pdu.address}{told}" if function in FUNCTIONS else f"unit {unit}: {name}"


def _ascii(frame: bytes) -> Meaning:
    try:
        body = bytes.fromhex(frame[1:-2].decode("ascii"))
    except ValueError:
        return Meaning("Modbus ASCII", "no hexadecimal digits", False)
    if len(body) < 4:
        return Meaning("Modbus ASCII", "cut short", False)
    good = not sum(body) & 0xFF
    return Meaning("Modbus ASCII", _modbus(body[:-1], len(body) == 7) + _sum("LRC", good), good)


def _nmea(frame: bytes) -> Meaning:
    from drivers._checksums import xor8

    sentence, _, digits = frame.strip().partition(b"*")
    good = digits[:2].lower() == xor8(sentence[1:].partition(b"\r")[0]).hex().encode()
    return Meaning("NMEA 0183", sentence[1:6].decode("ascii", "replace") + _sum("checksum", good), good)


def _hj212(frame: bytes) -> Meaning:
    segment = frame[6:] if frame[:2] == b"##" else frame
    fields = dict(part.split(b"=", 1) for part in re.split(rb"[;&]", segment) if b"=" in part)
    station = fields.get(b"MN", b"?").decode("ascii", "replace")
    command = fields.get(b"CN", b"?").decode("ascii", "replace")
    return Meaning("HJ 212", f"station {station}, command {command}", None)


def _gb26875(frame: bytes) -> Meaning:
    if len(frame) < 30:
        return Meaning("GB/T 26875.3", "cut short", False)
    good = frame[-2:] == b"##" and frame[-3] == sum(frame[2:-3]) & 0xFF
    source, unit = frame[12:18].hex(), frame[27:-3]
    word = FIRE_COMMANDS.get(frame[26], f"command {frame[26]}")
    what = f", {unit[1]} of {FIRE_TYPES.get(unit[0], f'type {unit[0]}')}" if len(unit) > 1 else ""
    number = int.from_bytes(frame[2:4], "little")
    return Meaning("GB/T 26875.3", f"{source} {word}, number {number}{what}" + _sum("sum", good), good)


def _meter(frame: bytes) -> Meaning | None:
    if len(frame) < 12 or frame[0] != 0x68:
        return None
    good = frame[-1] == 0x16 and frame[-2] == sum(frame[:-2]) & 0xFF
    if frame[7] == 0x68:
        return Meaning("DL/T 645", _dlt(frame) + _sum("sum", good), good)
    if frame[3] == 0x68 and frame[1] == frame[2]:
        return None
    if len(frame) == frame[10] + 13:
        return Meaning("CJ/T 188", _cjt(frame) + _sum("sum", good), good)
    return None


def _dlt(frame: bytes) -> str:
    address, control = frame[6:0:-1].hex().upper(), frame[8]
    data = bytes(byte - 0x33 & 0xFF for byte in frame[10:-2])
    edition_1997 = control & 0x1F in (0x01, 0x02)
    ident = data[: 2 if edition_1997 else 4][::-1].hex("-").upper()
    word = DLT_CONTROLS.get(control & 0x1F, "another function")
    if control == SET_TIME:
        return f"control {control:02X} {word} {data[:2:-1].hex('-')} {data[2::-1].hex(':')}, to all meters"
    what = f", DI {ident}" if control & 0x1F != 0x13 else ""
    if not control & 0x80:
        return f"control {control:02X} {word}, meter {address}{what}"
    if control & 0x40:
        return f"control {control:02X} refuses {word}, meter {address}, error word {data.hex().upper()}"
    more = ", more follows" if control & 0x20 else ""
    return f"control {control:02X} answers {word}, meter {address}{what}, {len(data)} bytes{more}"


def _cjt(frame: bytes) -> str:
    address, control, data = frame[8:1:-1].hex().upper(), frame[9], frame[11:-2]
    word = "read" if control & 0x1F == 0x01 else "another function"
    verb = f"refuses {word}" if control & 0x40 else f"answers {word}" if control & 0x80 else word
    return f"control {control:02X} {verb}, type {frame[1]:02X}, meter {address}, DI {data[:2].hex().upper()}"


def _mbus(frame: bytes) -> Meaning | None:
    if len(frame) == 5 and frame[0] == 0x10 and frame[4] == 0x16:
        good = frame[3] == (frame[1] + frame[2]) & 0xFF
        word = MBUS_CONTROLS.get(frame[1], f"control {frame[1]:02X}")
        return Meaning("M-Bus", f"{word}, address {frame[2]}" + _sum("sum", good), good)
    if len(frame) < 9 or frame[0] != 0x68 or frame[3] != 0x68 or frame[1] != frame[2]:
        return None
    good = len(frame) == frame[1] + 6 and frame[-1] == 0x16 and frame[-2] == sum(frame[4:-2]) & 0xFF
    if frame[6] == MBUS_SELECT and len(frame) >= 15:
        text = f"select meter {frame[10:6:-1].hex().upper()}"
    elif frame[6] == MBUS_DATA and len(frame) >= 15:
        text = f"data of meter {frame[10:6:-1].hex().upper()}, address {frame[5]}, {many(frame[1], 'byte')}"
    else:
        text = f"control {frame[4]:02X}, address {frame[5]}, CI {frame[6]:02X}, {many(frame[1], 'byte')}"
    return Meaning("M-Bus", text + _sum("sum", good), good)
