"""`linli camera calibrate` and `report`: from four corners to floors, and to what can be seen of them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("cv2", reason="the extra `vision` is not installed")

import cv2
import numpy as np

from gateway.cli import linli
from gateway.cli.camera.report import ranges
from gateway.settings import CameraSettings
from gateway.vision.falling.sized import SizedFacade
from tests.vision.falling.drawn import FACADE, HEIGHT, WIDTH, wall

CORNERS = ["90,620", "390,620", "90,40", "390,40"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "view.png"), wall())
    falling = (
        f"[camera.falling]\nfacade = {{ floors = {FACADE['floors']}, columns = 3, ground = {FACADE['ground']}, "
        f"roof = {FACADE['roof']} }}\n"
    )
    (tmp_path / "c.toml").write_text(
        f'[gateway]\nid = "gw-1"\nsite = "x"\nstate = "{tmp_path}/s"\n[store]\n[api]\nlisten = "127.0.0.1:8470"\n'
        f'[[camera]]\nname = "tower"\nurl = "{tmp_path}/view.png"\npurpose = "falls"\n{falling}'
        f'[[camera]]\nname = "bare"\nurl = "{tmp_path}/view.png"\npurpose = "falls"\n[camera.falling]\n'
    )
    return tmp_path


def run(*words: object):
    return CliRunner().invoke(linli, [str(word) for word in words])


def test_calibrate_prints_toml_and_draws_the_floors(site: Path) -> None:
    drawn = site / "drawn.jpg"
    done = run("camera", "calibrate", "tower", *CORNERS, "--floors", 12, "-c", site / "c.toml", "--picture", drawn)
    assert done.exit_code == 0, done.output
    assert "facade = { floors = 12, ground = [[90, 620], [390, 620]], roof = [[90, 40], [390, 40]] }" in done.output
    picture = cv2.imread(str(drawn))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    green = (picture[..., 1].astype(int) - picture[..., 2] > 60).sum(axis=1)
    assert sum(green > 200) >= 12


def test_a_camera_that_looks_up_steeply_sees_things_as_large_as_they_are(site: Path) -> None:
    # A camera 30 m before 33 floors, tilted by 35 degrees: focal length 1000 pixels, the wall 24 m wide.
    sine, cosine, away, eye = 0.5735764, 0.8191520, 30.0, 1.6

    def pixel(x: float, z: float) -> list[float]:
        depth = away * cosine + (z - eye) * sine
        return [round(540 + 1000 * x / depth, 2), round(960 - 1000 * ((z - eye) * cosine - away * sine) / depth, 2)]

    corners = [pixel(x, z) for z in (0.0, 33 * 2.9) for x in (-12.0, 12.0)]
    cv2.imwrite(str(site / "tall.png"), np.full((1920, 1080), 90, np.uint8))
    words = [f"{x},{y}" for x, y in corners]
    frame = ("--frame", site / "tall.png", "--picture", site / "drawn.jpg")
    done = run("camera", "calibrate", "bare", *words, "--floors", 33, *frame, "-c", site / "c.toml", "--json")
    assert done.exit_code == 0, done.output
    floors = json.loads(done.output)["floors"]
    for number in (1, 17, 33):
        depth = away * cosine + ((number - 0.5) * 2.9 - eye) * sine
        assert floors[number - 1]["smallest_cm"] == pytest.approx(4 * depth / 1000 * 100, rel=0.02)


def test_taller_storeys_are_reckoned_with_and_written_down(site: Path) -> None:
    frame = ("--picture", site / "drawn.jpg", "-c", site / "c.toml")
    done = run("camera", "calibrate", "tower", *CORNERS, "--floors", 12, "--storey", 5.8, *frame)
    assert done.exit_code == 0, done.output
    assert "roof = [[90, 40], [390, 40]], storey = 5.8 }" in done.output
    assert "5.8 m from floor to floor" in done.output
    done = run("camera", "calibrate", "tower", *CORNERS, "--floors", 12, "--storey", 5.8, *frame, "--json")
    # Twice as tall a wall in as many pixels: things have to be twice as large.
    assert json.loads(done.output)["floors"][5]["smallest_cm"] == pytest.approx(48.0, abs=0.4)
    refused = run("camera", "calibrate", "tower", *CORNERS, "--floors", 12, "--storey", 9, *frame)
    assert refused.exit_code == 2
    assert "'--storey': 9.0 is not in the range 2<=x<=6" in refused.output
    (site / "c.toml").write_text((site / "c.toml").read_text().replace("floors = 12", "floors = 12, storey = 5.8"))
    told = json.loads(run("camera", "report", "tower", "-c", site / "c.toml", "--json").output)
    assert (told["storey"], told["floors"][5]["smallest_cm"]) == (5.8, pytest.approx(48.0, abs=0.4))


def test_report_tells_the_smallest_object_of_every_floor(site: Path) -> None:
    done = run("camera", "report", "tower", "-c", site / "c.toml", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert [row["floor"] for row in told["floors"]] == list(range(1, 13))
    # 580 pixels for 12 floors of 2.9 m: 4 pixels are 24 cm.
    assert told["floors"][5]["smallest_cm"] == pytest.approx(24.0, abs=0.2)
    assert told["cameras"] == 2
    said = "On floors 1 to 12 only what is larger than a bottle (20 cm) is seen for sure."
    assert said in run("camera", "report", "tower", "-c", site / "c.toml").output


@pytest.mark.parametrize(("short_side", "pixels"), [(540, 8), (1080, 4)])
def test_4k_is_reckoned_with_the_size_that_is_looked_at(site: Path, short_side: int, pixels: int) -> None:
    cv2.imwrite(str(site / "view.png"), np.full((3840, 2160), 90, np.uint8))
    text = (site / "c.toml").read_text()
    corners = "ground = [[400, 3780], [1800, 3780]], roof = [[400, 300], [1800, 300]]"
    drawn = f"ground = {FACADE['ground']}, roof = {FACADE['roof']}"
    assert drawn in text
    lines = text.replace(drawn, corners).replace("[camera.falling]", f"[camera.falling]\nshort_side = {short_side}")
    (site / "c.toml").write_text(lines)
    told = json.loads(run("camera", "report", "tower", "-c", site / "c.toml", "--json").output)
    assert told["floors"][5]["smallest_cm"] == pytest.approx(pixels, abs=0.1)  # 100 pixels a metre
    words = ["400,3780", "1800,3780", "400,300", "1800,300", "--floors", 12, "--picture", site / "drawn.jpg"]
    done = run("camera", "calibrate", "tower", *words, "-c", site / "c.toml", "--json")
    assert json.loads(done.output)["floors"][5]["smallest_cm"] == pytest.approx(pixels, abs=0.1)


def test_what_is_ignored_or_masked_is_not_seen(site: Path) -> None:
    config = site / "c.toml"
    text = config.read_text()
    trees, sign = "[[0, 523.3], [480, 523.3], [480, 640], [0, 640]]", "[[0, 0], [480, 0], [480, 88.4], [0, 88.4]]"
    config.write_text(
        text.replace("[camera.falling]\nfacade", f"masks = [{sign}]\n[camera.falling]\nignore = [{trees}]\nfacade", 1)
    )
    told = json.loads(run("camera", "report", "tower", "-c", config, "--json").output)
    assert [row["floor"] for row in told["floors"] if row["seen"] < 0.9] == [1, 2, 12]
    assert "ignored or masked: floors 1 to 2, 12." in run("camera", "report", "tower", "-c", config).output
    words = ("--floors", 12, "--picture", site / "drawn.jpg", "-c", config, "--json")
    told = json.loads(run("camera", "calibrate", "tower", *CORNERS, *words).output)
    assert [row["floor"] for row in told["floors"] if row["seen"] < 0.9] == [1, 2, 12]


@pytest.mark.parametrize(("shift", "said"), [(300, "watched over its whole width:"), (900, "watched: check")])
def test_a_facade_of_which_no_floor_is_whole_in_the_picture(site: Path, shift: int, said: str) -> None:
    corners = [f"{90 + shift},620", f"{390 + shift},620", f"{90 + shift},40", f"{390 + shift},40"]
    where = ("--picture", site / "drawn.jpg", "-c", site / "c.toml")
    done = run("camera", "calibrate", "tower", *corners, "--floors", 12, *where)
    assert f"No floor is {said}" in done.output


def test_the_report_brings_the_facade_to_the_size_of_the_picture(site: Path) -> None:
    config = site / "c.toml"
    before = json.loads(run("camera", "report", "tower", "-c", config, "--json").output)
    facade = CameraSettings.model_validate(
        {"name": "tower", "url": "x", "purpose": "falls", "falling": {"facade": FACADE}}
    )
    SizedFacade(facade, site / "s" / "views").brought((WIDTH, HEIGHT))  # the gateway has seen it
    cv2.imwrite(str(site / "half.png"), cv2.resize(wall().astype(np.uint8), (WIDTH // 2, HEIGHT // 2)))
    told = json.loads(run("camera", "report", "tower", "--frame", site / "half.png", "-c", config, "--json").output)
    assert [row["seen"] for row in told["floors"]] == [row["seen"] for row in before["floors"]]
    assert told["floors"][5]["smallest_cm"] == pytest.approx(2 * before["floors"][5]["smallest_cm"], rel=0.01)
    cv2.imwrite(str(site / "wide.png"), np.full((480, 640), 90, np.uint8))
    refused = run("camera", "report", "tower", "--frame", site / "wide.png", "-c", config)
    assert refused.exit_code == 1
    assert "another shape than 640 x 480" in refused.output


def test_corners_may_lie_left_of_the_picture_and_above_it(site: Path) -> None:
    where = ("--picture", site / "drawn.jpg", "-c", site / "c.toml")
    outside = ("-20.5,620", "390,620", "-10,-.5", "390,-40")
    done = run("camera", "calibrate", "tower", *outside, "--floors", 12, *where)
    assert done.exit_code == 0, done.output
    assert "ground = [[-20.5, 620], [390, 620]], roof = [[-10, -0.5], [390, -40]]" in done.output
    wrong = run("camera", "calibrate", "tower", *CORNERS, "--floor", 12, *where)
    assert wrong.exit_code == 2
    assert "No such option '--floor'" in wrong.output


def test_what_cannot_be_is_said(site: Path) -> None:
    crossed = run(
        "camera", "calibrate", "tower", CORNERS[1], CORNERS[0], *CORNERS[2:], "--floors", 12, "-c", site / "c.toml"
    )
    assert crossed.exit_code == 2
    assert "ground: ground and roof do not span a wall: the corners" in " ".join(crossed.output.split())
    assert "expected two numbers" in run("camera", "calibrate", "tower", "a,b", *CORNERS[1:], "--floors", 3).output
    assert "linli camera calibrate bare" in run("camera", "report", "bare", "-c", site / "c.toml").output
    assert "has no camera" in run("camera", "report", "other", "-c", site / "c.toml").output


@pytest.mark.parametrize(
    ("corners", "key", "why"),
    [
        ("90,620 390,620 390,40 90,40", "roof", "the corners of the roof are exchanged"),
        ("390,620 90,620 90,40 390,40", "ground", "the corners at the ground are exchanged"),
        ("390,620 90,620 390,40 90,40", "ground", "left and right are exchanged in both"),
        ("90,40 390,40 90,620 390,620", "roof", "the roof lies below the ground"),
        ("390,40 90,40 390,620 90,620", "roof", "on its side or its head"),
        ("620,390 620,90 40,390 40,90", "roof", "on its side or its head"),
        ("90,620 390,620 240,600 240,600", "ground", "give left then right"),
        ("0.1,0.9 0.8,0.9 0.1,0.1 0.8,0.1", "ground", "0.7 pixels wide there, of 8 at least"),
        ("90,620 390,620 240,40 240.4,40", "roof", "0.4 pixels wide there, of 8 at least"),
        ("90,60 390,60 90,40 390,40", "roof", "12 floors in 20 pixels are not 2 pixels each"),
    ],
)
def test_corners_that_are_no_wall_are_refused_with_place_and_fix(site: Path, corners: str, key: str, why: str) -> None:
    config = site / "c.toml"
    refused = run("camera", "calibrate", "tower", *corners.split(), "--floors", 12, "-c", config)
    assert refused.exit_code == 2
    assert f"Error: {key}: " in refused.output
    assert why in " ".join(refused.output.split())
    points = [f"[{point}]" for point in corners.split()]
    given = f"ground = [{points[0]}, {points[1]}], roof = [{points[2]}, {points[3]}]"
    text = config.read_text().replace(f"ground = {FACADE['ground']}, roof = {FACADE['roof']}", given)
    config.write_text(text)
    refused = run("check", "-c", config)
    assert refused.exit_code == 78
    line = 1 + text[: text.index("facade =")].count("\n")
    assert f"c.toml:{line}: camera.tower.falling.facade.{key}: " in refused.output
    assert why in refused.output


def test_a_frame_that_is_not_there_is_asked_for_and_not_the_cameras_address(site: Path) -> None:
    refused = run("camera", "report", "tower", "--frame", site / "none.png", "-c", site / "c.toml")
    assert refused.exit_code == 1
    assert "none.png is no file; name a picture or a clip with --frame" in refused.output
    refused = run("camera", "report", "tower", "--frame", "n" * 300, "-c", site / "c.toml")
    assert (refused.exit_code, "File name too long" in refused.output) == (1, True)


def test_ranges() -> None:
    assert ranges([1, 2, 3, 7]) == "1 to 3, 7"
