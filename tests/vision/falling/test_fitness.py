"""`linli camera test` of a camera that looks for falls: its facade, and what looking at every frame costs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.settings.camera import FacadeSettings
from gateway.vision.checkup import Check, Looks, Stream, _cost, examine
from gateway.vision.falling.fitness import facade_judged
from gateway.vision.falling.geometry import facade_view
from gateway.vision.falling.sized import SizedFacade
from tests.vision.falling.drawn import FACADE, HEIGHT, WIDTH, camera
from tests.vision.falling.filmed import film


def test_the_facade_is_judged_and_the_cost_is_that_of_every_frame(tmp_path: Path) -> None:
    path = film(tmp_path / "quiet.mp4", seconds=2.0)
    settings = camera().model_copy(update={"url": str(path), "unblurred": "a drawn wall"})
    report = examine(settings, tmp_path, seconds=2.0)
    found: dict[str, Check] = {check.name: check for check in report.checks}
    assert found["facade"].level == "warn"  # 4 pixels are more than a bottle
    assert found["facade"].value == "12 of 12 floors watched; smallest object 24 to 24 cm"
    assert "% of a core at all times (" in found["CPU"].value
    assert "plates" not in found
    assert not any(word in check.advice for check in report.checks for word in ("passage", "lane", "plate"))


def test_watching_every_frame_is_counted_beside_decoding() -> None:
    packets: Any = [SimpleNamespace(time=0.0), SimpleNamespace(time=2.0)]
    stream, looks = Stream(packets, [], 2.0, "h264", live=False), Looks(decode=0.1, watch=0.3, looks=1, look=9.0)
    assert _cost(camera(), stream, looks).value == "20% of a core at all times (5% of it decoding)"


@pytest.mark.parametrize(
    ("falling", "size", "level", "words"),
    [
        ({"facade": None}, (WIDTH, HEIGHT), "warn", "linli camera calibrate tower"),
        ({}, (WIDTH, WIDTH), "bad", "find it anew"),
        ({}, (2 * WIDTH, 2 * HEIGHT), "good", ""),
        ({"ignore": [[[0, 500], [480, 500], [480, 640], [0, 640]]]}, (WIDTH, HEIGHT), "warn", "linli camera report"),
        ({"ignore": [[[0, 0], [480, 0], [480, 640], [0, 640]]]}, (WIDTH, HEIGHT), "bad", "areas to ignore"),
        ({"facade": {**FACADE, "storey": 2.3}}, (WIDTH, HEIGHT), "good", ""),
    ],
)
def test_each_facade_has_a_word_of_its_own(
    falling: dict[str, Any], size: tuple[int, int], level: str, words: str, tmp_path: Path
) -> None:
    settings = camera(**falling)
    SizedFacade(settings, tmp_path).brought((WIDTH, HEIGHT))  # as the gateway has seen it
    found = facade_judged(settings, size, tmp_path)
    assert (found[0], words in found[2]) == (level, True)
    assert bool(found[2]) == (level != "good")


@pytest.mark.parametrize(
    ("times", "short_side", "pixels"),
    [
        (1.0, 540, 4.0),  # below 1080p: no less of the camera's own
        (2.25, 540, 4.0),  # 1080p looked at by halves, as all that was measured
        (4.5, 540, 8.0),  # 4K by quarters: 2 pixels of what is looked at as well
        (4.5, 720, 6.0),
        (4.5, 1080, 4.0),
        (2.25, 270, 8.0),
    ],
)
def test_the_smallest_object_is_one_of_what_is_looked_at(
    times: float, short_side: int, pixels: float, tmp_path: Path
) -> None:
    corners = {key: [[x * times, y * times] for x, y in FACADE[key]] for key in ("ground", "roof")}
    settings = camera(facade={**FACADE, **corners}, short_side=short_side)
    size = round(WIDTH * times), round(HEIGHT * times)
    facade = FacadeSettings.model_validate({**FACADE, **corners})
    floor = facade_view(facade, *size, (), short_side).floors[5]
    assert floor.smallest_cm * floor.pixels_per_metre / 100 == pytest.approx(pixels)
    told = f"smallest object {floor.smallest_cm:.0f} to {floor.smallest_cm:.0f} cm"
    assert facade_judged(settings, size, tmp_path)[1].endswith(told)
