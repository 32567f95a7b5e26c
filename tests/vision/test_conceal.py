"""Clips with faces and plates hidden: between two looks too, in a whole camera, and not at all when blind."""

import io
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from gateway.vision.clip import ClipError, make_clip
from gateway.vision.conceal import Concealer, Look, UnhiddenError, hide, patches_of, shrunk
from gateway.vision.evidence import Pixels
from gateway.vision.faces import LONGEST, FoundFace
from gateway.vision.packs import FACES, Choice, choose, packs
from gateway.vision.shapes import Box
from tests.vision.coded import packets_of, write_small_clip
from tests.vision.test_camera import running
from tests.vision.test_worker_clips import CLIP, passages, pictures, ready

GOLDEN = Path(__file__).resolve().parents[2] / "models" / "face-detector" / "golden.jpg"


def covered(looks: list[Look], time: float, spot: tuple[float, float]) -> bool:
    return any(patch.begin <= time <= patch.end and patch.box.holds(spot) for patch in patches_of(looks))


def face(x: float, y: float = 50.0, size: float = 20.0) -> tuple[Box, bool]:
    return Box(x - size / 2, y - size / 2, x + size / 2, y + size / 2), True


def test_what_moves_between_two_looks_is_hidden_all_the_way() -> None:
    looks = [Look(0.0, (face(100),)), Look(0.2, (face(160),)), Look(0.4, ())]
    for share in (0.0, 0.3, 0.5, 0.8, 1.0):
        assert covered(looks, 0.2 * share, (100 + 60 * share, 50))
    assert covered(looks, 0.39, (160, 50))
    assert not covered(looks, 0.5, (160, 50))
    assert not covered(looks, 0.1, (400, 50))


def test_what_one_look_misses_is_hidden_meanwhile() -> None:
    looks = [Look(0.0, (face(100),)), Look(0.2, ()), Look(0.4, (face(140),)), Look(0.6, ())]
    assert all(covered(looks, time, (100 + 100 * time, 50)) for time in (0.1, 0.2, 0.3))


def test_before_the_first_and_after_the_last_look_nothing_is_lost() -> None:
    looks = [Look(1.0, (face(100),))]
    assert covered(looks, 0.0, (100, 50))
    assert covered(looks, 9.0, (100, 50))


def test_a_face_is_not_joined_to_a_plate_nor_to_somebody_far_off() -> None:
    looks = [Look(0.0, (face(100),)), Look(0.2, ((face(160)[0], False), face(400)))]
    assert not covered(looks, 0.1, (130, 50))
    assert not covered(looks, 0.1, (250, 50))


class Found:
    """A guest whose model finds what it is told, or fails."""

    def __init__(self, boxes: list[Box], error: Exception | None = None) -> None:
        self.boxes, self.error, self.trouble = boxes, error, ""
        self.model: Any = self
        self.looks = 0

    def find(self, picture: Pixels, region: Box) -> list[FoundFace]:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return [FoundFace(box, 0.9) for box in self.boxes]

    def failed(self, model: Any, error: Exception) -> None:
        self.model, self.trouble = None, f"fails at work: {error}"


def concealer(found: Found, plates: tuple[Box, ...] = (), text: str = "", *, black: bool = False) -> Concealer:
    guest: Any = found
    made = Concealer(guest, Path("nowhere"))
    corners = [np.array([[b.left, b.top], [b.right, b.top], [b.right, b.bottom], [b.left, b.bottom]]) for b in plates]
    seen = [SimpleNamespace(box=b, corners=np.asarray(c, np.float32)) for b, c in zip(plates, corners, strict=True)]
    made._plates = SimpleNamespace(find=lambda *_, dark=False: seen if dark == black else [])
    made._reader = SimpleNamespace(read=lambda _: SimpleNamespace(text=text) if text else None)
    return made


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_clip(tmp_path_factory.mktemp("clips") / "n.mp4", 3.0, (0.5, 2.5))


def played(mp4: bytes) -> list[Pixels]:
    with av.open(io.BytesIO(mp4), "r") as container:
        return [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video=0)]


def fineness(part: Pixels) -> float:
    return float(np.abs(np.diff(part.astype(np.int16), axis=1)).mean())


def test_a_clip_is_looked_at_some_times_a_second_and_hidden_throughout(noise: Path) -> None:
    capture, packets = packets_of(noise)
    found = Found([Box(200, 150, 260, 210)])
    clip = played(make_clip(packets, capture.stream, (), 0, concealer(found)))
    plain = played(make_clip(packets, capture.stream, (), 0))
    assert len(clip) == len(plain) == 75
    assert found.looks == 15
    for hidden, shown in zip(clip, plain, strict=True):
        assert fineness(hidden[155:205, 205:255]) < 0.5 * fineness(shown[155:205, 205:255])
        assert fineness(hidden[10:60, 10:100]) > 0.6 * fineness(shown[10:60, 10:100])


@pytest.mark.parametrize(("own", "stays"), [("沪A12345", True), ("沪A12346", True), ("京B77777", False), ("", False)])
def test_its_own_plate_stays_and_others_do_not(own: str, stays: bool, noise: Path) -> None:
    capture, packets = packets_of(noise)
    plate = Box(40, 60, 110, 90)
    blind = played(make_clip(packets, capture.stream, (), 0, concealer(Found([]))))
    clip = played(make_clip(packets, capture.stream, (), 0, concealer(Found([]), (plate,), "沪A12345"), own))
    shares = [fineness(a[60:90, 40:110]) / fineness(b[60:90, 40:110]) for a, b in zip(clip, blind, strict=True)]
    assert (min(shares) > 0.7) if stays else (max(shares) < 0.5)


def test_a_black_plate_is_hidden_though_only_a_search_for_black_ones_finds_it() -> None:
    plate = Box(40, 60, 110, 90)
    (patch,) = concealer(Found([]), (plate,), black=True).patches([_frame()], 1.0, "")
    assert patch.box.holds(plate.middle)


def test_a_model_that_fails_leaves_no_clip_and_is_not_asked_again(noise: Path) -> None:
    capture, packets = packets_of(noise)
    found = Found([], ValueError("no numbers"))
    blind = concealer(found)
    for _ in range(2):
        with pytest.raises(ClipError, match="no numbers"):
            make_clip(packets, capture.stream, (), 0, blind)
    assert found.looks == 1
    assert not blind.able


def test_without_models_for_plates_there_is_no_clip(noise: Path, tmp_path: Path) -> None:
    capture, packets = packets_of(noise)
    guest: Any = Found([])
    with pytest.raises(ClipError, match="plates cannot be hidden"):
        make_clip(packets, capture.stream, (), 0, Concealer(guest, tmp_path))
    with pytest.raises(UnhiddenError):
        Concealer(guest, tmp_path).patches([_frame()], 1.0, "")


def _frame() -> Any:
    return SimpleNamespace(time=0.0, bgr=np.zeros((90, 160, 3), np.uint8))


def test_a_large_picture_leaves_no_finer_than_it_was_searched() -> None:
    assert shrunk(np.zeros((1080, 1920, 3), np.uint8)).shape == (540, LONGEST, 3)
    small = np.zeros((90, 160, 3), np.uint8)
    assert shrunk(small) is small
    hide(small, patches_of([Look(0.0, ((Box(-30, -30, 20, 20), True), (Box(500, 500, 600, 600), False)))]), 0.0)


async def test_a_camera_makes_clips_without_leave_once_faces_can_be_hidden(tmp_path: Path, models: Path) -> None:
    faces = next(pack for pack in packs(models) if pack.task == FACES)
    if not faces.present:
        pytest.skip("the optional pack face-detector is not here: linli model pull face-detector")
    folder = Path(
        shutil.copytree(models, tmp_path / "models", ignore=shutil.ignore_patterns("*.py", "*.md", "in-use*"))
    )
    choose(folder, FACES, Choice("face-detector", ""))
    path = tmp_path / "walk.mp4"
    write_walk(path)
    async with running(path, folder, pace="free", vehicles=CLIP) as one:
        await one.until(lambda: one.state == "ended")
    (told,), (clip,) = passages(one.items), ready(one.items)
    assert clip.data["record"] == told.id
    assert clip.data["hidden"] is True
    shown = [picture[..., 1] for picture in pictures(clip)]
    with av.open(str(path)) as container:
        before = [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)[..., 1] for frame in container.decode(video=0)]
    corner = [np.abs(frame[:50, 420:].astype(int) - shown[0][:50, 420:]).mean() for frame in before]
    first = int(np.argmin(corner))
    shares = []
    for index, picture in enumerate(shown[: len(before) - first]):
        left = 10 + 2 * (first + index) + 36
        shares.append(
            fineness(picture[75:105, left : left + 60]) / fineness(before[first + index][75:105, left : left + 60])
        )
    assert len(shares) > 50
    assert float(np.mean([share < 0.6 for share in shares])) > 0.95


def write_walk(path: Path) -> None:
    """A drawn head that goes right by two pixels a frame, as wide as a car; each frame's corner tells its number."""
    golden: Any = cv2.imread(str(GOLDEN))
    head = golden[40:205, 20:150]
    random = np.random.default_rng(11)
    scene = random.integers(90, 130, (40, 60, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 480, 320, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20", "g": "25", "threads": "1"}
        for index in range(100):
            picture = scene + random.normal(0, 2, scene.shape)
            picture[:50, 420:] = 40 + 2 * index
            picture[20:185, 10 + 2 * index : 140 + 2 * index] = head
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
