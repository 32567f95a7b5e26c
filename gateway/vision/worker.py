"""The worker process of one camera: captures, analyses, and writes what it found to its standard output."""

import contextlib
import itertools
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import msgspec

from gateway import __version__
from gateway.contract import LinkError
from gateway.settings import CameraSettings
from gateway.vision.address import is_stream
from gateway.vision.capture import Capture, Frame
from gateway.vision.clips import Clips
from gateway.vision.conceal import Concealer
from gateway.vision.drawn_for import MaskedSize
from gateway.vision.feed import Feed
from gateway.vision.guest import Guest
from gateway.vision.listed import SAID
from gateway.vision.live import Live
from gateway.vision.messages import (
    RESTART,
    Ask,
    Beat,
    Clip,
    Dwell,
    Fall,
    Gone,
    Job,
    Listed,
    Message,
    Opened,
    Passage,
    Peek,
    Shut,
    Stop,
    Troubles,
    send,
)
from gateway.vision.opening import STEADY, opened, pauses
from gateway.vision.packs import FACES
from gateway.vision.parent import end_by, end_with_parent
from gateway.vision.ring import PacketRing
from gateway.vision.strain import Strain
from gateway.vision.troubles import Trouble, ranked
from gateway.vision.watchers import Watcher, seconds_kept, watchers_of

if TYPE_CHECKING:
    from gateway.vision.aim import Aim

BEAT_EVERY = 1.0
WAITING = (4.0, 20.0)  # seconds of packets that wait for analysis; the longer where every frame counts
LETS_GO = 0.5  # seconds that the end of reading is waited for
NO_CLIP = "no clip may be made: faces and plates could not be hidden"
WITHOUT_FACES = "pictures show nothing but the vehicle, and no clip is made"
STOPPED = "stopped"
NOTHING_LEFT = 3  # exit code: said why on the pipe


class Worker:
    """One camera from its first frame to its end or failure; ``asked`` holds what the gateway asks for meanwhile."""

    def __init__(self, job: Job, out: BinaryIO, asked: "queue.SimpleQueue[Ask | Peek | Stop] | None" = None) -> None:
        self._job = job
        self._camera = CameraSettings.model_validate(job.camera)
        self._out = out
        self._speaking = threading.Lock()
        self._asked = asked
        self._watchers: list[Watcher] = []
        self._ring: PacketRing | None = None
        self._clips: Clips | None = None
        self._faces: Guest | None = None
        self._stream: Any = None
        self._tokens = itertools.count(1)
        self._opened: tuple[int, int] | None = None
        self._masked = MaskedSize(self._camera, Path(job.views) if job.views else None)
        self._misfit = ""
        self._beat = time.monotonic()
        self._sent = [0, 0, 0]
        self._counts = [0, 0, 0]
        self._strain = Strain()
        self._troubles: tuple[Trouble, ...] = ()
        self._peeked = False
        self._aim: Aim | None = None

    def run(self) -> None:
        """Play to the end; LinkError when the camera fails. What it is about goes out as messages."""
        kept = seconds_kept(self._camera, self._job.keep)
        self._ring = PacketRing(kept) if kept else None
        # A camera that cannot be opened is told of at once; one that could not be just now costs no models, and a file
        # that is none would wait for them.
        beside = is_stream(self._camera.url) and not self._job.wary
        loading = ThreadPoolExecutor(1, "models").submit(self._load) if beside else None
        capture = opened(self._open, self._say, self._wait)
        load = loading.result if loading is not None else self._load
        if is_stream(self._camera.url):
            self._run_live(capture, load)
        else:
            load()
            self._run_file(capture)

    def _load(self) -> None:
        """Load what looks at the pictures."""
        models, providers = Path(self._job.models), self._job.providers
        faces = self._faces or Guest(models, FACES, providers)
        views = Path(self._job.views) if self._job.views else None
        self._watchers = watchers_of(self._camera, models, providers, faces, views, tell=self._tell_list)
        if self._ring is not None and self._clips is None:
            concealer = Concealer(faces, models, providers) if self._camera.unblurred is None else None
            self._clips = Clips(self._ring, self._camera.masks, self._say, concealer, self._masked.misfit)
            self._ring.keep(on=self._clips.able)
        self._faces = faces

    def _tell_list(self, name: str, file: str, problems: Sequence[str]) -> None:
        self._say(Listed(name, file, tuple(problems[:SAID]), len(problems)))

    @property
    def _sleeps(self) -> bool:
        return all(watcher.sleeps for watcher in self._watchers)

    def _open(self) -> Capture:
        camera = self._camera
        capture = Capture(
            camera.url,
            user=camera.user,
            password=self._job.password,
            masks=camera.masks,
            transport=camera.transport,
        )
        self._stream = capture.stream
        return capture

    def _run_live(self, capture: Capture, load: Callable[[], None]) -> None:
        """Watch a camera until it is lost and owes no clip; while clips are made it is called again."""
        waits = pauses()
        try:
            while True:
                began = time.monotonic()
                live = Live(capture, self._ring, WAITING[0] if self._camera.falling is None else WAITING[1])
                try:
                    self._watch(capture, live, load)
                except LinkError as error:
                    free = error.reason != STOPPED and live.end(LETS_GO)
                    self._end_life(error)
                    # A camera that is still read cannot be opened; and with no clip to make a new process is as quick.
                    if not free or self._clips is None or not self._clips.making:
                        raise
                waits = pauses() if time.monotonic() - began > STEADY else waits
                self._wait(time.monotonic() + next(waits))
                capture, load = opened(self._open, self._say, self._wait), self._load
        except LinkError:
            self._settle()
            raise

    def _watch(self, capture: Capture, live: Live, load: Callable[[], None]) -> None:
        load()
        feed = Feed(capture, sleeps=self._sleeps)
        self._strain.begin()
        before, excused = tuple(self._counts), live.dropped
        for coded in live.packets(BEAT_EVERY / 2):
            if coded is not None:
                asleep = feed.asleep
                for frame in feed.take(coded):
                    if self._strain.in_time(frame.time, live.lag, may_skip=self._sleeps):
                        self._analyse(feed, capture, frame)
                    self._tell_alive()
                late = time.monotonic() - coded.arrived
                self._strain.late(late)
                if self._ring is not None:
                    self._ring.late = late
                if asleep and not feed.asleep:
                    self._strain.excuse()
            self._counts[0] = before[0] + live.offered
            self._counts[2] = before[2] + live.dropped - excused + self._strain.skipped
            self._serve()

    def _run_file(self, first: Capture) -> None:
        began = time.monotonic()
        began_wall = time.time_ns()
        index, offset = 0, 0.0
        for again in itertools.count() if self._camera.repeat else range(1):
            capture = self._open() if again else first
            feed = Feed(capture, sleeps=self._sleeps)
            last = 0.0
            try:
                for coded in capture.packets(index, began_wall + round(offset * 1e9)):
                    due = began + offset + coded.time
                    if self._camera.pace == "real":
                        self._wait(due)
                    if self._ring is not None:
                        self._ring.add(coded)
                    last = max(last, coded.time)
                    index = coded.index + 1
                    self._counts[0] += 1
                    self._look(feed, capture, feed.take(coded))
                    if self._camera.pace == "real":
                        self._strain.late(time.monotonic() - due)
                    self._serve()
                self._look(feed, capture, feed.finish())
                capture.check()
            finally:
                self._finish()
                self._settle()
                capture.close()
            offset += last + capture.period

    def _look(self, feed: Feed, capture: Capture, frames: Iterator[Frame]) -> None:
        for frame in frames:
            self._analyse(feed, capture, frame)
            self._tell_alive()

    def _wait(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, BEAT_EVERY / 2))
            self._serve()

    def _analyse(self, feed: Feed, capture: Capture, frame: Frame) -> None:
        if self._opened != (frame.width, frame.height):
            if self._opened is not None:
                self._end_scene(frame)
            self._misfit = self._masked.misfit((frame.width, frame.height))
            self._tell_trouble()
            self._opened = (frame.width, frame.height)
            self._say(Opened(frame.width, frame.height, capture.codec))
        looked = False
        for watcher in self._watchers:
            found = watcher.look(frame, frame.wall)
            looked = looked or found is not None
            self._tell(watcher, found or ())
            if watcher.busy:
                feed.stir(frame.time)
        self._counts[1] += looked
        if self._peeked and not self._misfit:
            self._peeked = False
            self._show(frame)

    def _end_scene(self, frame: Frame) -> None:
        """The picture has another size from this frame on: what was seen till then is told, and no clip has both."""
        for watcher in self._watchers:
            self._tell(watcher, watcher.finish())
        if self._clips is not None:
            self._clips.cut(self._stream, frame.index)

    def _show(self, frame: Frame) -> None:
        """Answer whoever aims the camera; the first look loads what it takes."""
        if self._aim is None:
            from gateway.vision.aim import Aim

            self._aim = Aim(self._camera, Path(self._job.models), self._job.providers)
        self._say(self._aim.look(frame))

    def _tell(self, watcher: Watcher, messages: Sequence[Message]) -> None:
        for message in messages:
            if self._misfit and isinstance(message, Passage | Fall | Dwell):
                message = msgspec.structs.replace(message, picture=None)
            span = watcher.clip(message) if self._clips is not None and not self._misfit else None
            if span is not None and isinstance(message, Passage | Fall):
                token = f"w{next(self._tokens)}"
                own = message.text if isinstance(message, Passage) and message.status == "accepted" else ""
                if self._clips is not None and self._clips.ask(token, *span, own):
                    message = msgspec.structs.replace(message, clip=token)
            self._say(message)
            self._tell_trouble()

    def _end_life(self, lost: LinkError) -> None:
        """The camera is gone: tell what was seen, say so, and have all clips made that are owed."""
        self._finish()
        self._opened = None
        self._say(Shut(lost.reason, str(lost)))
        if self._clips is not None and self._ring is not None:
            self._clips.tick(self._stream, over=True)
            self._ring.clear()

    def _finish(self) -> None:
        for watcher in self._watchers:
            self._tell(watcher, watcher.finish())

    def _settle(self) -> None:
        """Make all clips that are owed, and wait for them."""
        if self._clips is not None and self._ring is not None:
            self._clips.tick(self._stream, over=True)
            while self._clips.making:
                time.sleep(0.02)
                self._tell_alive()
            self._clips.tick(self._stream)
            self._ring.clear()
        self._tell_alive(now=True)

    def _serve(self) -> None:
        """Do what is due beside the frames: signs of life, and clips."""
        if self._asked is not None:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._owe(self._asked.get_nowait())
        if self._clips is not None:
            self._clips.tick(self._stream)
        self._tell_alive()

    def _owe(self, ask: Ask | Peek | Stop) -> None:
        if isinstance(ask, Stop):
            raise LinkError("the gateway stops", STOPPED)
        if isinstance(ask, Peek):
            self._peeked = True
            return
        now = time.time_ns()
        span = now - round(ask.before * 1e9), now + round(ask.after * 1e9)
        if self._clips is None or self._misfit or not self._clips.ask(ask.token, *span):
            self._say(Clip(ask.token, trouble=self._misfit or NO_CLIP))

    def _tell_trouble(self) -> None:
        found = [("masks", self._misfit)] if self._misfit else []
        found += [self._strain.trouble] if self._strain.trouble[0] else []
        for watcher in self._watchers:
            found += watcher.troubles
        if self._faces is not None and self._faces.trouble:
            found.append(("faces", f"{self._faces.trouble}; until then {WITHOUT_FACES}"))
        if (troubles := ranked(found)) != self._troubles:
            self._troubles = troubles
            self._say(Troubles(troubles))

    def _tell_alive(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._beat >= BEAT_EVERY:
            self._beat = time.monotonic()
            news = [count - sent for count, sent in zip(self._counts, self._sent, strict=True)]
            self._sent = list(self._counts)
            late = self._strain.beat(news[1], news[2])
            self._keep_eyes()
            self._say(Beat(news[0], news[1], news[2], self._may_clip, round(late, 3)))
            if self._opened is not None:
                self._tell_trouble()

    @property
    def _may_clip(self) -> bool:
        return self._clips is not None and self._clips.able and not self._misfit

    def _keep_eyes(self) -> None:
        """Look whether faces can still be hidden, or can be by now; packets are kept only where clips may be made."""
        if self._faces is not None:
            self._faces.renew()
        if self._ring is not None and self._clips is not None:
            self._ring.keep(on=self._clips.able)

    def _say(self, message: Message) -> None:
        with self._speaking:
            send(self._out, message)


def main() -> int:
    """Read the job, do it, and say on the pipe how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the gateway ends us in order
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a codec prints must not get between the messages
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    if job.version != __version__:
        what = f"the gateway runs version {job.version}, but {__version__} is installed by now"
        send(out, Gone("version", f"{what}; {RESTART}"))
        return NOTHING_LEFT
    asked: queue.SimpleQueue[Ask | Peek | Stop] = queue.SimpleQueue()
    end_with_parent(asked)
    cv2.setNumThreads(1)
    try:
        Worker(job, out, asked).run()
    except LinkError as error:
        send(out, Gone(error.reason, str(error)))
        return NOTHING_LEFT
    except BrokenPipeError:
        return 0
    send(out, Gone("ended", "the video file was played to its end"))
    return 0


if __name__ == "__main__":
    # Threads of libraries may hang in a camera; the gateway has all it needs by now.
    sys.excepthook = end_by
    code = main()
    sys.stderr.flush()
    os._exit(code)
