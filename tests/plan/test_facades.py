"""What a configuration leaves of a facade to look at."""

from pathlib import Path

import numpy as np
import pytest

from gateway.plan import load_plan
from gateway.plan.facades import hidden_floors
from gateway.settings.camera import FacadeSettings

HEAD = """[gateway]
id = "test-gate"
state = "state"
[store]
[api]
listen = "127.0.0.1:0"
[[camera]]
name = "tower"
url = "rtsp://x/1"
purpose = "falling objects"
masks = {masks}
[camera.falling]
facade = {{ floors = 12, ground = [[90, 620], [390, 620]], roof = [[140, 40], [340, 40]] }}
ignore = {ignore}
"""
ALL = "[[[0, 0], [480, 0], [480, 640], [0, 640]]]"
STREET = "[[[0, 540], [480, 540], [480, 640], [0, 640]]]"
HALF = "[[[0, 0], [240, 0], [240, 640], [0, 640]]]"
OTHER = "[[[240, 0], [480, 0], [480, 640], [240, 640]]]"


@pytest.mark.parametrize(
    ("masks", "ignore", "warned"),
    [("[]", ALL, "ignore"), (ALL, "[]", "masks"), ("[]", STREET, ""), ("[]", HALF, ""), (HALF, OTHER, "ignore")],
)
def test_a_facade_that_is_hidden_is_warned_of(masks: str, ignore: str, warned: str, tmp_path: Path) -> None:
    path = tmp_path / "linli.toml"
    path.write_text(HEAD.format(masks=masks, ignore=ignore))
    found = [problem for problem in load_plan(path).warnings if "of the facade's 12 floors" in problem]
    assert len(found) == bool(warned)
    if warned:
        assert warned in found[0]
        assert "12 of the facade's 12 floors" in found[0]


def test_a_camera_for_falls_without_a_facade_is_warned_of_with_the_command_that_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "linli.toml"
    whole = HEAD.format(masks="[]", ignore="[]")
    for text, warned in ((whole, 0), ("\n".join(line for line in whole.splitlines() if line[:6] != "facade"), 1)):
        path.write_text(text)
        found = [problem for problem in load_plan(path).warnings if "linli camera calibrate tower" in problem]
        assert len(found) == warned
        assert all("camera.tower.falling: has no facade" in problem for problem in found)


def test_floors_are_where_the_detector_has_them() -> None:
    pytest.importorskip("cv2", reason="the extra `vision` is not installed")
    from gateway.vision.falling.facade import Facade

    corners = {"ground": ((10, 900), (500, 930)), "roof": ((150, 30), (330, 60))}
    settings = FacadeSettings(floors=20, **corners)
    wall = Facade(settings, 960)
    low, high = (wall.in_picture([(across, v) for across in (0.0, 1.0)]) for v in (6.9, 11.1))
    area = tuple((float(x), float(y)) for x, y in np.concatenate([low, high[::-1]]))
    assert hidden_floors(settings, [area]) == [8, 9, 10, 11]


@pytest.mark.parametrize("leave", ["", 'unblurred = "a wall without people"\n'])
def test_falls_that_will_have_no_clip_are_warned_of(
    leave: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINLI_MODELS", str(tmp_path))
    path = tmp_path / "linli.toml"
    path.write_text(HEAD.format(masks="[]", ignore="[]").replace("masks", f"{leave}masks"))
    found = [problem for problem in load_plan(path).warnings if "no clips of falls are made" in problem]
    assert len(found) == (not leave)
