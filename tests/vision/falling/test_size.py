"""How large what fell is told: as large as it is, tumbling or not, and however the camera looks at the wall."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gateway.settings.camera import FacadeSettings
from gateway.vision.falling.candidate import TURNED, Way
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.spots import EDGE, Spot
from tests.vision.falling.drawn import PER_METRE, Dropped, frames, watched

TALLY = Path(__file__).parents[3] / "models/falling/tally.py"
FINE = 4  # sub-pixels a pixel while drawing


@pytest.mark.parametrize(("long", "short"), [(6, 3), (15, 6)])
def test_what_tumbles_is_told_as_large_as_it_is(long: int, short: int) -> None:
    thing = Dropped(1.0, 10)

    def tumbling(picture: np.ndarray, time: float, _: int) -> np.ndarray:
        place = thing.at(time)
        if place is None:
            return picture
        cover = np.zeros((picture.shape[0] * FINE, picture.shape[1] * FINE), np.uint8)
        middle, axes = [round(value * FINE) for value in place], [round(axis * FINE / 2) for axis in (long, short)]
        cv2.ellipse(cover, middle, axes, 830 * time, 0, 360, 255, -1)
        share = cv2.resize(cover, picture.shape[::-1], interpolation=cv2.INTER_AREA) / 255
        seen: np.ndarray = picture + share * (thing.grey - picture)
        return seen

    (fall,) = watched(frames([], 4.0, change=tumbling)).falls
    size = math.sqrt(long * short)
    assert 0.98 < fall.size_px / size < 1.18
    assert 0.98 < (fall.size_cm or 0) / (size / PER_METRE * 100) < 1.18


def test_what_comes_nearer_on_its_way_is_as_large_as_it_was() -> None:
    # A camera 30 m before 33 floors, tilted by 35 degrees: focal length 1000 pixels, the wall 24 m wide.
    sine, cosine, away, eye = 0.5735764, 0.8191520, 30.0, 1.6

    def depth(z: float) -> float:
        return away * cosine + (z - eye) * sine

    def pixel(x: float, z: float) -> tuple[float, float]:
        return 540 + 1000 * x / depth(z), 960 - 1000 * ((z - eye) * cosine - away * sine) / depth(z)

    ground, roof = ((pixel(-12.0, z), pixel(12.0, z)) for z in (0.0, 33 * 2.9))
    facade = Facade(FacadeSettings(floors=33, ground=ground, roof=roof), 1920)
    floors = np.array([2.0, 10.0, 18.0, 31.0])
    scales = facade.scales(np.stack([np.full(4, 0.3), floors], axis=1))
    assert scales == pytest.approx([1000 / depth(v * 2.9) for v in floors], rel=0.02)


def test_what_a_way_is_judged_by_is_another_size_than_what_is_told() -> None:
    way = Way(0.5)
    for wide, area in ((9.0, 16.0), (3.0, 25.0), (5.0, 36.0)):
        way.times.append(len(way.times) / 25)
        way.spots.append(Spot(0.0, 0.0, wide, 4.0, area, 50.0, 1))
    assert way.size() == (4.0 - EDGE) / 0.5  # the verifier was trained with this
    round_and_wide = [math.sqrt(wide * 2 * side / math.sqrt(math.pi)) for wide, side in ((9, 4), (3, 5), (5, 6))]
    assert way.extents() == pytest.approx([TURNED * (size - EDGE) / 0.5 for size in round_and_wide])


def test_sizes_are_summed_up_and_rows_without_them_passed_over() -> None:
    found = importlib.util.spec_from_file_location("tally", TALLY)
    assert found is not None
    assert found.loader is not None
    tally: Any = importlib.util.module_from_spec(found)
    found.loader.exec_module(tally)
    rows: list[dict[str, Any]] = [{"size": 4.0, "told_px": 4.0 * (0.9 + part / 50)} for part in range(11)]
    rows += [{"size": 4.0, "sure": 0.9}, {"size": 4.0, "size_cm": 20.0, "told_px": 4.0, "told_cm": None}]
    assert tally.sizes(rows) == [
        "size told / true, px (synthetic): median 1.00, middle 80 % 0.92 to 1.08, of 12",
        "size told / true, cm (synthetic): none told",
    ]
    assert "px (synthetic): none told" in tally.sizes([{"size": 4.0, "sure": 0.9}])[0]
    assert "cm (synthetic): median 0.50" in tally.sizes([{"size": 4.0, "size_cm": 20.0, "told_cm": 10.0}])[1]
