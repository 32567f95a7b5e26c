"""The line under search: opened for ourselves alone, lent question by question, closed to everything but reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from gateway.contract import Clock, DeviceSilentError, LineKind, LinkError, Pipe
from gateway.links.pipe import StreamPipe
from gateway.links.tcp import open_tcp
from gateway.links.udp import open_udp
from gateway.scan.reads import is_read
from gateway.settings import LineSettings, SerialSettings

T = TypeVar("T")


class WriteRefusedError(RuntimeError):
    """Something that does not read was about to leave: an error in the search itself."""


class Wire(Protocol):
    """Lends a line."""

    kind: LineKind

    async def lend(
        self, work: Callable[[Pipe], Awaitable[T]], *, timeout: float, serial: SerialSettings | None = None
    ) -> T:
        """Run ``work`` with a pipe that only lets reads pass; ``timeout`` seconds is the wait for each answer.

        DeviceSilentError when nothing came, LinkError when the line is gone (reason ``settings``: it does not take
        this speed or format).
        """

    def close(self) -> None:
        """Give the line back."""


class ReadOnly:
    """A pipe that sends nothing but reads."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.read, self.drain_input = pipe.read, pipe.drain_input

    async def write(self, data: bytes) -> None:
        """Send a read; WriteRefusedError for anything else."""
        if not is_read(data):
            raise WriteRefusedError(f"refused to send {data.hex(' ')}: it is no read")
        await self._pipe.write(data)


class OwnWire:
    """A Wire on a line that nobody else uses."""

    def __init__(self, settings: LineSettings, clock: Clock) -> None:
        self.kind = settings.kind
        self._settings = settings
        self._clock = clock
        self._pipe: StreamPipe | None = None

    async def open(self) -> None:
        """Open the line; LinkError says what to look at."""
        settings = self._settings
        address = str(settings.serial or settings.tcp or settings.udp)
        if self.kind is LineKind.SERIAL:
            from gateway.links.serial_port import open_serial  # pyserial is not needed for a network

            own = SerialSettings(baud=settings.baud, format=settings.format)
            self._pipe = open_serial(address, own, settings.turnaround, self._clock)
        elif self.kind is LineKind.UDP:
            self._pipe = await open_udp(address, settings.turnaround, self._clock)
        elif self.kind is LineKind.TCP:
            self._pipe = await open_tcp(address, settings.turnaround, self._clock)
        else:
            raise LinkError("on a listen line the devices call us, so there is nobody to search for", "listen")

    async def lend(
        self, work: Callable[[Pipe], Awaitable[T]], *, timeout: float, serial: SerialSettings | None = None
    ) -> T:
        """As ``Wire.lend``. A peer that hangs up on a question did not answer it."""
        if self._pipe is None:
            await self.open()
        pipe = self._pipe
        if pipe is None:
            raise LinkError("the line is closed", "closed")
        await pipe.begin(timeout, serial)
        try:
            return await work(ReadOnly(pipe))
        except LinkError as error:
            self.close()
            if self.kind is LineKind.SERIAL:
                raise
            raise DeviceSilentError(str(error)) from None

    def close(self) -> None:
        """As ``Wire.close``."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
