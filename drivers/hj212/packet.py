"""Packets of HJ 212-2017 (and 2005): cut out of a stream, taken apart, put together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drivers._checksums import CRC16
from gateway.links.calls import Call

BEGIN = re.compile(rb"##(\d{4})")
# Counted lengths are often wrong; then the end is what closes the data (&&), a checksum and a line end.
CLOSE = re.compile(rb"&&([0-9A-Fa-f]{4})\r?\n")
MN = re.compile(rb"(?:^|;)MN=([^;,&]{1,64})")
HEAD, SUM = 6, 4
MOST_SEGMENT = 4096  # the standard says 1024; stations with many factors do not always split
KEPT = 8192
FIELD = re.compile(r"([A-Za-z]{1,8})=([^;&]*)")


def crc(data: bytes) -> bytes:
    """The standard's own CRC (appendix A): each byte replaces the low half, unlike Modbus; four upper-case digits."""
    register = 0xFFFF
    for byte in data:
        register = CRC16[register >> 8 ^ byte]
    return b"%04X" % register


@dataclass(frozen=True, slots=True)
class Packet:
    """``head``: QN, ST, CN, PW, MN, Flag, PNUM, PNO as they are there. ``groups``: the fields of CP, group by group."""

    head: Mapping[str, str]
    groups: tuple[Mapping[str, str], ...]

    @classmethod
    def parse(cls, segment: bytes) -> Packet:
        """Take the data segment apart; what is no KEY=VALUE is passed over."""
        text = segment.decode("utf-8", "replace")
        before, _, content = text.partition("CP=")
        content = content.removeprefix("&&").removesuffix("&&")
        groups = []
        for group in content.split(";"):
            fields = (field.partition("=") for field in group.split(","))
            found = {key.strip(): value.strip() for key, equals, value in fields if equals}
            if found:
                groups.append(found)
        return cls(dict(FIELD.findall(before)), tuple(groups))

    def get(self, key: str) -> str:
        """A field of the head, empty without."""
        return self.head.get(key, "")

    @property
    def flag(self) -> int:
        """``Flag`` as a number: bit 0 asks for an answer, bit 1 says that packets are numbered; 0 without."""
        text = self.get("Flag")
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else 0


def build(segment: str) -> bytes:
    """Put length, checksum and line end around a data segment."""
    data = segment.encode()
    return b"##%04d" % len(data) + data + crc(data) + b"\r\n"


class PacketEars:
    """Cuts packets out of what comes over one connection. At most ``KEPT`` bytes are kept."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Call]:
        """Take more bytes; return the packets that are whole, and those whose checksum is wrong."""
        buffer = self._rest + data
        calls: list[Call] = []
        at = 0
        while begin := BEGIN.search(buffer, at):
            at = begin.start()
            call, end = _look(buffer, at, int(begin[1]))
            if call is None:
                break
            calls.append(call)
            at = end
        self._rest = buffer[at:] if begin else buffer[max(at, len(buffer) - HEAD + 1) :]
        if len(self._rest) > KEPT:
            self._rest = self._rest[-HEAD:]
        return calls


def _look(buffer: bytes, at: int, length: int) -> tuple[Call | None, int]:
    """Return the packet that begins here and where to go on; None when more must come first."""
    begin, end = at + HEAD, at + HEAD + length
    if length <= MOST_SEGMENT and len(buffer) >= end + SUM and _is_sum(buffer, begin, end):
        return _call(buffer[begin:end], ""), end + SUM
    following = BEGIN.search(buffer, begin)
    limit = following.start() if following else len(buffer)
    close = CLOSE.search(buffer, begin, limit)
    if close is not None:
        segment = buffer[begin : close.start() + 2]
        sound = close[1].upper() == crc(segment)
        return _call(segment, "" if sound else "crc"), close.end()
    if following:
        return _call(buffer[begin:limit], "cut"), limit
    if len(buffer) - begin > MOST_SEGMENT + SUM:
        return _call(buffer[begin : begin + MOST_SEGMENT], "length"), len(buffer)
    return None, at


def _is_sum(buffer: bytes, begin: int, end: int) -> bool:
    return buffer[end : end + SUM].upper() == crc(buffer[begin:end])


def _call(segment: bytes, fault: str) -> Call:
    match = MN.search(segment.partition(b"CP=")[0])
    return Call(match[1].decode("ascii", "replace").upper() if match else "", segment, fault)
