"""Where faces are: the decoder on numbers of our own, the freeing of a model's size, and the pack on drawn heads."""

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from gateway.vision.evidence import Pixels
from gateway.vision.faces import LONGEST, SCORE, FaceDetector, Planes, decoded
from gateway.vision.freesize import free_size
from gateway.vision.packs import FACES, PackError, packs
from gateway.vision.selftest import open_tested, read_picture
from gateway.vision.shapes import Box

ROWS, COLUMNS = 20, 30


def planes() -> tuple[Planes, Planes, Planes]:
    heat = np.zeros((ROWS, COLUMNS), np.float32)
    return heat, np.zeros((2, ROWS, COLUMNS), np.float32), np.zeros((2, ROWS, COLUMNS), np.float32)


def test_a_cell_says_where_a_face_is_and_how_large() -> None:
    heat, size, offset = planes()
    heat[7, 12] = 0.8
    size[:, 7, 12] = math.log(6.0), math.log(4.0)  # 24 pixels high, 16 wide
    offset[:, 7, 12] = 0.25, -0.5  # down, across
    ((box, score),) = decoded(heat, size, offset, 0.5)
    assert score == pytest.approx(0.8)
    assert box == pytest.approx((12 * 4 - 8, 7.75 * 4 - 12, 12 * 4 + 8, 7.75 * 4 + 12), abs=2.01)
    assert box[0] + box[2] == pytest.approx(2 * 4 * (12 + 0.5 - 0.5))
    assert box[1] + box[3] == pytest.approx(2 * 4 * (7 + 0.5 + 0.25))
    assert not decoded(heat, size, offset, 0.81)


def test_one_face_is_told_once_and_its_neighbour_too() -> None:
    heat, size, offset = planes()
    size[:] = math.log(4.0)
    heat[5, 5], heat[5, 6], heat[6, 5], heat[5, 12] = 0.9, 0.7, 0.6, 0.5
    found = decoded(heat, size, offset, 0.2)
    assert [round(score, 1) for _, score in found] == [0.9, 0.5]


def test_numbers_that_are_none_are_an_error_and_not_no_face() -> None:
    heat, size, offset = planes()
    size[0, 3, 3] = math.nan
    with pytest.raises(ValueError, match="no numbers"):
        decoded(heat, size, offset, 0.5)
    size[0, 3, 3], heat[3, 3] = 1e9, 0.9
    assert decoded(heat, size, offset, 0.5)[0][0][3] < 10_000


# ------------------------------------------------------------------------------------------------- the model's size


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def part(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name: str, dims: tuple[int, ...]) -> bytes:
    shape = b"".join(part(1, part(1, dim)) for dim in dims)
    return part(1, name.encode()) + part(2, part(1, part(1, 1) + part(2, shape)))


def doubling(dims: tuple[int, ...]) -> bytes:
    """A model that adds a picture of a fixed size to itself, times a weight that is listed as an input too."""
    weight = part(1, 1) + part(2, 1) + part(8, b"weight") + part(9, np.array([1.0], np.float32).tobytes())
    add = part(1, b"picture") + part(1, b"picture") + part(2, b"sum") + part(4, b"Add")
    times = part(1, b"sum") + part(1, b"weight") + part(2, b"out") + part(4, b"Mul")
    graph = part(1, add) + part(1, times) + part(2, b"g") + part(5, weight)
    graph += part(11, tensor("picture", dims)) + part(11, tensor("weight", (1,)))
    graph += part(12, tensor("out", dims)) + part(13, tensor("sum", dims))
    return part(1, 8) + part(7, graph) + part(8, part(2, 13))


def test_a_model_is_freed_of_its_size() -> None:
    model = doubling((10, 3, 4, 4))
    fixed = onnxruntime.InferenceSession(model)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        fixed.run(None, {"picture": np.ones((1, 3, 8, 6), np.float32)})
    free = onnxruntime.InferenceSession(free_size(model))
    assert [one.name for one in free.get_inputs()] == ["picture"]
    (answer,) = free.run(None, {"picture": np.ones((1, 3, 8, 6), np.float32)})
    assert answer.shape == (1, 3, 8, 6)
    assert answer.min() == answer.max() == 2.0


@pytest.mark.parametrize("data", [b"\xff" * 40, b"\x3a\x7f\x01", b"\x03\x00", b"\x00", b"\x39\x01"])
def test_what_is_no_model_is_not_taken_for_one(data: bytes) -> None:
    with pytest.raises(ValueError, match="no Protocol Buffers message"):
        free_size(data)


# ------------------------------------------------------------------------------------------------- the pack


@pytest.fixture(scope="module")
def detector(models: Path) -> FaceDetector:
    pack = next(pack for pack in packs(models) if pack.task == FACES)
    if not pack.present:
        pytest.skip("the optional pack face-detector is not here: linli model pull face-detector")
    return FaceDetector(pack)


@pytest.fixture(scope="module")
def heads(models: Path) -> Pixels:
    pack = next(pack for pack in packs(models) if pack.task == FACES)
    assert pack.golden is not None
    assert pack.golden.path is not None
    return read_picture(pack.golden.path, pack.name)


def test_drawn_heads_are_found_in_a_region_and_told_in_pixels_of_the_whole(
    detector: FaceDetector, heads: Pixels
) -> None:
    whole = detector.find(heads, Box(0, 0, 320, 320), 0.35)
    assert len(whole) == 4
    right = detector.find(heads, Box(180, 50, 320, 260), 0.35)
    assert len(right) == 2
    for face in right:
        assert max(face.box.overlap(other.box) for other in whole) > 0.8
    wide = cv2.resize(heads, (2560, 2560))
    shrunk = detector.find(np.asarray(wide, np.uint8), Box(0, 0, 2560, 2560), 0.35)
    assert len(shrunk) == 4
    assert shrunk[0].box.width > 500 > LONGEST / 2 > whole[0].box.width


def test_what_is_no_face_is_none(detector: FaceDetector) -> None:
    rng = np.random.default_rng(1)
    for picture in (np.full((200, 300, 3), 128, np.uint8), rng.integers(0, 256, (200, 300, 3), np.uint8)):
        assert not detector.find(picture, Box(0, 0, 300, 200), SCORE)
    assert not detector.find(np.zeros((200, 300, 3), np.uint8), Box(10, 10, 14, 90))


def test_a_pack_of_another_form_is_refused(models: Path, detector: FaceDetector, heads: Pixels) -> None:
    plates = next(pack for pack in packs(models) if pack.name == "plate-detector")
    with pytest.raises(PackError):
        open_tested(replace(plates, task=FACES))
    faces = next(pack for pack in packs(models) if pack.task == FACES)
    assert open_tested(faces).cost > 0
    assert faces.golden is not None
    for change in ({"faces": faces.golden.expect["faces"][:3]}, {"faces": [[0, 0, 20, 20]] * 4}):
        with pytest.raises(PackError, match="golden picture"):
            open_tested(replace(faces, golden=replace(faces.golden, expect={**faces.golden.expect, **change})))
