"""`linli replay FOLDER`: plays clips through the detector of falls, and compares with what it told of them before."""

import hashlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gateway.cli.eyes import damaged
from gateway.cli.fallset import MANIFEST, Clip, FallSet, Place, Told, read_set, remember
from gateway.cli.output import Block, Cell, Line, Table, Tone, Word, print_json, show
from gateway.contract import LinkError, LinliError
from gateway.words import many

if TYPE_CHECKING:
    from gateway.settings import CameraSettings

NEAR = 24.0  # pixels that two ways may lie apart and be the same thing's
LATE = 0.06  # seconds by which the times of two ways may differ: a quick thing goes far in them
SHARED = 4  # sights that lie on the other way, and
MOST = 0.5  # the share of those at the same time that have to
SHOW_EVERY = 25  # frames

Way = Sequence[Place]
WORDS: dict[str, tuple[str, Tone]] = {
    "lost": ("LOST", "bad"),
    "false": ("FALSE", "bad"),
    "unplayable": ("NOT PLAYED", "bad"),
    "better": ("better", "good"),
    "changed": ("changed", "warn"),
    "same": ("", ""),
}
BAD = frozenset({"lost", "false", "unplayable"})


class Row(NamedTuple):
    """One clip, what was told of it before (if that is known) and is now, and the word for it."""

    clip: Clip
    before: Told | None
    now: Told | None
    word: str


def run(
    folder: Path,
    named: "CameraSettings | None",
    cameras: "Mapping[str, CameraSettings]",
    models: Path,
    views: Path | None = None,
    *,
    keep: bool,
    as_json: bool,
) -> None:
    """Play a folder, print the table, and exit with 1 when a true fall was lost or a false one came.

    Each clip is played for the ``named`` camera, else for its own in ``cameras``, else as its manifest has it.
    ``views`` is where the gateway keeps the sizes of the pictures in which the facades of ``cameras`` were drawn.
    """
    try:
        clips = read_set(folder)
    except LinliError as error:
        raise click.ClickException(str(error)) from error
    camera = _cameras(clips, named, cameras)
    first = not clips.before
    rows = list(_rows(clips, camera, models, views))
    if keep or first:
        told = {row.clip.file: row.now for row in rows if row.now is not None}
        try:
            remember(folder, told)
        except OSError as error:
            click.echo(f"{folder}: {error.strerror}; what was told is not remembered", err=True)
    if as_json:
        print_json({"clips": [_json(row) for row in rows], "ok": not any(row.word in BAD for row in rows)})
    else:
        show(_tables(rows))
        if first and not keep:
            click.echo("Nothing was remembered of these clips: the next replay is compared with this one.", err=True)
    if any(row.word in BAD for row in rows):
        sys.exit(1)


def _cameras(
    clips: FallSet, named: "CameraSettings | None", cameras: "Mapping[str, CameraSettings]"
) -> "Mapping[str, CameraSettings]":
    """The camera of each clip's own camera name."""
    from gateway.settings import CameraSettings

    falling = {name: camera for name, camera in cameras.items() if camera.falling is not None}
    if named is not None and named.falling is None:
        raise click.UsageError(f"camera {named.name} looks for no falling objects; give it [camera.falling]")
    if named is None and clips.head is None:
        if len(falling) != 1:
            raise click.UsageError(
                f"name the camera: linli replay CAMERA {clips.folder} ({', '.join(falling) or 'none'})"
            )
        (named,) = falling.values()
    found: dict[str, CameraSettings] = {}
    for name in {clip.camera for clip in clips.clips}:
        kept = clips.head.cameras.get(name) if clips.head else None
        if named or name in falling:
            found[name] = named or falling[name]
        elif kept is not None:
            known = {"name": name, "url": "clip.mp4", "purpose": "regression", **kept}
            try:
                found[name] = CameraSettings.model_validate(known)
            except ValueError as error:
                raise click.ClickException(f"{clips.folder / MANIFEST}: camera {name}: {error}") from error
        else:
            raise click.ClickException(
                f"nothing is known of camera {name}; name one: linli replay CAMERA {clips.folder}"
            )
    return found


def _rows(clips: FallSet, camera: "Mapping[str, CameraSettings]", models: Path, views: Path | None) -> Iterator[Row]:
    visible = sys.stderr.isatty()
    warned: set[str] = set()
    for number, clip in enumerate(clips.clips, 1):
        before = clips.before.get(clip.file)

        def say(seconds: float, number: int = number) -> None:
            if visible:
                click.echo(f"\rclip {number} of {len(clips.clips)}, {seconds:.1f} s ", err=True, nl=False)

        def warn(reason: str, sentence: str, clip: Clip = clip) -> None:
            line = sentence if reason.startswith("models_") else f"{clip.file}: {sentence}"
            if line not in warned:
                warned.add(line)
                click.echo(f"{click.style('warning:', fg='yellow')} {line}", err=True)

        try:
            file = _sound(clip, clips.folder / clip.file)
            now = counted(clip, ways(_as_large_as(clip, camera[clip.camera]), file, models, say, views, warn))
        except LinkError as error:
            said, path = str(error), str(clips.folder / clip.file)
            click.echo(said if said.startswith(path) else f"{path}: {said}", err=True)
            yield Row(clip, before, None, "unplayable")
            continue
        finally:
            if visible:
                click.echo("\r" + " " * 40 + "\r", err=True, nl=False)
        yield Row(clip, before, now, compared(clip.expected, before, now))


def _as_large_as(clip: Clip, camera: "CameraSettings") -> "CameraSettings":
    """The camera for a clip that is smaller than its frames."""
    if clip.scale == 1.0:
        return camera
    from gateway.vision.falling.sized import resized

    by = clip.scale, clip.scale
    masks = tuple(tuple((x * clip.scale, y * clip.scale) for x, y in mask) for mask in camera.masks)
    falling = resized(camera.falling, by, by) if camera.falling is not None else None
    return camera.model_copy(update={"masks": masks, "falling": falling})


def _sound(clip: Clip, file: Path) -> Path:
    """The file of a clip, if it is what was exported; LinkError otherwise."""
    try:
        if not clip.sha256:
            file.stat()
        data = file.read_bytes() if clip.sha256 else b""
    except FileNotFoundError as error:
        when = "exported" if clip.sha256 else "there when a replay was last remembered"
        raise LinkError(f"it was {when}, and is missing", "not_found") from error
    except OSError as error:
        raise LinkError(f"{error.strerror}", "not_found") from error
    if clip.sha256 and hashlib.sha256(data).hexdigest() != clip.sha256:
        raise LinkError("it is not what was exported (its SHA-256 is another); export it again", "changed")
    return file


def ways(
    camera: "CameraSettings",
    file: Path,
    models: Path,
    say: Callable[[float], None],
    views: Path | None = None,
    warn: Callable[[str, str], None] = lambda _reason, _sentence: None,
) -> list[Way]:
    """The ways of all falls that are told of a file, in seconds of it; LinkError when it cannot be played.

    ``views`` as for ``run``. ``warn`` is given what lessens the result, again and again.
    """
    import contextlib

    import cv2

    from gateway.vision.capture import Capture
    from gateway.vision.falling.sized import SizedFacade
    from gateway.vision.messages import Fall
    from gateway.vision.watchers import watchers_of

    cv2.setNumThreads(1)
    facade = SizedFacade(camera, views, read_only=True)
    watchers = watchers_of(camera.model_copy(update={"vehicles": None}), models, facade=facade)
    found: list[Any] = []
    with contextlib.closing(Capture(str(file), masks=camera.masks)) as capture:
        for number, frame in enumerate(capture.frames()):
            if number % SHOW_EVERY == 0:
                say(frame.time)
                for trouble in (one for watcher in watchers for one in watcher.troubles):
                    warn(*trouble)
            for watcher in watchers:
                found += watcher.look(frame, round(frame.time * 1e9)) or ()
        if capture.damaged:
            warn("damaged", damaged(capture.damaged, number + 1))
    for watcher in watchers:
        found += watcher.finish()
    falls = [fall for fall in found if isinstance(fall, Fall)]
    return [[(at / 1e9, x, y) for at, x, y in fall.trajectory] for fall in falls]


def counted(clip: Clip, told: Sequence[Way]) -> Told:
    """Sort what was told: falls that are known to be true or false, and others.

    Where all is known that falls in a clip, what is told besides is false; in a clip of a folder ``true`` it is unsure.
    """
    if clip.falls is None:
        if clip.label == "true":
            return Told(min(1, len(told)), 0, max(0, len(told) - 1))
        return Told(0, len(told), 0) if clip.label == "false" else Told(0, 0, len(told))
    left = list(told)
    counts = {"true": 0, "false": 0, None: 0}
    for known in clip.falls:
        mine = [way for way in left if same(way, known.way, NEAR * clip.scale)]
        counts[known.label] += bool(mine) and known.whole
        left = [way for way in left if way not in mine]
    surely = all(known.label for known in clip.falls)
    return Told(
        counts["true"], counts["false"] + (len(left) if surely else 0), counts[None] + (0 if surely else len(left))
    )


def same(way: Way, known: Way, close: float = NEAR) -> bool:
    """Whether two ways are one thing's: most sights of one lie ``close`` to the other at the same time."""
    near = together = 0
    for at, x, y in way:
        place = _at(known, at)
        if place is None:
            continue
        together += 1
        left, top, speed = place
        near += (x - left) ** 2 + (y - top) ** 2 <= (close + LATE * speed) ** 2
    return near >= min(SHARED, len(known)) and near >= MOST * together


def _at(way: Way, time: float) -> tuple[float, float, float] | None:
    """Place and speed (pixels a second) of a way at a time; None before and after it."""
    for (begin, x, y), (end, to_x, to_y) in itertools.pairwise(way):
        if begin - LATE <= time <= end + LATE and end > begin:
            share = min(1.0, max(0.0, (time - begin) / (end - begin)))
            speed = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5 / (end - begin)
            return x + share * (to_x - x), y + share * (to_y - y), speed
    return None


def compared(expected: int | None, before: Told | None, now: Told) -> str:
    """One word for a clip: lost and false are worse than before, or without a before than what is expected."""
    if before is None:
        if expected is not None and now.true < expected:
            return "lost"
        return "false" if now.false else "same"
    if now.true < before.true:
        return "lost"
    if now.false > before.false:
        return "false"
    if now.true > before.true or now.false < before.false:
        return "better"
    return "same" if now == before else "changed"


def _tables(rows: Sequence[Row]) -> list[Block]:
    cells: list[list[Cell]] = [
        [row.clip.file, _expected(row.clip), _told(row.before), _told(row.now), Word(*WORDS[row.word])] for row in rows
    ]
    blocks: list[Block] = [Table(("clip", "shows", "before", "now", ""), cells)]
    played = [row for row in rows if row.now is not None]
    labelled = [row for row in played if row.clip.expected is not None]
    falls = sum(row.clip.expected or 0 for row in labelled)
    now, before = _sum([row.now for row in labelled]), _sum([row.before for row in labelled])
    known = all(row.before for row in labelled)
    was = (f" (before {before.true})", f" (before {before.false})") if known else ("", "")
    blocks.append(Line([f"true falls told: {now.true} of {falls}{was[0]}; false ones told: {now.false}{was[1]}"]))
    for word in ("lost", "false", "unplayable"):
        count = sum(row.word == word for row in rows)
        if count:
            blocks.append(Line([Word(*WORDS[word]), f"in {many(count, 'clip')}"]))
    if not any(row.word in BAD for row in rows):
        blocks.append(Line([Word("no true fall was lost, no false one came", "good")]))
    return blocks


def _sum(told: Sequence[Told | None]) -> Told:
    known = [one for one in told if one is not None]
    return Told(sum(one.true for one in known), sum(one.false for one in known), sum(one.unsure for one in known))


def _expected(clip: Clip) -> str:
    if clip.expected is None:
        return "?"
    return {0: "no fall", 1: "a fall"}.get(clip.expected, f"{clip.expected} falls")


def _told(told: Told | None) -> str:
    if told is None:
        return "-"
    parts = [f"{told.true} true" if told.true else "", f"{told.false} false" if told.false else ""]
    parts += [f"{told.unsure} told" if told.unsure else ""]
    return ", ".join(part for part in parts if part) or "nothing"


def _json(row: Row) -> dict[str, Any]:
    return {
        "file": row.clip.file,
        "expected": row.clip.expected,
        "before": row.before,
        "now": row.now,
        "verdict": row.word,
    }
