"""M-Bus frames on the wire (EN 13757-2): what is asked, and its answer among echo and noise. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable

from gateway.contract import DeviceError, DeviceSilentError, Pipe

ACK = b"\xe5"
START_LONG = 0x68
STOP = 0x16
OVERHEAD = 6  # two starts, two lengths, checksum, stop
SND_NKE = 0x40
REQ_UD2 = (0x7B, 0x5B)  # frame count bit set (the first after a reset) and not
RESPONSES = frozenset({0x08, 0x18, 0x28, 0x38})
SELECTED = 0xFD
POINT_TO_POINT = 0xFE
LONGEST_NOISE = 1024


def short_frame(control: int, address: int) -> bytes:
    """``10 C A CS 16``."""
    return bytes((0x10, control, address, (control + address) & 0xFF, STOP))


def selection(identity: bytes) -> bytes:
    """Frame that selects a meter by its secondary address: 4 bytes BCD low first, maker, version, medium."""
    body = bytes((0x73, SELECTED, 0x52)) + identity
    return bytes((START_LONG, len(body), len(body), START_LONG)) + body + bytes((sum(body) & 0xFF, STOP))


async def ask_ack(pipe: Pipe, request: bytes) -> None:
    """Send, and wait for the acknowledgement; DeviceSilentError without any answer."""

    def acknowledged(buffer: bytes) -> bytes | None:
        return ACK if not request.startswith(buffer) and ACK in buffer.removeprefix(request) else None

    await _ask(pipe, request, acknowledged, "acknowledgement")


async def ask_long(pipe: Pipe, request: bytes) -> bytes:
    """Send, and return the long frame that answers; DeviceError crc when its checksum is wrong."""
    return await _ask(pipe, request, lambda buffer: find_long(buffer.removeprefix(request)), "answer")


async def _ask(pipe: Pipe, request: bytes, find: Callable[[bytes], bytes | None], what: str) -> bytes:
    buffer = b""
    await pipe.drain_input()
    await pipe.write(request)
    while True:
        try:
            buffer += await pipe.read()
        except DeviceSilentError:
            raise _unanswered(buffer, request) from None
        found = find(buffer)
        if found is not None:
            return found
        if len(buffer) > LONGEST_NOISE:
            raise DeviceError(f"noise instead of an {what}", "damaged", buffer[:64])


def find_long(buffer: bytes) -> bytes | None:
    """Return the first whole long frame with a right checksum; None when it may still come."""
    at = buffer.find(START_LONG)
    while at >= 0:
        head = buffer[at : at + 4]
        if len(head) == 4 and head[1] == head[2] and head[3] == START_LONG and head[1] >= 3:
            frame = buffer[at : at + head[1] + OVERHEAD]
            if len(frame) == head[1] + OVERHEAD and frame[-1] == STOP and sum(frame[4:-2]) & 0xFF == frame[-2]:
                return frame
        at = buffer.find(START_LONG, at + 1)
    return None


def _unanswered(buffer: bytes, request: bytes) -> DeviceError:
    rest = buffer.removeprefix(request)
    if not rest or request.startswith(rest):
        return DeviceSilentError("the meter does not answer")
    if len(rest) >= OVERHEAD and rest[0] == START_LONG and len(rest) >= rest[1] + OVERHEAD:
        return DeviceError("the answer has a wrong checksum; check wiring, speed and format", "crc", rest)
    return DeviceError("the answer is cut short or damaged", "damaged", rest)
