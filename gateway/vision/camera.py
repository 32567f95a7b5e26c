"""One camera as the gateway sees it: starts its worker process, listens to it, restarts it, says how it is."""

import asyncio
import contextlib
import hashlib
import importlib.util
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gateway.contract import Clock, CommandError, ConfigError, Put, SourceState
from gateway.metrics import CAMERA_FRAMES
from gateway.settings import CameraSettings
from gateway.settings.secret import read_secret
from gateway.vision.address import without_credentials
from gateway.vision.events import FALL, shown_fall, shown_passage
from gateway.vision.listed import ListNews
from gateway.vision.messages import (
    RESTART,
    Ask,
    Beat,
    Clip,
    Early,
    Fall,
    Fell,
    Gone,
    Job,
    Listed,
    Opened,
    Passage,
    Peek,
    Shut,
    Stop,
    Troubles,
    View,
)
from gateway.vision.opening import STEADY, pauses
from gateway.vision.patience import Patience
from gateway.vision.peek import Peeks
from gateway.vision.presence import Presence
from gateway.vision.process import NonsenseError, Spoken, broken_off, end_worker, ending, log_complaints, start_worker
from gateway.vision.promises import Promises
from gateway.vision.standing import Standing
from gateway.vision.suspects import Suspects
from gateway.vision.telling import Finding, Teller
from gateway.vision.troubles import Trouble
from gateway.vision.unmade import Unmade

NEEDED = ("av", "cv2", "numpy", "onnxruntime")
LAST_WORDS = 0.9  # seconds that a stop waits for the record of what is falling: all of a stop takes less than ten
PASSAGES_SHOWN, FALLS_SHOWN = 10, 5
DROP_TEST = "droptest"
TESTING = (DROP_TEST, "a drop test runs: falls are recorded as tests, and alarms are only told as tests")

log = logging.getLogger("linli.vision")


class WorkerFailedError(Exception):
    """The worker is gone; the text is the sentence, ``reason`` the code."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Camera:
    """Runs one camera for as long as the gateway runs; nothing that happens in it ends the gateway."""

    def __init__(
        self,
        settings: CameraSettings,
        folder_of_models: Path,
        clock: Clock,
        put: Put,
        keep: float = 0.0,
        providers: tuple[str, ...] = (),
        presence: Presence | None = None,
        views: Path | None = None,
        lists: ListNews | None = None,
    ) -> None:
        """``keep``: how many seconds before an alarm ``clip`` may be asked for; ``providers``: what models run on.

        ``presence`` is what the gates of an area know together; ``views`` is the folder in which a facade's is kept;
        ``lists`` knows what was said of plate lists, which cameras may share.
        """
        self._lists = lists or ListNews()
        self.name, self.purpose = settings.name, settings.purpose
        self._settings = settings
        self._models = folder_of_models
        self._clock = clock
        self._put = put
        self._keep = keep
        self._providers = providers
        self._views = "" if views is None else str(views.absolute())
        self._standing = Standing(settings.name, clock, put)
        self._unmade, self._unstored = Unmade(clock), Unmade(clock)
        self._frames = {"offered": 0, "looked": 0, "dropped": 0}
        self._size: tuple[int, int] | None = None
        self._troubles: tuple[Trouble, ...] = ()
        self._picture: str | None = None
        self._passages: deque[Passage] = deque(maxlen=PASSAGES_SHOWN)
        self._falls: deque[dict[str, Any]] = deque(maxlen=FALLS_SHOWN)
        self._worker: asyncio.subprocess.Process | None = None
        self._promises = Promises(settings, clock)
        self._patience = Patience()
        self._peeks = Peeks(self.name, clock)
        self._teller = Teller(settings, clock.rfc3339, presence=presence)
        self._asked = 0
        self._wary = False
        self._may_clip = settings.unblurred is not None

    def view(self) -> dict[str, Any]:
        """How it is now, as JSON values; no credentials, plates shortened."""
        stamp, falling = self._clock.rfc3339, self._settings.falling
        return {
            "name": self.name,
            "purpose": self.purpose,
            "url": without_credentials(self._settings.url),
            **self._standing.view(stamp),
            "size": list(self._size) if self._size else None,
            "frames": dict(self._frames),
            "unmade_clips": self._unmade.view(stamp),
            "unstored_media": self._unstored.view(stamp),
            "last_picture": self._picture,
            "last_passages": [shown_passage(passage, stamp) for passage in reversed(self._passages)],
            "last_falls": list(reversed(self._falls)),
            "falling": falling.model_dump(mode="json", include={"facade"}) if falling is not None else None,
            "testing": self._teller.testing(self._clock.monotonic()),
        }

    def forget(self, plate: str, gone: Callable[[str], bool]) -> None:
        """Show a plate's passages no more, nor a last picture whose file, by its SHA-256, is gone.

        A clip of it that is still being made comes to nobody: its record is gone.
        """
        self._teller.forget(plate)
        self._promises.forget(plate)
        kept = [passage for passage in self._passages if passage.text != plate]
        self._passages = deque(kept, maxlen=PASSAGES_SHOWN)
        if self._picture is not None and gone(self._picture):
            self._picture = None

    def clip(self, before: float, after: float, record: str) -> bool:
        """Ask for a clip of so many seconds around now for a record (its id); False when the camera cannot make one."""
        worker = self._worker
        stdin = worker.stdin if worker is not None and worker.returncode is None else None
        if not self._may_clip or not self._standing.gives or stdin is None or stdin.is_closing():
            return False
        self._asked += 1
        token = f"g{self._asked}"
        stdin.write(msgspec.json.encode(Ask(token, before, after)) + b"\n")
        self._promises.asked(token, record, self._size)
        return True

    def lost(self, why: str) -> None:
        """Count a picture or clip that the disk did not take."""
        self._unstored.add(why)

    async def peek(self) -> dict[str, Any]:
        """A picture of now for whoever aims the camera, and what is to be improved; CommandError 409 without one."""
        return await self._peeks.view(self._ask_view)

    async def drop_test(self, seconds: float) -> bool:
        """Mark what falls within so many seconds as thrown for a test; 0 ends it. CommandError when it cannot be.

        Whether a test was running before.
        """
        if self._settings.falling is None:
            raise CommandError(f"camera {self.name} looks for no falling objects; give it [camera.falling]", 409)
        if seconds and not self._standing.gives:
            raise CommandError(f"camera {self.name} gives no picture: {self._standing.sentence}", 409)
        now = self._clock.monotonic()
        ran = self._teller.testing(now)
        if seconds and ran:
            end = f"end it with: linli camera droptest {self.name} --end"
            raise CommandError(f"a drop test of camera {self.name} runs already; {end}", 409)
        self._teller.test(now, seconds)
        if self._standing.gives:
            await self._become_open()
        return ran

    def _ask_view(self) -> bool:
        worker = self._worker
        if not self._standing.gives or worker is None or worker.stdin is None:
            return False
        worker.stdin.write(msgspec.json.encode(Peek()) + b"\n")
        return True

    async def run(self) -> None:
        """Keep the camera going until cancelled; a file that was played to its end just stays ended."""
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            sentence = f"the extra `vision` is not installed ({', '.join(missing)} missing); run scripts/setup"
            await self._standing.become(SourceState.OFFLINE, "not_installed", sentence)
            return
        await self._standing.emit()
        with contextlib.closing(Suspects(self._clock.monotonic)) as suspects:
            await self._keep_working(suspects)

    async def _keep_working(self, suspects: Suspects) -> None:
        waits = pauses()
        while True:
            began = self._clock.monotonic()
            try:
                await self._work(suspects)
                return
            except WorkerFailedError as error:
                await self._standing.become(SourceState.OFFLINE, error.reason, str(error))
            self._wary = self._size is None
            if self._clock.monotonic() - began > STEADY:
                waits = pauses()
            await self._clock.sleep(next(waits))

    async def _work(self, suspects: Suspects) -> None:
        """Run one worker to its end; WorkerFailedError unless the camera's file was played to its end."""
        try:
            secret = read_secret(self._settings.password_file) if self._settings.password_file else ""
        except ConfigError as error:
            raise WorkerFailedError(str(error), "secret") from error
        suspects.clear()
        worker = await start_worker(suspects.page)
        self._worker = worker
        self._size, self._troubles = None, ()
        self._teller.begin()
        complaints = asyncio.create_task(log_complaints(self.name, worker, secret))
        try:
            settings = portable(self._settings)
            job = Job(settings, str(self._models), secret, self._keep, self._providers, self._views, wary=self._wary)
            if worker.stdin is not None:
                worker.stdin.write(msgspec.json.encode(job) + b"\n")
                with contextlib.suppress(ConnectionError):
                    await worker.stdin.drain()
            spoken = Spoken(worker.stdout) if worker.stdout is not None else None
            if spoken is None:
                raise WorkerFailedError("the worker has no output", "worker")
            try:
                await self._listen(worker, spoken, suspects)
            except asyncio.CancelledError:
                await self._hear_out(worker, spoken)
                await self._give_up("stopped", "the gateway was stopped")
                raise
            except WorkerFailedError as error:
                await self._give_up(error.reason, str(error))
                raise
            await self._give_up("ended", "the camera's file was over")
        finally:
            self._worker = None
            self._peeks.lost()
            try:
                await end_worker(worker)
            finally:
                await broken_off(complaints)

    async def _hear_out(self, worker: asyncio.subprocess.Process, spoken: Spoken) -> None:
        """When the gateway stops: a fall that was told gets its record, and what is owed a clip, if it can be soon."""
        if worker.stdin is None or not self._promises.open:
            return
        worker.stdin.write(msgspec.json.encode(Stop()) + b"\n")
        hearing = asyncio.create_task(self._hear(spoken))
        await asyncio.wait([hearing], timeout=LAST_WORDS)  # Python 3.11.2's asyncio.timeout is none in a cancelled task
        await broken_off(hearing)

    async def _hear(self, spoken: Spoken) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, msgspec.DecodeError, NonsenseError):
            while not isinstance(message := await spoken.message(), Gone):
                if isinstance(message, Fall | Clip):  # a vehicle is told when it goes, by the next worker
                    await self._take(message)

    async def _give_up(self, reason: str, sentence: str) -> None:
        """Put on record what was announced and does not come any more; ``reason`` is a short code."""
        for event in self._promises.broken(reason, sentence):
            if event.type == FALL:
                self._falls.append(shown_fall(event.data))
            await self._put(event)

    async def _listen(self, worker: asyncio.subprocess.Process, spoken: Spoken, suspects: Suspects) -> None:
        """Take messages until the worker's last word; WorkerFailedError when that is a failure or never comes."""
        self._patience.begin()
        while True:
            try:
                async with asyncio.timeout(self._patience.seconds):
                    message = await spoken.message()
            except NonsenseError:
                raise WorkerFailedError("the worker sent nonsense; it is started anew", "worker") from None
            except TimeoutError:
                raise WorkerFailedError(self._patience.spent(suspects.blame()), "timeout") from None
            except msgspec.ValidationError:  # a message, but none that this gateway knows
                sentence = f"the program was exchanged while the gateway runs, and its parts do not fit; {RESTART}"
                raise WorkerFailedError(sentence, "version") from None
            except (asyncio.IncompleteReadError, msgspec.DecodeError):
                code = await end_worker(worker)
                suspect = suspects.blame()
                how = f"{ending(code)}, while model {suspect} was at work" if suspect else ending(code)
                raise WorkerFailedError(f"the worker ended ({how}) and is started anew", "worker") from None
            self._patience.heard(message)
            suspects.refresh()
            if isinstance(message, Gone):
                if message.reason != "ended":
                    raise WorkerFailedError(message.sentence, message.reason)
                await self._standing.become(SourceState.ENDED, "ended", message.sentence)
                return
            await self._take(message)

    async def _take(self, message: Opened | Shut | Beat | Listed | Troubles | Clip | View | Finding) -> None:
        if isinstance(message, Opened):
            self._size = (message.width, message.height)
            await self._become_open()
        elif isinstance(message, Shut):
            await self._standing.become(SourceState.OFFLINE, message.reason, message.sentence)
        elif isinstance(message, Troubles):
            self._troubles = message.found
            if self._size is not None:
                await self._become_open()
        elif isinstance(message, Beat):
            await self._beat(message)
        elif isinstance(message, Listed):
            self._lists.take(message.name, message.file, message.problems, message.count)
        elif isinstance(message, View):
            self._peeks.take(message)
        elif isinstance(message, Clip):
            await self._file(message)
        else:
            await self._tell(message)

    async def _beat(self, beat: Beat) -> None:
        self._may_clip = beat.clips or self._settings.unblurred is not None
        self._count(beat)
        for event in self._promises.unsaid():
            await self._put(event)
        if self._standing.reason == DROP_TEST and not self._teller.testing(self._clock.monotonic()):
            await self._become_open()

    def _count(self, beat: Beat) -> None:
        for what, count in (("offered", beat.offered), ("looked", beat.looked), ("dropped", beat.dropped)):
            self._frames[what] += count
            CAMERA_FRAMES.labels(self.name, what).inc(count)

    async def _tell(self, found: Finding) -> None:
        event = self._teller.event(found, self._clock.monotonic(), self._clock.wall())
        if not isinstance(found, Early) and found.picture is not None:
            self._picture = hashlib.sha256(found.picture.jpeg).hexdigest()
        if isinstance(found, Passage):
            self._passages.append(found)
        if isinstance(found, Fell):
            event = self._promises.falls(found, event)
        elif isinstance(found, Fall):
            event = self._promises.fell(found, event)
            self._falls.append(shown_fall(event.data))
        if isinstance(found, Passage | Fall):
            event = self._promises.clip_of(found, event, self._size)
        await self._put(event)

    async def _file(self, clip: Clip) -> None:
        event = self._promises.made(clip)
        if event is None:
            return
        if not clip.mp4 and self._unmade.add(clip.trouble):
            record = event.data["record"]
            log.warning("camera %s: the clip for record %s could not be made: %s", self.name, record, clip.trouble)
        await self._put(event)

    async def _become_open(self) -> None:
        testing = self._teller.testing(self._clock.monotonic())
        troubles = [TESTING, *self._troubles] if testing else self._troubles
        if troubles:
            await self._standing.become(SourceState.DEGRADED, *troubles[0], besides=troubles[1:])
        else:
            width, height = self._size or (0, 0)
            await self._standing.become(SourceState.ONLINE, "open", f"the camera gives pictures of {width} x {height}")


def portable(settings: CameraSettings) -> dict[str, Any]:
    """Settings as JSON values that a worker reads like a configuration."""
    return settings.model_dump(mode="json", by_alias=True)
