"""`linli camera test` and `aim` without a daemon: a verdict with its exit code, pictures in a file."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.cli.camera import camera
from gateway.cli.demo.clip import LANE_ENTER, LANE_LINE, DrawnCar, write_gate_clip
from gateway.settings import CameraSettings
from gateway.vision.drawn_for import MaskedSize


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aim")
    write_gate_clip(folder / "gate.mp4", seconds=2.4, cars=[DrawnCar("沪A12345", -1.0, 4.0)], rate=15)
    (folder / "empty.mp4").write_bytes(b"")
    line = [list(spot) for spot in LANE_LINE]
    cameras = [("gate", "gate.mp4", line), ("off", "gate.mp4", [[5000, 1], [6000, 1]]), ("none", "empty.mp4", line)]
    text = f'[gateway]\nid = "sh-test"\nstate = "{folder}/state"\n[store]\n[api]\n'
    for name, file, lane in cameras:
        text += f'[[camera]]\nname = "{name}"\nurl = "{folder / file}"\npurpose = "vehicle gate"\n[camera.vehicles]\n'
        text += f'lanes = [{{ name = "main", line = {lane}, enter = "{LANE_ENTER}" }}]\n'
    text += f'[[camera]]\nname = "masked"\nurl = "{folder}/gate.mp4"\npurpose = "vehicle gate"\n'
    text += "masks = [[[0, 0], [90, 0], [90, 90]]]\n[camera.vehicles]\n"
    path = folder / "linli.toml"
    path.write_text(text)
    return path


def run(*words: str) -> Any:
    return CliRunner().invoke(camera, words)


def test_a_verdict_on_one_page(config: Path, tmp_path: Path) -> None:
    shown = run("test", "gate", "-c", str(config), "--seconds", "2", "--picture", str(tmp_path / "seen.jpg"))
    assert "gate (vehicle gate):" in shown.output
    assert "1280 x 720" in shown.output
    assert (tmp_path / "seen.jpg").read_bytes().startswith(b"\xff\xd8")


def test_what_has_to_be_changed_fails(config: Path) -> None:
    shown = run("test", "off", "-c", str(config), "--seconds", "1", "--json")
    assert shown.exit_code == 1
    told = json.loads(shown.output)
    assert told["verdict"] == "bad"
    assert {
        "name": "areas",
        "level": "bad",
        "value": "lane main is outside",
        "advice": told["checks"][9]["advice"],
    } in (told["checks"])


def test_a_camera_without_a_picture_says_why(config: Path) -> None:
    shown = run("test", "none", "-c", str(config))
    assert shown.exit_code == 1
    assert "is empty" in shown.output
    assert run("test", "nobody", "-c", str(config)).exit_code == 2


def test_pictures_are_written_without_a_daemon(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "aim.jpg"
    shown = run("aim", "gate", "-c", str(config), "--out", str(out), "--every", "0.5", "--count", "2", "--json")
    assert shown.exit_code == 0, shown.output
    first, second = (json.loads(line) for line in shown.output.splitlines())
    assert first["camera"] == "gate"
    assert first["size"] == [1280, 720]
    assert "jpeg" not in second
    assert out.read_bytes().startswith(b"\xff\xd8")
    assert list(tmp_path.iterdir()) == [out]


def test_no_picture_of_another_size_than_the_masks_is_written(config: Path, tmp_path: Path) -> None:
    settings = CameraSettings.model_validate(
        {"name": "masked", "url": "x", "purpose": "gate", "masks": [[[0, 0], [90, 0], [90, 90]]]}
    )
    views, to = config.parent / "state" / "views", tmp_path / "seen.jpg"
    MaskedSize(settings, views).misfit((1920, 1080))
    shown = run("test", "masked", "-c", str(config), "--seconds", "1", "--picture", str(to))
    assert shown.exit_code == 1
    assert "no picture was written" in shown.output
    shown = run("aim", "masked", "-c", str(config), "--out", str(to), "--count", "1")
    assert shown.exit_code == 1
    assert "1920 x 1080" in shown.output
    assert not to.exists()


def test_the_page_needs_a_daemon(config: Path) -> None:
    shown = run("aim", "gate", "-c", str(config))
    assert shown.exit_code == 1
    assert "the gateway is not running" in shown.output
