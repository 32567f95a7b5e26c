"""Hearing a device that speaks by itself: whole messages only, none older than the read, bounded whatever comes."""

from __future__ import annotations

from collections.abc import Callable

from gateway.contract import DeviceError, DeviceSilentError, Pipe

KEPT = 16384  # bytes that a pipe keeps for certain while nobody reads
MOST_BYTES = 1 << 20  # of one read: a peer that floods us must not hold its reader for ever

# Takes what was heard and whether it begins with a message; returns the whole messages, the rest, and the same of that.
Cut = Callable[[bytes, bool], tuple[list[bytes], bytes, bool]]
BREAKS = b"\0\xff"  # what an idle line turns glitches into


class Ear:
    """Cuts what a device says into messages, from one read to the next: where one ended, the next begins."""

    def __init__(self, cut: Cut, limit: int) -> None:
        self._cut = cut
        self._limit = limit  # bytes of the longest message
        self._rest = b""
        self._aligned = False
        self._pipe: Pipe | None = None
        self._heard = 0

    async def begin(self, pipe: Pipe) -> None:
        """Start a read: what was said before it only tells where the next message begins."""
        missed = await pipe.drain_input()
        if pipe is not self._pipe:
            self._pipe, self._rest, self._aligned = pipe, b"", False
        if len(missed) > KEPT:
            self._rest, self._aligned = b"", False  # the pipe may have dropped the oldest of it
        self._heard = 0
        self._take(missed)

    async def ask(self, pipe: Pipe, request: bytes) -> None:
        """Start a read with a question: the answer is what comes next, unless half a message was just cut off."""
        missed = (await pipe.drain_input()).strip(BREAKS)
        _, rest, aligned = self._cut(missed, False)
        self._pipe, self._rest, self._heard = pipe, b"", 0
        self._aligned = not missed or (aligned and not rest)
        await pipe.write(request)

    async def messages(self, pipe: Pipe) -> list[bytes]:
        """Wait for more; return the whole messages among it. DeviceError when far too much came."""
        data = await pipe.read()
        self._heard += len(data)
        if self._heard > MOST_BYTES:
            raise DeviceError("it floods the line; check speed and format", "damaged", data[:64])
        return self._take(data)

    @property
    def heard(self) -> bool:
        """Whether anything came in this read."""
        return self._heard > 0

    def _take(self, data: bytes) -> list[bytes]:
        messages, self._rest, self._aligned = self._cut(self._rest + data, self._aligned)
        if len(self._rest) > self._limit:
            self._rest, self._aligned = b"", False
        return messages


def nothing_good(error: DeviceSilentError, ear: Ear, damaged: bytes | None) -> DeviceError:
    """Say why a read brought nothing. ``damaged``: the last message whose checksum was wrong."""
    if damaged is not None:
        return DeviceError("every message has a wrong checksum; check wiring, speed and format", "crc", damaged)
    if ear.heard:
        return DeviceError("what comes is no message of this device; check speed, format and options", "damaged")
    return error
