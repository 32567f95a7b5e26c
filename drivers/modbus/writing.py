"""Sets one point of a Modbus device: what may be written, with which function, and what is read back after it."""

from __future__ import annotations

import struct

from drivers._points import PointError, Raw, finisher
from drivers._setting import agrees, check_settable, raw_of
from drivers.modbus.address import Span, Table
from drivers.modbus.framing import Framing, Order, RefusalError
from drivers.modbus.planning import Limits, plan_blocks
from drivers.modbus.values import extractor, packer
from gateway.contract import CommandError, DeviceError, LinkError, Pipe, Point, PointValue, Scalar, Written

ONE_COIL, ONE_REGISTER, COILS, REGISTERS, MASK = 5, 6, 15, 16, 22  # function codes
MOST_WRITTEN = 123  # registers; Modbus application protocol 1.1b3, 6.12
ILLEGAL_FUNCTION, ACKNOWLEDGE = 1, 5  # exception codes
WHOLE = {"int16": 16, "int32": 32, "int64": 64}
TYPES = frozenset({"bool", "bits", "string", "bcd", "float32", "float64", "uint16", "uint32", "uint64", *WHOLE})


def check_writable(point: Point, span: Span) -> None:
    """Refuse a point that could never be written; PointError names the key."""
    if point.type not in TYPES:
        raise PointError(
            "type", f"{point.type} cannot be written; write it as {', '.join(sorted(TYPES))}, or leave write out"
        )
    if not span.table.of_bits and span.size > MOST_WRITTEN:
        raise PointError("length", f"at most {MOST_WRITTEN} registers are written at once")
    check_settable(point)


class Setter:
    """Writes of one device. ``single`` goes over to the functions for several where a device lacks those for one."""

    def __init__(self, framing: Framing, limits: Limits) -> None:
        self._framing, self._limits = framing, limits
        self._single = True

    async def write(self, pipe: Pipe, point: Point, span: Span, value: Scalar) -> Written:
        """As ``Writer.write``: read, write, read back, whatever the device says in between."""
        raw = raw_for(point, span, value)
        # A late answer to a poll could look like ours, and ours like the next poll's.
        self._framing.lookalikes = True
        try:
            before = await self._read(pipe, point, span)
        except RefusalError as error:
            before = PointValue(None, "bad", error.reason)  # some registers can only be written
        fault: DeviceError | None = None
        try:
            await self._tell(pipe, point, span, raw)
        except DeviceError as error:
            fault = error
        except LinkError as error:  # the question may have left before the line broke
            return Written(before, PointValue(None, "bad", error.reason), DeviceError(f"{span}: {error}", "unverified"))
        try:
            after = await self._read(pipe, point, span)
        except (DeviceError, LinkError) as error:
            after = PointValue(None, "bad", error.reason)
            return Written(
                before, after, fault or DeviceError(f"{span}: written, but not read back: {error}", "unverified")
            )
        if after.quality != "bad" and after.value == value and not isinstance(fault, RefusalError):
            fault = None  # the answer was lost or damaged, not the write
        return Written(before, after, fault)

    async def _read(self, pipe: Pipe, point: Point, span: Span) -> PointValue:
        (block,) = plan_blocks([span], self._limits)
        data = b""
        for request in block.requests:
            data += await self._framing.ask(pipe, request)
        return finisher(point)(extractor(point, span, span.start)(data), 1, 0)

    async def _tell(self, pipe: Pipe, point: Point, span: Span, raw: Raw) -> None:
        try:
            await self._framing.tell(pipe, order(point, span, raw, single=self._single))
        except RefusalError as error:
            if error.code == ACKNOWLEDGE:
                return  # taken, and worked at: reading back tells
            if error.code != ILLEGAL_FUNCTION:
                raise
            if point.bit is not None:
                raise _no_bit(point, span, error) from error
            if not self._single or span.size > 1:
                raise
            await self._framing.tell(pipe, order(point, span, raw, single=False))
            self._single = False


def raw_for(point: Point, span: Span, value: Scalar) -> Raw:
    """Return the raw value that is read as exactly ``value``; CommandError 400 when there is none."""
    low, high = _limits(point, span)
    raw = raw_of(point, value, low, high)
    if point.type == "bool":
        agrees(point, raw, value)
        return raw
    try:
        data = packer(point, span)(raw)
    except (ValueError, OverflowError, struct.error) as error:
        raise CommandError(f"{point.name} cannot be {str(value)[:80]!r}: {error}") from error
    agrees(point, extractor(point, span, span.start)(data), value)
    return raw


def order(point: Point, span: Span, raw: Raw, *, single: bool = True) -> Order:
    """Make the question that sets a point, and the answer that says it is done (1.1b3, 6.5, 6.6, 6.11, 6.12, 6.16)."""
    place = struct.pack(">H", span.start)
    if point.bit is not None:
        return _mask(point, span, place, raw)
    data = packer(point, span)(raw)
    if span.size == 1 and single:
        function, word = (
            (ONE_COIL, b"\xff\0" if data[0] & 1 else b"\0\0") if span.table is Table.COIL else (ONE_REGISTER, data)
        )
        pdu = bytes((function,)) + place + word
        return Order(span, pdu, pdu)
    head = bytes((COILS if span.table is Table.COIL else REGISTERS,)) + place + struct.pack(">H", span.size)
    return Order(span, head + bytes((len(data),)) + data, head)


def _mask(point: Point, span: Span, place: bytes, raw: Raw) -> Order:
    whole = Point(point.name, point.at, "uint16", point.order)
    bit = packer(whole, span)(1 << (point.bit or 0))
    others = bytes(byte ^ 0xFF for byte in bit)
    pdu = bytes((MASK,)) + place + others + (bit if bool(raw) is not point.invert else b"\0\0")
    return Order(span, pdu, pdu)


def _no_bit(point: Point, span: Span, error: RefusalError) -> RefusalError:
    sentence = (
        f"{span}: the device cannot set bit {point.bit} alone (function 22), and setting the whole register could undo "
        'what others set in it; let a point with type = "bits" be the whole register, and write that'
    )
    return RefusalError(span, error.code, error.frame, sentence)


def _limits(point: Point, span: Span) -> tuple[int, int]:
    """Return the smallest and the largest whole number that the registers hold."""
    if point.type in WHOLE:
        half = 1 << WHOLE[point.type] - 1
        return -half, half - 1
    if point.type == "bcd":
        return 0, 10 ** (4 * span.size) - 1
    return 0, (1 << (span.size if span.table.of_bits else 16 * span.size)) - 1
