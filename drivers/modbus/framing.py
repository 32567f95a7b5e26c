"""Questions and answers on the wire: Modbus TCP (MBAP), RTU (CRC) and ASCII (LRC)."""

from __future__ import annotations

import contextlib
import itertools
import re
import struct
from abc import ABC, abstractmethod
from typing import NamedTuple

from drivers._checksums import crc16
from drivers.modbus.address import Span, Table
from gateway.contract import DeviceError, DeviceSilentError, Pipe

# Modbus application protocol 1.1b3, 7: the standard's own names.
EXCEPTIONS = {
    0x01: ("illegal_function", "illegal function"),
    0x02: ("illegal_address", "illegal data address"),
    0x03: ("illegal_value", "illegal data value"),
    0x04: ("device_failure", "server device failure"),
    0x05: ("busy", "acknowledge: still working"),
    0x06: ("busy", "server device busy"),
    0x08: ("memory_parity", "memory parity error"),
    0x0A: ("gateway_path", "gateway path unavailable"),
    0x0B: ("gateway_target", "gateway target device failed to respond"),
}
RTU_OVERHEAD = 5  # unit, function, byte count, CRC
ASCII_SHORTEST = 4  # unit, function, byte count or code, LRC
ASCII_ENDS = 3  # colon, carriage return, line feed
READ = 4096  # bytes at once
MOST_HEARD = 4096  # bytes without an answer among them: who floods us must not keep the gateway busy searching
HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]+")
MBAP = 7
LONGEST_PDU = 254  # length field of MBAP: unit and PDU
_transactions = itertools.count(1)  # one count for all devices: an answer to another device's question never fits


class RefusalError(DeviceError):
    """The device refused with an exception code of the standard."""

    def __init__(self, span: Span, code: int, frame: bytes, sentence: str = "") -> None:
        reason, name = EXCEPTIONS.get(code, (f"exception_{code}", "not in the standard"))
        super().__init__(sentence or f"{span}: exception {code:02X} ({name})", reason, frame)
        self.code = code


class Order(NamedTuple):
    """A write: the PDU that goes, and the PDU that comes back once it is done."""

    span: Span
    pdu: bytes
    done: bytes


class _Question(NamedTuple):
    """A read by Modbus TCP without its transaction: what goes, how the answer that fits begins, and its length."""

    rest: bytes
    head: bytes
    size: int


class Framing(ABC):
    """How to ask one unit, and to tell its answer from everything else that may come."""

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.lookalikes = False  # set when two of the device's requests have answers of the same shape
        self._requests: dict[Span, bytes] = {}
        self._shapes: dict[tuple[Table, int], Span] = {}

    @abstractmethod
    async def ask(self, pipe: Pipe, span: Span) -> bytes:
        """Send one read and return its data bytes; DeviceError or DeviceSilentError when there is no good answer."""

    @abstractmethod
    async def tell(self, pipe: Pipe, order: Order) -> None:
        """Send one write and return when the device has said that it is done; errors as ``ask``."""

    @abstractmethod
    def _framed(self, pdu: bytes) -> bytes:
        """Return the frame that brings a PDU to the unit; its transaction is 0 where there is one."""

    def _request(self, span: Span) -> bytes:
        """Return the frame, made once for each span (transaction 0)."""
        frame = self._requests.get(span)
        if frame is None:
            frame = self._requests[span] = self._framed(struct.pack(">BHH", span.table, span.start, span.size))
            self.lookalikes |= self._shapes.setdefault((span.table, _data_bytes(span)), span) != span
        return frame


class TcpFraming(Framing):
    """MBAP: the transaction id binds answer to question."""

    def __init__(self, unit: int) -> None:
        super().__init__(unit)
        self._questions: dict[Span, _Question] = {}

    async def ask(self, pipe: Pipe, span: Span) -> bytes:
        """As ``Framing.ask``. Answers to earlier questions are passed over."""
        rest, head, size = self._questions.get(span) or self._question(span)
        transaction = (next(_transactions) & 0xFFFF).to_bytes(2)
        await pipe.drain_input()
        await pipe.write(transaction + rest)
        answer = await pipe.read()
        # Nearly every answer comes whole and alone, and its head says all that there is to check.
        if len(answer) == size and answer.startswith(transaction + head):
            return answer[2 + len(head) :]
        return _checked_pdu(await _own_frame(pipe, transaction, answer, span), span, self.unit)

    async def tell(self, pipe: Pipe, order: Order) -> None:
        """As ``Framing.tell``."""
        transaction = (next(_transactions) & 0xFFFF).to_bytes(2)
        await pipe.drain_input()
        await pipe.write(transaction + self._framed(order.pdu)[2:])
        _check_done(await _own_frame(pipe, transaction, await pipe.read(), order.span), order, self.unit)

    def _framed(self, pdu: bytes) -> bytes:
        return struct.pack(">HHHB", 0, 0, 1 + len(pdu), self.unit) + pdu

    def _question(self, span: Span) -> _Question:
        count = _data_bytes(span)
        head = struct.pack(">HHBBB", 0, 3 + count, self.unit, span.table, count)
        question = self._questions[span] = _Question(self._request(span)[2:], head, 2 + len(head) + count)
        return question


class RtuFraming(Framing):
    """CRC and silence; nothing binds answer to question but unit, function and length."""

    def __init__(self, unit: int) -> None:
        super().__init__(unit)
        self._overdue = False
        self._echoes = False  # the line repeated our last question

    async def ask(self, pipe: Pipe, span: Span) -> bytes:
        """As ``Framing.ask``. Noise, an echo of the question and other units' answers are passed over."""
        try:
            if self._overdue and self.lookalikes:
                await self._hear_out(pipe, span)
            data = await self._exchange(pipe, span)
        except DeviceError as error:
            self._overdue = self._overdue or error.reason in ("timeout", "damaged", "cut")
            raise
        self._overdue = False
        return data

    async def _hear_out(self, pipe: Pipe, span: Span) -> None:
        """After a missed answer the next one may be that one, come late: ask for nothing, wait until all is said."""
        with contextlib.suppress(RefusalError):
            await self._exchange(pipe, span)
        with contextlib.suppress(DeviceSilentError):
            while True:
                await pipe.read()

    async def _exchange(self, pipe: Pipe, span: Span) -> bytes:
        request, size = self._request(span), self._answer_size(span)
        await pipe.drain_input()
        await pipe.write(request)
        buffer, missing = b"", size
        while True:
            try:
                # No byte more than the answer has: what stands behind it may be another device's, and is the line's.
                buffer += await pipe.read(missing if missing > 0 else READ)
            except DeviceSilentError:
                if buffer not in (b"", request):
                    raise self._incomplete(buffer.removeprefix(request), span) from None
                raise
            if request.startswith(buffer):
                continue  # an echo so far
            self._echoes = buffer.startswith(request)
            answer = buffer.removeprefix(request)
            pdu = self._find(answer, span)
            if pdu is not None:
                return pdu
            _check_flood(buffer, span)
            missing = size - len(answer)

    async def tell(self, pipe: Pipe, order: Order) -> None:
        """As ``Framing.tell``. The answer may be the question word for word: only the line's habit tells its echo."""
        request, done = self._framed(order.pdu), self._framed(order.done)
        await pipe.drain_input()
        await pipe.write(request)
        buffer = b""
        while True:
            try:
                buffer += await pipe.read()
            except DeviceSilentError:
                if buffer not in (b"", request):
                    raise DeviceError(f"{order.span}: the answer is cut short or damaged", "damaged", buffer) from None
                raise
            answer = buffer[len(request) :] if self._echoes else buffer
            if done in self._normal(answer):
                return
            refused = self._refusal(answer, order.pdu[0] | 0x80)
            if refused is not None:
                raise RefusalError(order.span, refused[2], refused)
            _check_flood(buffer, order.span)

    def _framed(self, pdu: bytes) -> bytes:
        frame = bytes((self.unit,)) + pdu
        return frame + crc16(frame)

    def _incomplete(self, answer: bytes, span: Span) -> DeviceError:
        """Say what an answer is that did not come to its end."""
        head, size = bytes((self.unit, span.table, _data_bytes(span))), RTU_OVERHEAD + _data_bytes(span)
        if answer[:3] == head[: len(answer)]:
            return DeviceError(f"{span}: the answer breaks off after {len(answer)} of {size} bytes", "cut", answer)
        return DeviceError(f"{span}: the answer is cut short or damaged", "damaged", answer)

    def _answer_size(self, span: Span) -> int:
        return RTU_OVERHEAD + _data_bytes(span)

    def _normal(self, data: bytes) -> bytes:
        return data

    def _refusal(self, buffer: bytes, function: int) -> bytes | None:
        """Return the frame by which our unit refuses this function, if it is in the buffer."""
        at = buffer.find(bytes((self.unit, function)))
        while at >= 0:
            frame = buffer[at : at + RTU_OVERHEAD]
            if len(frame) == RTU_OVERHEAD and crc16(frame[:-2]) == frame[-2:]:
                return frame
            at = buffer.find(bytes((self.unit, function)), at + 1)
        return None

    def _find(self, buffer: bytes, span: Span) -> bytes | None:
        """Return the data of our answer in the buffer; None when it may still come."""
        count = _data_bytes(span)
        wanted, refused = bytes((self.unit, span.table, count)), bytes((self.unit, span.table | 0x80))
        damaged = False
        for at in range(len(buffer)):
            rest = buffer[at:]
            is_refusal = rest[:2] == refused[: len(rest)]
            if not is_refusal and rest[:3] != wanted[: len(rest)]:
                continue
            frame = rest[: RTU_OVERHEAD + (0 if is_refusal else count)]
            if len(frame) < RTU_OVERHEAD + (0 if is_refusal else count):
                return None
            if crc16(frame[:-2]) != frame[-2:]:
                damaged = True
            elif is_refusal:
                raise RefusalError(span, frame[2], frame)
            else:
                return frame[3:-2]
        if damaged:
            raise DeviceError(f"{span}: wrong CRC; check wiring, termination and earth", "crc", buffer)
        return None


class AsciiFraming(RtuFraming):
    """Lines of hexadecimal digits with an LRC (Modbus over serial line 1.02, 2.5.2); as little bound as RTU."""

    def _framed(self, pdu: bytes) -> bytes:
        frame = bytes((self.unit,)) + pdu
        return b":" + (frame + bytes((-sum(frame) & 0xFF,))).hex().upper().encode() + b"\r\n"

    def _find(self, buffer: bytes, span: Span) -> bytes | None:
        """Return the data of our answer in the buffer; None when it may still come."""
        *lines, _ = buffer.split(b"\r\n")
        count = _data_bytes(span)
        damaged = False
        for line in lines:
            _, colon, digits = line.rpartition(b":")
            frame = _unhex(digits) if colon else b""
            if len(frame) < ASCII_SHORTEST or sum(frame) & 0xFF:
                damaged = damaged or bool(colon)
            elif frame[:2] == bytes((self.unit, span.table | 0x80)) and len(frame) == ASCII_SHORTEST:
                raise RefusalError(span, frame[2], frame)
            elif frame[:3] == bytes((self.unit, span.table, count)) and len(frame) == count + ASCII_SHORTEST:
                return frame[3:-1]
        if damaged:
            raise DeviceError(f"{span}: wrong LRC; check wiring, termination and earth", "crc", buffer)
        return None

    def _answer_size(self, span: Span) -> int:
        return 2 * (_data_bytes(span) + ASCII_SHORTEST) + ASCII_ENDS

    def _normal(self, data: bytes) -> bytes:
        return data.upper()

    def _refusal(self, buffer: bytes, function: int) -> bytes | None:
        for line in buffer.split(b"\r\n")[:-1]:
            frame = _unhex(line.rpartition(b":")[2])
            if len(frame) == ASCII_SHORTEST and frame[:2] == bytes((self.unit, function)) and not sum(frame) & 0xFF:
                return frame
        return None


FRAMINGS: dict[str, type[Framing]] = {"tcp": TcpFraming, "rtu": RtuFraming, "ascii": AsciiFraming}


def _unhex(digits: bytes) -> bytes:
    """Read hexadecimal digits and nothing else; empty when there is anything else."""
    if len(digits) % 2 or not HEXADECIMAL.fullmatch(digits):
        return b""
    return bytes.fromhex(digits.decode())


def _check_flood(buffer: bytes, span: Span) -> None:
    if len(buffer) > MOST_HEARD:
        sentence = f"{span}: {len(buffer)} bytes came and no answer among them; check speed, format and framing"
        raise DeviceError(sentence, "damaged", buffer[:64])


def _data_bytes(span: Span) -> int:
    return (span.size + 7) // 8 if span.table.of_bits else 2 * span.size


def _next_mbap(buffer: bytes, transaction: bytes) -> tuple[bytes | None, bytes]:
    """Find the frame of this transaction; return it and what remains to be looked at."""
    while len(buffer) >= MBAP:
        length = int.from_bytes(buffer[4:6])
        if buffer[2:4] != b"\0\0" or not 2 <= length <= LONGEST_PDU:
            # Out of step, for example in the middle of a late answer: go on at the next place that can be ours.
            at = buffer.find(transaction + b"\0\0", 1)
            if at < 0:
                return None, buffer[-(MBAP - 1) :]
            buffer = buffer[at:]
            continue
        end = length + 6
        if len(buffer) < end:
            break
        if buffer[:2] == transaction:
            return buffer[:end], buffer[end:]
        buffer = buffer[end:]
    return None, buffer


async def _own_frame(pipe: Pipe, transaction: bytes, buffer: bytes, span: Span) -> bytes:
    """Return the frame of this transaction, which may still be under way."""
    while True:
        frame, buffer = _next_mbap(buffer, transaction)
        if frame is not None:
            return frame
        try:
            buffer += await pipe.read()
        except DeviceSilentError:
            if buffer:
                raise DeviceError(f"{span}: the answer is cut short or is no Modbus TCP", "damaged", buffer) from None
            raise


def _own_pdu(frame: bytes, span: Span, unit: int, function: int) -> bytes:
    device, pdu = frame[MBAP - 1], frame[MBAP:]
    if device != unit:
        raise DeviceError(f"{span}: unit {device} answered instead of {unit}; check the address", "protocol", frame)
    if pdu[0] == function | 0x80 and len(pdu) == 2:
        raise RefusalError(span, pdu[1], frame)
    return pdu


def _check_done(frame: bytes, order: Order, unit: int) -> None:
    if _own_pdu(frame, order.span, unit, order.pdu[0]) != order.done:
        raise DeviceError(f"{order.span}: the answer does not fit what was written", "protocol", frame)


def _checked_pdu(frame: bytes, span: Span, unit: int) -> bytes:
    pdu = _own_pdu(frame, span, unit, span.table)
    count = _data_bytes(span)
    if pdu[0] != span.table or len(pdu) != 2 + count or pdu[1] != count:
        raise DeviceError(f"{span}: the answer does not fit the question", "protocol", frame)
    return pdu[2:]
