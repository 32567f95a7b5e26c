"""One RS-485 line on a real pseudo-terminal with slaves of any protocol; each listens at its own speed."""

import asyncio
import contextlib
import os
import pty
import termios
import tty

from tests.meters.slaves import Hear

QUIET = 0.01  # seconds without a byte end a question


class Bus:
    """``ears``: (speed as in termios or None for any, slave). ``heard``: (speed, question) in order."""

    def __init__(self, *ears: tuple[int | None, Hear]) -> None:
        self.ears = ears
        self.spoil = lambda _question, answer: [answer]
        self.heard: list[tuple[int, bytes]] = []
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        os.set_blocking(self._master, False)
        self._loop.add_reader(self._master, self._readable)

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._buffer += os.read(self._master, 4096)
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(QUIET, self._answer)

    def _answer(self) -> None:
        question, self._buffer = self._buffer, b""
        speed = termios.tcgetattr(self._slave)[5]
        self.heard.append((speed, question))
        answer = b"".join(ear(question) for wanted, ear in self.ears if wanted in (None, speed))
        for chunk in self.spoil(question, answer):
            os.write(self._master, chunk)
