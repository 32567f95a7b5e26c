"""`linli replay`: runs a recorded clip, or a folder of them, through a camera's pipeline without a daemon."""

import contextlib
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from gateway.cli import NO_VISION, config_option
from gateway.cli.configured import camera_of, planned
from gateway.cli.eyes import Eyes, damaged
from gateway.cli.fell import HEAD, measures
from gateway.cli.output import Line, Table, json_option, show, write_line
from gateway.clock import SystemClock
from gateway.contract import LinkError

if TYPE_CHECKING:
    from gateway.contract import VisionEvent
    from gateway.settings import CameraSettings

EPOCH = "replay"
STREAM = "perception"
PROGRESS_EVERY = 0.5
EARLIEST, LATEST = 1970, 9000  # years: ids of records count from the first (RFC 9562, 5.7)


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="[CAMERA] FILE|FOLDER")
@config_option
@click.option("--start", metavar="TIME", help="When the clip began (RFC 3339); default: the file's modification time.")
@click.option("--media", type=click.Path(path_type=Path), help="Folder for the pictures; default: a new one.")
@click.option("--reads", is_flag=True, help="Add every single read of a plate.")
@click.option("--keep", is_flag=True, help="Of a FOLDER: the next replay is compared with this one.")
@json_option
@click.pass_context
def replay(
    context: click.Context,
    what: tuple[str, ...],
    config: Path,
    start: str | None,
    media: Path | None,
    reads: bool,
    keep: bool,
    as_json: bool,
) -> None:
    """Run a recorded clip FILE through the pipeline of CAMERA and print its records, oldest first.

    No daemon is needed. The same clip gives the same records every time, ids and recordedtime aside.

    With a FOLDER: play all its clips through the detector of falls and compare with what was told of them before; exit
    code 1 when a true fall was lost or a false one came. A folder of `linli falling export` needs no CAMERA; its
    cameras stand as when it was made, or with -c as in that file. In any other folder, clips below a folder named
    `true` are to show a fall, and those below `false` none.
    """
    *names, last = what
    if len(names) > 1:
        raise click.UsageError("give a CAMERA and a FILE, or a FOLDER")
    try:
        folder = Path(last).is_dir()
    except OSError as error:  # it lies where this user may not look
        raise click.ClickException(f"{last}: {error.strerror}") from error
    if folder:
        if start is not None or media is not None or reads:
            raise click.UsageError("--start, --media and --reads are for a FILE")
        given = context.get_parameter_source("config") is not click.core.ParameterSource.DEFAULT
        _replay_folder(Path(last), names[0] if names else None, config, given, keep=keep, as_json=as_json)
        return
    if not names:
        raise click.UsageError(f"{last} is no folder; of a FILE, name the CAMERA too: linli replay CAMERA {last}")
    if keep:
        raise click.UsageError("--keep is for a FOLDER")
    _replay_file(names[0], Path(last), config, start, media, reads=reads, as_json=as_json)


def _replay_file(
    camera: str, file: Path, config: Path, start: str | None, media: Path | None, *, reads: bool, as_json: bool
) -> None:
    plan = planned(config)
    settings = camera_of(plan, camera)
    clock = SystemClock(plan.settings.gateway.timezone)
    try:
        begin, gateway = _start(start, file), plan.settings.gateway
        events = play(
            settings,
            file,
            begin,
            plan.models_folder,
            clock.rfc3339,
            reads=reads,
            providers=plan.settings.vision.providers,
            views=gateway.state / "views",
            zone=ZoneInfo(gateway.timezone) if gateway.timezone else None,
        )
        folder = MediaFolder(media)
        records = Records(plan.settings.gateway.id, clock)
        rows: list[VisionEvent] = []
        for event in events:
            record = records.make(event, {key: folder.keep(*item) for key, item in event.media.items()})
            if as_json:
                write_line(record)
                sys.stdout.flush()
            else:
                rows.append(event)
    except LinkError as error:
        raise click.ClickException(str(error)) from error
    except ImportError as error:
        raise click.ClickException(NO_VISION.format(error.name)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or media}: {error.strerror}") from error
    if not as_json:
        show(_tables(rows, clock.rfc3339))


def _replay_folder(folder: Path, name: str | None, config: Path, given: bool, *, keep: bool, as_json: bool) -> None:
    try:
        from gateway.cli import regression
        from gateway.cli.fallset import MANIFEST
        from gateway.vision.packs import models_folder

        plan = planned(config) if given or name or not (folder / MANIFEST).exists() else None
        named = camera_of(plan, name) if plan and name else None
        cameras = {camera.name: camera for camera in plan.settings.camera} if plan else {}
        models = plan.models_folder if plan else models_folder()
        views = plan.settings.gateway.state / "views" if plan else None
        regression.run(folder, named, cameras, models, views, keep=keep, as_json=as_json)
    except ImportError as error:
        raise click.ClickException(NO_VISION.format(error.name)) from error
    except OSError as error:  # an export is for its maker only
        raise click.ClickException(f"{error.filename or folder}: {error.strerror}") from error


def play(
    camera: "CameraSettings",
    file: Path,
    start: int,
    models: Path,
    stamp: Callable[[int], str],
    *,
    reads: bool = False,
    providers: Sequence[str] = (),
    views: Path | None = None,
    zone: tzinfo | None = None,
) -> "Iterator[VisionEvent]":
    """Run the clip, which begins at ``start`` (ns since 1970), as fast as it goes; LinkError when it cannot be played.

    ``views`` is where the gateway keeps the sizes for which masks, lanes and facades were drawn; a clip of another size
    than that of its masks shows nothing.
    ``zone`` is that of the days and hours of lists.
    What lessens the result (no models, broken lines of a list, a clip that breaks off) is said on stderr.
    """
    import cv2

    from gateway.vision.capture import Capture
    from gateway.vision.conceal import Concealer
    from gateway.vision.guest import Guest
    from gateway.vision.packs import FACES
    from gateway.vision.reclip import Recording

    faces = Guest(models, FACES, providers)
    if faces.trouble:
        _warn(faces.trouble)
    recording = Recording(camera, file, start, Concealer(faces, models, providers))
    eyes = Eyes(camera, models, providers, stamp, reads, _warn, faces, views, zone)
    cv2.setNumThreads(1)
    progress = Progress()
    with contextlib.closing(Capture(str(file), masks=camera.masks)) as capture:
        try:
            for frame in capture.frames():
                progress.show(frame.time)
                wall = start + round(frame.time * 1e9)
                yield from map(recording.note, eyes.offer(frame, wall, progress.time))
        except LinkError as error:
            if not progress.frames:
                raise
            _warn(f"the clip breaks off after {progress.time:.1f} s: {error}")
        if capture.damaged:
            _warn(damaged(capture.damaged, progress.frames))
        yield from map(recording.note, eyes.finish(progress.time))
    if not eyes.misfit:
        yield from recording.clips(stamp, _warn)
    progress.end()


class Records:
    """Numbers events as records of a fresh run; the JSON is made where the daemon's is made."""

    def __init__(self, gateway: str, clock: SystemClock) -> None:
        from gateway.store.envelope import Envelope

        self._envelope = Envelope(gateway, EPOCH)
        self._clock = clock
        self._sequence = 0

    def make(self, event: "VisionEvent", media: dict[str, dict[str, Any]]) -> bytes:
        """One record as one line of JSON."""
        from gateway.daemon.drafts import vision_draft
        from gateway.store.envelope import Stamp, waiting

        self._sequence += 1
        wall = self._clock.wall()
        # Nobody knows how right the clock was that the start comes from.
        stamp = Stamp(wall=wall, recorded=self._clock.rfc3339(wall), quality="unknown")
        item = waiting(vision_draft(event, media), "unknown")
        return self._envelope.json(item, self._clock.rfc3339(event.time), self._sequence, stamp)


class MediaFolder:
    """Where pictures go, named by their SHA-256; made when the first one comes."""

    def __init__(self, named: Path | None) -> None:
        self._named = named
        self._folder: Path | None = None

    def keep(self, data: bytes, content_type: str, suffix: str) -> dict[str, Any]:
        """Write one file and refer to it as a record does; OSError when it cannot be written."""
        if self._folder is None:
            self._folder = self._named or Path(tempfile.mkdtemp(prefix="linli-replay-"))
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._named is None:
                click.echo(f"pictures are in {self._folder}", err=True)
        sha256 = hashlib.sha256(data).hexdigest()
        (self._folder / f"{sha256}.{suffix}").write_bytes(data)
        return {"sha256": sha256, "bytes": len(data), "content_type": content_type}


class Progress:
    """How far the clip has been played; shown on a terminal only."""

    def __init__(self) -> None:
        self.frames = 0
        self.time = 0.0
        self._shown = time.monotonic()
        self._visible = sys.stderr.isatty()

    def show(self, seconds: float) -> None:
        """Count a frame at ``seconds`` of the clip."""
        self.frames += 1
        self.time = seconds
        if self._visible and time.monotonic() - self._shown >= PROGRESS_EVERY:
            self._shown = time.monotonic()
            click.echo(f"\r{seconds:8.1f} s of the clip, {self.frames} frames", err=True, nl=False)

    def end(self) -> None:
        """Take the line away."""
        if self._visible:
            click.echo("\r" + " " * 48 + "\r", err=True, nl=False)


def _start(text: str | None, file: Path) -> int:
    if text is None:
        try:
            # Milliseconds, as records show them: what is added to it then rounds the same way everywhere.
            return file.stat().st_mtime_ns // 1_000_000 * 1_000_000
        except OSError as error:
            raise LinkError(f"{file}: {error.strerror}; name a video file", "not_found") from error
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"--start {text}: expected a time such as 2026-11-21T08:25:30+08:00") from error
    if not EARLIEST <= moment.year <= LATEST:
        raise click.UsageError(f"--start {text}: expected a year from {EARLIEST} to {LATEST}")
    moment = moment.astimezone() if moment.tzinfo is None else moment
    return round(moment.timestamp() * 1_000_000) * 1000


def _tables(events: "Sequence[VisionEvent]", stamp: Callable[[int], str]) -> list[Table | Line]:
    passages = [_row(stamp(event.time), event.data) for event in events if "plate" in event.data]
    falls = [_fall_row(stamp(event.time), event.data) for event in events if "trajectory" in event.data]
    tables: list[Table | Line] = []
    if passages:
        tables.append(Table(("time", "lane", "direction", "plate", "status", "list"), passages))
    if falls:
        tables.append(Table(("time", HEAD[0], "column", *HEAD[1:]), falls))
    return tables or [Line(("nothing went through or fell",))]


def _row(when: str, data: Any) -> tuple[str, ...]:  # noqa: ANN401 - a record's data is JSON
    if "zone" in data:
        return when, data["zone"], data["state"], "-", f"{data['seconds']:g} s", "-"
    plate = data["plate"]
    return when, data["lane"], data["direction"], plate["text"] or "-", plate["status"], data["list"] or "-"


def _fall_row(when: str, data: Any) -> tuple[str, ...]:  # noqa: ANN401 - a record's data is JSON
    origin = data["origin"] or {"floor": None, "interval": None, "column": "-"}
    floor, *others = measures({**data, **origin})
    return when, floor, str(origin["column"]), *others


def _warn(sentence: str) -> None:
    click.echo(f"{click.style('warning:', fg='yellow')} {sentence}", err=True)
