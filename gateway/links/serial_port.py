"""A serial port as a pipe: opened by pyserial, then driven without blocking by the event loop.

No worker thread: the kernel offers the port as a file descriptor that epoll can watch, so an answer reaches its
reader without two thread switches, and a timeout or a stop needs no cooperation of a blocked thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import termios

import serial

from gateway.contract import Clock, LinkError
from gateway.links.pipe import SETTLE, StreamPipe
from gateway.settings import SerialSettings

SILENCE_FAST = 0.00175  # Modbus over serial line 2.5.1.1: fixed above 19200 baud
GONE = frozenset({errno.EIO, errno.ENODEV, errno.ENXIO, errno.EBADF})  # what an adapter without its plug says
PSEUDO_TERMINALS = range(136, 144)  # device majors of Linux ptys
SIZES = {"5": termios.CS5, "6": termios.CS6, "7": termios.CS7, "8": termios.CS8}
PARITIES = {"N": 0, "E": termios.PARENB, "O": termios.PARENB | termios.PARODD}


class SerialPipe(StreamPipe):
    """One serial port; each transaction may ask for its own speed and format."""

    def __init__(self, port: serial.Serial, settings: SerialSettings, turnaround: float, clock: Clock) -> None:
        super().__init__(str(port.port), turnaround, clock)
        self._port = port
        self._fd: int = port.fileno()
        self._own = settings
        self._now = settings
        self._character = character_seconds(settings)
        self._apply(settings)
        self._loop.add_reader(self._fd, self._readable)

    async def begin(self, timeout: float, serial: SerialSettings | None, turnaround: float = 0.0) -> None:
        """Start a transaction, switching speed and format when this device needs others."""
        wanted = serial or self._own
        if wanted != self._now:
            await self._clock.sleep(self._quiet_since + self._silence() - self._loop.time())
            self._apply(wanted)
            self._quiet_since = self._loop.time()
        await super().begin(timeout, serial, turnaround)

    async def settle(self) -> None:
        """Wait a little, so that a late answer runs into nobody's question."""
        await self._clock.sleep(SETTLE + self._silence())

    def close(self) -> None:
        """Give the port back without waiting for unsent bytes."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        with contextlib.suppress(termios.error):  # the adapter may be gone: nothing to flush
            termios.tcflush(self._fd, termios.TCIOFLUSH)
        self._port.close()
        self._lost(LinkError(f"{self.address} was closed", "closed"))

    async def _send(self, data: bytes) -> float:
        rest = data
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                self._unplugged(error)
                raise self._broken() from None
        return len(data) * self._character

    def _silence(self) -> float:
        return 3.5 * self._character if self._now.baud <= 19200 else SILENCE_FAST

    async def _writable(self) -> None:
        room = asyncio.Event()
        self._loop.add_writer(self._fd, room.set)
        try:
            async with asyncio.timeout(1.0):
                await room.wait()
        except TimeoutError:
            raise LinkError(f"{self.address} takes no bytes; check the adapter", "stuck") from None
        finally:
            self._loop.remove_writer(self._fd)

    def _look(self) -> None:
        if self.error is None:
            self._readable()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._unplugged(error)
            return
        if data:
            self._received(data)
        else:
            self._unplugged(None)

    def _unplugged(self, error: OSError | None) -> None:
        self._loop.remove_reader(self._fd)
        why = f" ({error.strerror})" if error else ""
        self._lost(LinkError(f"{self.address} is gone{why}; plug the adapter in again", "unplugged"))

    def _broken(self) -> LinkError:
        return self.error or LinkError(f"{self.address} is gone", "unplugged")

    def _apply(self, settings: SerialSettings) -> None:
        """Set speed, parity and size in ONE call: some drivers glitch, and ptys refuse, when they come apart."""
        speed = getattr(termios, f"B{settings.baud}", None)
        try:
            if speed is None:
                self._port.baudrate = settings.baud  # pyserial knows the ioctl for odd speeds
                speed = termios.tcgetattr(self._fd)[5]
            iflag, oflag, cflag, lflag, _, _, control = termios.tcgetattr(self._fd)
            cflag &= ~(termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB)
            cflag |= SIZES[settings.format[0]] | PARITIES[settings.format[1]]
            if settings.format[2] == "2":
                cflag |= termios.CSTOPB
            control[termios.VMIN] = 1  # else an empty read means "nothing yet" instead of "unplugged"
            wanted = [iflag, oflag, cflag, lflag, speed, speed, control]
            termios.tcsetattr(self._fd, termios.TCSANOW, wanted)
        except (termios.error, OSError, ValueError) as error:
            # glibc says EINVAL on a pseudo-terminal, which has no parity, when nothing else changed.
            if isinstance(error, termios.error | OSError) and error.args[0] in GONE:
                self._unplugged(OSError(*error.args))
                raise self._broken() from None
            refused = isinstance(error, termios.error) and error.args[0] == errno.EINVAL
            if not (refused and self._is_pseudo()):
                raise LinkError(
                    f"{self.address} does not take {settings.baud} {settings.format} ({error}); check the adapter",
                    "settings",
                ) from None
        self._now = settings
        self._character = character_seconds(settings)

    def _is_pseudo(self) -> bool:
        return os.major(os.fstat(self._fd).st_rdev) in PSEUDO_TERMINALS


def character_seconds(settings: SerialSettings) -> float:
    """Return the time of one character on the wire: start, data, parity and stop bits."""
    bits = 1 + int(settings.format[0]) + (settings.format[1] != "N") + int(settings.format[2])
    return bits / settings.baud


def open_serial(path: str, settings: SerialSettings, turnaround: float, clock: Clock) -> SerialPipe:
    """Open for ourselves alone; LinkError says what to look at."""
    try:
        port = serial.Serial(path, timeout=0, exclusive=True)
    except OSError as error:  # SerialException is one
        raise LinkError(*_explain(path, error)) from None
    try:
        return SerialPipe(port, settings, turnaround, clock)
    except LinkError:
        port.close()
        raise


def _explain(path: str, error: OSError) -> tuple[str, str]:
    match error.errno:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return f"{path} is not there; check that the adapter is plugged in (ls -l /dev/serial/by-id)", "not_found"
        case errno.EACCES | errno.EPERM:
            return f"{path} may not be opened; add the gateway's user to the group dialout", "forbidden"
        case errno.EBUSY | errno.EAGAIN:
            return f"{path} is in use by another program; find it with: fuser {path}", "in_use"
    return f"{path} cannot be opened ({error}); check the adapter", "open"
