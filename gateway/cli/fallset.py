"""A folder of clips in which something falls, or does not: what is known of each, how it is written and read."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.contract import LinliError

if TYPE_CHECKING:
    from gateway.vision.masked import Shown

FORMAT = "linli-falls-1"
MANIFEST, SUMS, BEFORE = "manifest.jsonl", "SHA256SUMS", "before.json"
VIDEOS = frozenset({".mp4", ".mkv", ".avi", ".mov", ".ts", ".h264", ".h265"})
LEARNS, ENDS = 2.0, 0.5  # seconds of a clip before and after a fall that a detector needs to tell it
SNAP = 0.002  # seconds: times of records are rounded to milliseconds

Place = tuple[float, float, float]  # seconds of the clip, x and y in pixels of the frame
Media = Callable[[str], bytes | None]
Say = Callable[[int, int], None]


class Known(msgspec.Struct, frozen=True):
    """One recorded fall that a clip shows: its way, and what was said of it (true, false, or nothing yet).

    ``whole``: the clip shows enough of it, and of the time before and after, that it has to be told again.
    """

    record: str
    label: str | None
    way: tuple[Place, ...]
    why: str | None = None
    by: str | None = None
    floor: int | None = None
    whole: bool = True


class Told(msgspec.Struct, frozen=True):
    """What a detector told of one clip: true falls, false ones, and those of which nobody has said what they are."""

    true: int = 0
    false: int = 0
    unsure: int = 0


class Clip(msgspec.Struct, frozen=True):
    """One file of the folder. ``falls`` is None where only the name of its folder says what it shows, if that does.

    ``scale``: its size against that of the camera's frames; ways are in pixels of the clip.
    """

    file: str
    camera: str = ""
    sha256: str = ""
    first_time: str = ""
    falls: tuple[Known, ...] | None = None
    scale: float = 1.0

    @property
    def label(self) -> str:
        """What a plain clip shows, by the name of its folder: true, false, or empty."""
        parent = Path(self.file).parent.name.lower()
        return parent if parent in ("true", "false") else ""

    @property
    def expected(self) -> int | None:
        """True falls in it, at least; None when nobody has said."""
        if self.falls is None:
            return {"true": 1, "false": 0}.get(self.label)
        labels = [fall.label for fall in self.falls if fall.whole]
        return labels.count("true") if any(labels) else None


class Head(msgspec.Struct, frozen=True):
    """The first line of a manifest: where the clips are from, and how each camera stood."""

    gateway: str
    exported: str
    by: str
    reason: str
    cameras: dict[str, dict[str, Any]]
    format: str = FORMAT


class FallSet(msgspec.Struct, frozen=True):
    """A folder as it was read; ``before`` is what was told of each file when it was last remembered."""

    folder: Path
    head: Head | None
    clips: tuple[Clip, ...]
    before: dict[str, Told]


class LeftOut(msgspec.Struct, frozen=True):
    """A labelled fall whose clip was not written, and why."""

    record: str
    why: str


def write_set(
    folder: Path, gateway: str, told: dict[str, Any], media: Media, say: Say
) -> tuple[list[Clip], list[LeftOut]]:
    """Write the clips of an export's labelled falls into ``folder``, with their truth and a manifest.

    A clip goes only where its camera's leave and masks of now are kept in it. OSError when the disk does not take it.
    """
    head = Head(gateway, told["exported"], told["by"], told["reason"], told["cameras"])
    wanted = [fall for fall in told["falls"] if fall["label"]]
    written: list[Clip] = []
    left: list[LeftOut] = []
    sums: dict[str, str] = {}
    for number, fall in enumerate(wanted, 1):
        say(number, len(wanted))
        camera = head.cameras.get(fall["camera"])
        data = media(fall["clip"]["sha256"]) if fall["clip"] else None
        try:
            clip, files = _clip(fall, camera, data, told["falls"])
        except ValueError as error:
            left.append(LeftOut(fall["record"], str(error)))
            continue
        written.append(clip)
        for name, content in files.items():
            (folder / name).write_bytes(content)
            sums[name] = hashlib.sha256(content).hexdigest()
    lines = [msgspec.json.encode(head), *(msgspec.json.encode(clip) for clip in written)]
    manifest = b"".join(line + b"\n" for line in lines)
    (folder / MANIFEST).write_bytes(manifest)
    sums[MANIFEST] = hashlib.sha256(manifest).hexdigest()
    (folder / SUMS).write_text("".join(f"{each}  {name}\n" for name, each in sums.items()), encoding="ascii")
    return written, left


def _clip(
    fall: dict[str, Any], camera: dict[str, Any] | None, data: bytes | None, falls: Sequence[dict[str, Any]]
) -> tuple[Clip, dict[str, bytes]]:
    """One clip and its files; ValueError says why it stays where it is."""
    if fall["clip"] is None:
        raise ValueError(
            "it has no clip; for one the camera needs `unblurred`, or a model that hides faces (linli model list)"
        )
    if data is None:
        raise ValueError("its clip is no longer kept")
    if camera is None:
        raise ValueError("its camera is not configured any more, so nobody knows what has to be hidden")
    if not camera.get("unblurred") and not fall["clip"].get("hidden"):
        raise ValueError("faces may be seen in it: its camera has no `unblurred` any more")
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != fall["clip"]["sha256"]:
        raise ValueError("its clip is not what was recorded")
    shown, scale = _looked_at(data, camera["masks"], fall["clip"].get("frame_size"))
    if shown.bare:
        raise ValueError(f"{shown.bare} of its {len(shown.times)} pictures show what a mask of the camera hides by now")
    begin = fall["clip"]["first_time"]
    known = [_known(one, begin, shown.times, scale) for one in falls if one["camera"] == fall["camera"]]
    own = fall["record"]  # the clip was made for it
    inside = tuple(msgspec.structs.replace(one, whole=one.whole or one.record == own) for one in known if one.way)
    clip = Clip(f"{fall['record']}.mp4", fall["camera"], sha256, begin, inside, scale)
    files = {clip.file: data}
    facade = scaled(camera, scale)["falling"]["facade"]
    if facade and all(one.label for one in inside):  # else nobody knows all that falls in it, or how large and fast
        true = [_true(one) for one in inside if one.label == "true"]
        truth = {"facade": facade, "take": {"rate": shown.rate}, "falls": true}
        files[f"{fall['record']}.json"] = msgspec.json.encode(truth)
    return clip, files


def _true(fall: Known) -> dict[str, Any]:
    """A fall as drawn film tells of one; when it was let go and landed, nobody knows better than by its sights."""
    way = [(*place, True) for place in fall.way]
    return {"record": fall.record, "release": way[0][0], "ends": way[-1][0], "way": way}


def _looked_at(data: bytes, masks: Any, frame: Sequence[int] | None) -> "tuple[Shown, float]":  # noqa: ANN401 - JSON
    """What a clip shows, and its size against that of the camera's ``frame``; ValueError when it cannot be decoded."""
    from gateway.vision.masked import shown_in

    shown = shown_in(data, ())
    scale = round(shown.size[0] / frame[0], 4) if frame else 1.0
    return (shown_in(data, _by(masks, scale)) if masks else shown), scale


def scaled(camera: dict[str, Any], scale: float) -> dict[str, Any]:
    """A camera's settings as JSON values, for pictures that are so much smaller."""
    falling = camera["falling"]
    facade = falling.get("facade")
    if facade is not None:
        facade = {**facade, "ground": _by(facade["ground"], scale), "roof": _by(facade["roof"], scale)}
    falling = {**falling, "facade": facade, "ignore": _by(falling.get("ignore", ()), scale)}
    return {**camera, "masks": _by(camera.get("masks", ()), scale), "falling": falling}


def _by(value: Any, scale: float) -> Any:  # noqa: ANN401 - numbers, and lists of lists of them
    return [_by(one, scale) for one in value] if isinstance(value, list | tuple) else value * scale


def _known(fall: dict[str, Any], begin: str, times: Sequence[float], scale: float) -> Known:
    """A fall in seconds and pixels of a clip that begins at ``begin``, each sight at the picture it was seen in."""
    start = _seconds(begin)
    way: list[Place] = []
    for stamp, x, y in fall["trajectory"]:
        at = _seconds(stamp) - start
        if times[0] - SNAP <= at <= times[-1] + 0.5:
            moment = max(time for time in times if time <= max(at, 0.0) + SNAP)
            way.append((moment, round(x * scale, 1), round(y * scale, 1)))
    inside = bool(way) and len(way) == len(fall["trajectory"]) and way[-1][0] < times[-1] - ENDS
    whole = inside and way[0][0] > LEARNS
    return Known(fall["record"], fall["label"], tuple(way), fall["why"], fall["by"], fall["floor"], whole)


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def read_set(folder: Path) -> FallSet:
    """Read an exported folder, or find the clips of a plain one; LinliError says what is wrong with it."""
    try:
        head, clips = _manifest(folder) if (folder / MANIFEST).exists() else (None, _plain(folder))
        before = {clip.file: _recorded(clip) for clip in clips if clip.falls is not None}
        if (folder / BEFORE).exists():
            before |= msgspec.json.decode((folder / BEFORE).read_bytes(), type=dict[str, Told])
        # What is remembered and gone would else count as if nothing had been lost.
        clips += [Clip(name) for name in before if head is None and not (folder / name).exists()]
    except OSError as error:
        raise LinliError(f"{error.filename or folder}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise LinliError(f"{folder / BEFORE} is not what linli replay wrote ({error}); remove it") from error
    if not clips:
        raise LinliError(f"{folder} holds no clips ({', '.join(sorted(VIDEOS))})")
    return FallSet(folder, head, tuple(clips), before)


def _manifest(folder: Path) -> tuple[Head, list[Clip]]:
    path = folder / MANIFEST
    lines = path.read_bytes().splitlines()
    try:
        head = msgspec.json.decode(lines[0] if lines else b"", type=Head)
        clips = [msgspec.json.decode(line, type=Clip) for line in lines[1:] if line.strip()]
    except msgspec.DecodeError as error:
        raise LinliError(f"{path} is no manifest of an export: {error}") from error
    if head.format != FORMAT:
        raise LinliError(f"{path} has the format {head.format[:40]!r}; this version reads {FORMAT}")
    for clip in clips:
        if Path(clip.file).name != clip.file:
            raise LinliError(f"{path} names a file outside of its folder: {clip.file[:80]}")
    return head, clips


def _plain(folder: Path) -> list[Clip]:
    """The clips of a folder and of those below it; OSError when one of them may not be read."""

    def refuse(error: OSError) -> None:
        raise error

    files = [Path(place, name) for place, _, names in os.walk(folder, onerror=refuse) for name in names]
    return [Clip(str(path.relative_to(folder))) for path in sorted(files) if path.suffix.lower() in VIDEOS]


def _recorded(clip: Clip) -> Told:
    """What was told when the clip was recorded: every fall that has a record."""
    labels = [fall.label for fall in clip.falls or () if fall.whole]
    return Told(labels.count("true"), labels.count("false"), labels.count(None))


def remember(folder: Path, told: dict[str, Told]) -> None:
    """Keep what was told for the next time; OSError when the folder cannot be written."""
    (folder / BEFORE).write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1))
