"""The worker process of one camera as its parent has it: started, listened to where it complains, ended."""

import asyncio
import contextlib
import logging
import os
import sys

from gateway.vision.grammar import discreet
from gateway.vision.messages import LONGEST, Message, unpack
from gateway.vision.suspects import PAGE

STOP_SECONDS = 2.0
# One thread computes. What is as large as a coloured picture goes back to the machine once it is not needed; threads
# share two heaps: else glibc keeps what a lane's models and a facade's pictures have used.
ALONE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "4194304",
    "MALLOC_TRIM_THRESHOLD_": "4194304",
}

log = logging.getLogger("linli.vision")


class NonsenseError(Exception):
    """What was said is too long to be a message: the pipe is out of step."""


class Spoken:
    """What a worker says, message by message; a wait that is broken off loses nothing of it."""

    def __init__(self, out: asyncio.StreamReader) -> None:
        self._out = out
        self._length: int | None = None

    async def message(self) -> Message:
        """Wait for the next; IncompleteReadError at the end, DecodeError or NonsenseError for what is none."""
        if self._length is None:
            self._length = int.from_bytes(await self._out.readexactly(4), "big")
        if self._length > LONGEST:
            raise NonsenseError
        body = await self._out.readexactly(self._length)
        self._length = None
        return unpack(body)


async def start_worker(page: int) -> asyncio.subprocess.Process:
    """Start one; its job goes to its standard input. ``page`` is the descriptor on which it says what is at work."""
    environment = {**os.environ, **ALONE, PAGE: str(page)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.vision.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        pass_fds=(page,),
    )


async def log_complaints(camera: str, worker: asyncio.subprocess.Process, secret: str) -> None:
    """Log what it says on its standard error, without the camera's password and without plates, until it has ended."""
    if worker.stderr is None:
        return
    while True:
        try:
            line = await worker.stderr.readline()
        except ValueError:
            continue  # longer than the buffer: the rest follows
        if not line:
            return
        text = line.decode(errors="replace").rstrip()
        log.warning("camera %s: %s", camera, discreet(text.replace(secret, "***") if secret else text))


async def end_worker(worker: asyncio.subprocess.Process) -> int:
    """End it: its closed input tells it to; what does not hear is killed. Its exit code."""
    if worker.stdin is not None:
        worker.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            return await worker.wait()
    except TimeoutError:
        pass
    finally:
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
    return await worker.wait()


async def broken_off(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended; what it failed with is raised."""
    task.cancel()
    await asyncio.wait([task])  # not its own await: our being cancelled meanwhile must not be lost
    if not task.cancelled():
        task.result()


def ending(code: int) -> str:
    """Say how it ended."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
