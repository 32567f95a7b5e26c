"""Opens packs for their tasks and tests each on its golden picture before anything relies on it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gateway.vision.evidence import Pixels
from gateway.vision.faces import FaceDetector
from gateway.vision.packs import DETECTION, FACES, READING, VEHICLES, Golden, Pack, PackError, choices, readable_packs
from gateway.vision.plates import PlateDetector
from gateway.vision.reading import READERS, OcrReader, OwnReader
from gateway.vision.runtime import CPU, MODEL_ERRORS, open_session, reason, usable
from gateway.vision.shapes import Box
from gateway.vision.suspects import caught
from gateway.vision.vehicles import VehicleDetector
from gateway.words import many

FORMS: Mapping[str, type[OwnReader | OcrReader]] = {"linli": OwnReader, "ppocr": OcrReader}
LOOKS = 3  # the least CPU of so many counts: whatever else the machine does only adds
MISFITS = (*MODEL_ERRORS, IndexError, KeyError, TypeError, AttributeError, MemoryError, cv2.error)


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that works: it gave what its manifest expects. ``cost`` is the CPU (s) of one look at its picture."""

    pack: Pack
    model: Any
    cost: float


def open_tested(pack: Pack, *, strict: bool = False) -> Opened:
    """Open a pack and test it; PackError when it does not load, or does not see what its manifest says.

    ``strict``: also when the manifest has no golden picture to test it with.
    """
    model = open_model(pack)
    golden = pack.golden
    if golden is None:
        if strict:
            raise PackError(f"model pack {pack.name} has no golden picture to be tested with", "models_refused")
        return Opened(pack, model, 0.0)
    look = _look(pack, model, golden)
    # A provider may have threads of its own; on the CPU only this one's work counts.
    now = time.thread_time if usable(pack.providers) == (CPU,) else time.perf_counter
    least = float("inf")
    for _ in range(LOOKS):
        began = now()
        try:
            wrong = look()
        except MISFITS as error:
            caught()
            raise PackError(
                f"model pack {pack.name} does not do what a pack for {pack.task} has to: {reason(error)}",
                "models_refused",
            ) from error
        least = min(least, now() - began)
        if wrong:
            raise PackError(f"model pack {pack.name} fails on its golden picture: {wrong}", "models_refused")
    return Opened(pack, model, least)


def open_model(pack: Pack) -> Any:  # noqa: ANN401 - a detector, a reader or a session, by the pack's task
    """Open a pack for its task; PackError when it does not load or is of another shape."""
    try:
        if pack.task == DETECTION:
            return PlateDetector(pack.folder, pack)
        if pack.task == READING:
            return _reader(pack)(pack)
        if pack.task == VEHICLES:
            return VehicleDetector(pack)
        if pack.task == FACES:
            return FaceDetector(pack)
        return open_session(pack)
    except MISFITS as error:
        raise PackError(f"model pack {pack.name} is of another shape: {reason(error)}", "models_refused") from error


def ranked(folder: Path, task: str) -> list[Pack]:
    """The packs that do a task, the one to use first: chosen, else here, else as the project ranks them."""
    chosen = choices(folder).get(task)
    order = {name: place for place, name in enumerate(READERS)}

    def rank(pack: Pack) -> tuple[bool, bool, int]:
        named = chosen is not None and pack.name == chosen.name
        return not named, not pack.present, order.get(pack.name, len(order) + pack.optional)

    return sorted((pack for pack in readable_packs(folder) if pack.task == task), key=rank)


def _reader(pack: Pack) -> type[OwnReader | OcrReader]:
    kind = FORMS.get(pack.form) or READERS.get(pack.name)
    if kind is None:
        forms = " or ".join(f'form = "{form}"' for form in FORMS)
        raise PackError(f"model pack {pack.name}: its manifest has to say {forms}", "models_refused")
    return kind


def _look(pack: Pack, model: Any, golden: Golden) -> Callable[[], str]:  # noqa: ANN401 - see open_model
    """One look at the golden picture, which says what is wrong, or nothing."""
    expect = golden.expect
    if golden.path is None:
        return lambda: _compare_numbers(model, golden.numbers, expect)
    picture = read_picture(golden.path, pack.name)
    whole = Box(0, 0, picture.shape[1], picture.shape[0])
    if pack.task == DETECTION:
        return lambda: _compare_corners([plate.corners for plate in model.find(picture, whole)], expect)
    if pack.task == READING:
        return lambda: _compare_text(model.read(picture), expect)
    if pack.task == VEHICLES:
        return lambda: _compare_vehicles(model.find(picture, whole, float(expect["score"]) / 2), expect)
    if pack.task == FACES:
        return lambda: _compare_faces(model.find(picture, whole), expect)
    raise PackError(f"model pack {pack.name}: nobody knows how to test {pack.task} on a picture", "models_refused")


def read_picture(path: Path, name: str) -> Pixels:
    """Read a golden picture (BGR); PackError when it is missing or broken."""
    try:
        picture: Any = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise PackError(f"model pack {name}: its golden picture {path} cannot be read", "models_refused") from error
    if picture is None:
        raise PackError(f"model pack {name}: its golden picture {path} is no picture", "models_refused")
    return np.asarray(picture, np.uint8)


def _compare_corners(found: Sequence[Any], expect: Mapping[str, Any]) -> str:
    wanted, within = expect["plates"], float(expect["within"])
    if len(found) != len(wanted):
        return f"{many(len(found), 'plate')} instead of {len(wanted)}"
    for corners in wanted:
        off = min(float(np.abs(one - np.array(corners)).max()) for one in found)
        if not off <= within:
            return f"corners are {off:.1f} pixels off, {within:g} are allowed"
    return ""


def _compare_text(read: Any, expect: Mapping[str, Any]) -> str:  # noqa: ANN401 - PlateRead or None
    if read is None or read.text != expect["text"]:
        return f"it reads {read.text if read else 'nothing'} instead of {expect['text']}"
    if not read.weakest >= float(expect["least"]):
        return f"it is only {read.weakest:.2f} sure, {expect['least']:g} are due"
    return ""


def _compare_vehicles(found: Sequence[Any], expect: Mapping[str, Any]) -> str:
    if not found or found[0].label != expect["label"]:
        return f"it sees {found[0].label if found else 'nothing'} instead of a {expect['label']}"
    overlap = found[0].box.overlap(Box(*map(float, expect["box"])))
    if not overlap >= float(expect["overlap"]):
        return f"its box overlaps the right one by {overlap:.2f}, {expect['overlap']:g} are due"
    if not abs(found[0].score - float(expect["score"])) <= float(expect["within"]):
        return f"its score is {found[0].score:.3f} instead of {expect['score']:g}"
    return ""


def _compare_faces(found: Sequence[Any], expect: Mapping[str, Any]) -> str:
    sure = [face for face in found if face.score >= float(expect["score"])]
    if len(sure) != len(expect["faces"]):
        return f"{many(len(sure), 'face')} instead of {len(expect['faces'])}"
    for wanted in expect["faces"]:
        overlap = max(face.box.overlap(Box(*map(float, wanted))) for face in sure)
        if not overlap >= float(expect["overlap"]):
            return f"its box overlaps the right one by {overlap:.2f}, {expect['overlap']:g} are due"
    return ""


def _compare_numbers(session: Any, numbers: Sequence[float], expect: Mapping[str, Any]) -> str:  # noqa: ANN401
    given = session.get_inputs()[0]
    answer: Any = session.run(None, {given.name: np.array([numbers], np.float32)})[0]
    got, wanted = np.asarray(answer, np.float64).reshape(-1), np.array(expect["numbers"], np.float64)
    if got.shape != wanted.shape:
        return f"{got.size} numbers instead of {wanted.size}"
    off = float(np.abs(got - wanted).max())
    return "" if off <= float(expect["within"]) else f"numbers are off by {off:.3g}, {expect['within']:g} is allowed"
