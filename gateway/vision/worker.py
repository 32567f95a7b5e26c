"""The worker process of one camera: captures, analyses, and writes what it found to its standard output."""

import ctypes
import itertools
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import cv2
import msgspec

from gateway.contract import LinkError
from gateway.settings import CameraSettings
from gateway.vision.address import is_stream
from gateway.vision.capture import Capture, Frame
from gateway.vision.gate import VehicleGate
from gateway.vision.lists import PlateLists
from gateway.vision.messages import Beat, Gone, Job, Message, Opened, Trouble, send
from gateway.vision.packs import PackError
from gateway.vision.sight import ModelSight

BEAT_EVERY = 1.0
QUEUE = 4  # frames that wait for analysis; older ones are dropped and counted
PR_SET_PDEATHSIG = 1
NOTHING_LEFT = 3  # exit code: said why on the pipe


class Live:
    """Takes frames off a stream as they come, in a thread of its own, so that the camera is never kept waiting."""

    def __init__(self, capture: Capture) -> None:
        self.offered = 0
        self.dropped = 0
        self._waiting: deque[tuple[Frame, int]] = deque()
        self._change = threading.Condition()
        self._over: LinkError | None = None
        self._done = False
        self._thread = threading.Thread(target=self._take, args=(capture,), name="capture", daemon=True)
        self._thread.start()

    def _take(self, capture: Capture) -> None:
        over: LinkError | None = None
        try:
            for frame in capture.frames():
                with self._change:
                    self.offered += 1
                    if len(self._waiting) >= QUEUE:
                        self._waiting.popleft()
                        self.dropped += 1
                    self._waiting.append((frame, time.time_ns()))
                    self._change.notify()
        except LinkError as error:
            over = error
        with self._change:
            self._over, self._done = over, True
            self._change.notify()

    def frames(self, patience: float) -> Iterator[tuple[Frame, int] | None]:
        """Give frames with their arrival (ns since 1970), None when none came for ``patience`` s; LinkError ends it."""
        while True:
            with self._change:
                if not self._waiting and not self._done:
                    self._change.wait(patience)
                entry = self._waiting.popleft() if self._waiting else None
                over = self._done and entry is None
            if over:
                raise self._over or LinkError("the camera closed the stream; check the camera", "closed")
            yield entry


class Worker:
    """One camera from its first frame to its end or failure."""

    def __init__(self, job: Job, out: BinaryIO) -> None:
        self._job = job
        self._camera = CameraSettings.model_validate(job.camera)
        self._out = out
        self._beat = time.monotonic()
        self._sent = [0, 0, 0]
        self._counts = [0, 0, 0]
        self._trouble = ("", "")
        self._lists: PlateLists | None = None
        self._models: PackError | None = None

    def run(self) -> None:
        """Play to the end; LinkError when the camera fails. What it is about goes out as messages."""
        gate = self._gate() if self._camera.vehicles is not None else None
        if is_stream(self._camera.url):
            self._run_live(gate)
        else:
            self._run_file(gate)

    def _gate(self) -> VehicleGate:
        vehicles = self._camera.vehicles
        files = vehicles.lists if vehicles else None
        self._lists = PlateLists({"allow": files.allow if files else None, "deny": files.deny if files else None})
        sight: ModelSight | None = None
        try:
            sight = ModelSight(Path(self._job.models))
        except PackError as error:
            self._models = error
        return VehicleGate(self._camera, sight, self._lists)

    def _open(self) -> Capture:
        camera = self._camera
        return Capture(camera.url, user=camera.user, password=self._job.password, masks=camera.masks)

    def _run_live(self, gate: VehicleGate | None) -> None:
        capture = self._open()
        live = Live(capture)
        try:
            for entry in live.frames(BEAT_EVERY / 2):
                self._counts[0], self._counts[2] = live.offered, live.dropped
                if entry is not None:
                    self._analyse(gate, capture, *entry)
                self._tell_alive()
        finally:
            self._finish(gate)

    def _run_file(self, gate: VehicleGate | None) -> None:
        began = time.monotonic()
        began_wall = time.time_ns()
        index, offset = 0, 0.0
        for _ in itertools.count() if self._camera.repeat else range(1):
            capture = self._open()
            last = 0.0
            try:
                for frame in capture.frames(index):
                    last = frame.time
                    due = offset + frame.time
                    if self._camera.pace == "real":
                        self._wait(began + due)
                    index = frame.index + 1
                    self._counts[0] += 1
                    self._analyse(gate, capture, frame, began_wall + round(due * 1e9))
                    self._tell_alive()
            finally:
                self._finish(gate)
                capture.close()
            offset += last + capture.period

    def _wait(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, BEAT_EVERY / 2))
            self._tell_alive()

    def _analyse(self, gate: VehicleGate | None, capture: Capture, frame: Frame, wall: int) -> None:
        if not frame.index:
            self._tell_trouble()
            self._say(Opened(frame.width, frame.height, capture.codec))
        if gate is None:
            return
        passages = gate.offer(frame, wall)
        if passages is not None:
            self._counts[1] += 1
            for passage in passages:
                self._say(passage)
                self._tell_trouble()

    def _finish(self, gate: VehicleGate | None) -> None:
        if gate is not None:
            for passage in gate.finish():
                self._say(passage)
        self._tell_alive(now=True)

    def _tell_trouble(self) -> None:
        trouble = ("", "")
        problems = self._lists.problems if self._lists else []
        if self._models is not None:
            without = "; until then passages come without plates"
            trouble = (self._models.reason, f"{self._models}{without}")
        elif problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            trouble = ("list", f"{problems[0]}{more}")
        if trouble != self._trouble:
            self._trouble = trouble
            self._say(Trouble(*trouble))

    def _tell_alive(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._beat >= BEAT_EVERY:
            self._beat = time.monotonic()
            news = [count - sent for count, sent in zip(self._counts, self._sent, strict=True)]
            self._sent = list(self._counts)
            self._say(Beat(*news))

    def _say(self, message: Message) -> None:
        send(self._out, message)


def _end_with_parent() -> None:
    """Never outlive the gateway: the kernel ends us with it, and so does the end of our standard input."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main() -> int:
    """Read the job, do it, and say on the pipe how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the gateway ends us in order
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a codec prints must not get between the messages
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    _end_with_parent()
    cv2.setNumThreads(1)
    try:
        Worker(job, out).run()
    except LinkError as error:
        send(out, Gone(error.reason, str(error)))
        return NOTHING_LEFT
    except BrokenPipeError:
        return 0
    send(out, Gone("ended", "the video file was played to its end"))
    return 0


if __name__ == "__main__":
    # Threads of libraries may hang in a camera; the gateway has all it needs by now.
    code = main()
    sys.stderr.flush()
    os._exit(code)
