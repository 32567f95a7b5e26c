"""`linli replay` and `linli model` as people and programs call them."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.cli import linli
from gateway.cli.demo.clip import LANE_ENTER, LANE_LINE, LEAVING, PLATE, write_gate_clip
from gateway.vision.packs import models_folder, packs
from tests.vision.falling.filmed import damage, film

CONFIG = """
[gateway]
id = "test-gate"
timezone = "Asia/Shanghai"
[store]
[api]
[[camera]]
name = "north-gate"
url = "rtsp://camera-1.lan/stream1"
purpose = "vehicle gate"
[camera.vehicles]
lanes = [{{ name = "main", line = {line}, enter = "{enter}" }}]
lists = {{ allow = "{allow}" }}
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not all(pack.present or pack.optional for pack in packs(models_folder())):
        pytest.skip("MODEL PACKS MISSING: run scripts/setup or `linli model pull`")
    path = tmp_path_factory.mktemp("clip") / "gate.mp4"
    write_gate_clip(path)
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    allow = tmp_path / "allow.csv"
    # Hours are those of the configuration's zone, whatever this machine's is.
    allow.write_text(f"plate,hours\n{PLATE},08:00-09:00\nnonsense,\n")
    path = tmp_path / "linli.toml"
    line = [list(spot) for spot in LANE_LINE]
    path.write_text(CONFIG.format(line=line, enter=LANE_ENTER, allow=allow))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(linli, [str(argument) for argument in arguments])


def records(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_replay_prints_one_record_per_line(clip: Path, config: Path, tmp_path: Path) -> None:
    media = tmp_path / "media"
    start = ("--start", "2026-11-21T08:25:30+08:00")
    result = run("replay", "north-gate", clip, "-c", config, "--json", "--media", media, *start)
    first, second = records(result)
    assert first["type"] == "linli.vehicle.passage.v1"
    assert first["source"] == "/gateways/test-gate/north-gate"
    assert (first["subject"], first["stream"], first["epoch"]) == ("main", "perception", "replay")
    assert [record["sequence"] for record in (first, second)] == ["00000000000000000001", "00000000000000000002"]
    assert "2026-11-21T08:25:30.000+08:00" < first["time"] < second["time"] < "2026-11-21T08:25:41.000+08:00"
    data = first["data"]
    assert (data["lane"], data["direction"], data["list"]) == ("main", "in", "allow")
    plate = data["plate"]
    assert (plate["text"], plate["kind"], plate["color"], plate["status"]) == (PLATE, "ordinary", "blue", "accepted")
    assert plate["confidence"] == min(plate["characters"])
    assert len(plate["characters"]) == len(PLATE)
    assert data["vehicle"] == {"type": "small", "color": "red"}  # a blue plate's class, and the paint as it is drawn
    assert "reads" not in data
    picture = data["picture"]
    jpeg = (media / f"{picture['sha256']}.jpg").read_bytes()
    assert (hashlib.sha256(jpeg).hexdigest(), len(jpeg)) == (picture["sha256"], picture["bytes"])
    assert data["first_time"] <= picture["frame_time"] <= data["last_time"]
    assert second["data"]["plate"]["text"] == LEAVING
    assert "allow.csv:3" in result.stderr
    assert "nonsense" not in result.stderr


def test_the_same_file_gives_the_same_records(clip: Path, config: Path, tmp_path: Path) -> None:
    def once() -> list[dict[str, Any]]:
        found = records(run("replay", "north-gate", clip, "-c", config, "--json", "--reads", "--media", tmp_path / "m"))
        return [{key: value for key, value in one.items() if key not in ("id", "recordedtime")} for one in found]

    first = once()
    assert first == once()
    reads = first[0]["data"]["reads"]
    assert len(reads) >= 4
    assert set(reads[0]) == {"time", "text", "confidence"}


def test_for_people_it_is_a_table(clip: Path, config: Path, tmp_path: Path) -> None:
    result = run("replay", "north-gate", clip, "-c", config, "--media", tmp_path / "m")
    assert result.exit_code == 0
    assert PLATE in result.stdout
    assert "accepted" in result.stdout


@pytest.mark.parametrize("content", [None, b"", b"no video" * 1000])
def test_what_cannot_be_played_fails_with_its_name(content: bytes | None, config: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    result = run("replay", "north-gate", path, "-c", config, "--json", "--media", tmp_path / "m")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "bad.mp4" in result.stderr


def test_replay_says_how_many_frames_are_damaged(tmp_path: Path) -> None:
    config = tmp_path / "falls.toml"
    falls = f'[gateway]\nid = "gate"\nsite = "x"\nstate = "{tmp_path}/s"\n[store]\n[api]\nlisten = "127.0.0.1:8470"\n'
    falls += '[[camera]]\nname = "tower"\nurl = "clip.mp4"\npurpose = "falls"\n[camera.falling]\n'
    config.write_text(falls)
    whole = run("replay", "tower", film(tmp_path / "whole.mp4", seconds=2.0), "-c", config)
    assert (whole.exit_code, "damaged" in whole.stderr) == (0, False)
    spoilt = run("replay", "tower", damage(film(tmp_path / "spoilt.mp4", seconds=2.0), (20, 30)), "-c", config)
    assert spoilt.exit_code == 0
    assert re.search(r"[2-4] frames of (48|49|50) are damaged: what crosses the picture", spoilt.stderr)


def test_wrong_arguments(config: Path, tmp_path: Path) -> None:
    unknown = run("replay", "south-gate", tmp_path / "a.mp4", "-c", config)
    assert unknown.exit_code == 2
    assert "north-gate" in unknown.stderr
    assert run("replay", "north-gate", tmp_path / "a.mp4", "-c", tmp_path / "none.toml").exit_code == 78
    (tmp_path / "a.mp4").write_bytes(b"x")
    for year in ("0001", "9999"):
        start = ("--start", f"{year}-12-31T23:59:59+08:00")
        late = run("replay", "north-gate", tmp_path / "a.mp4", "-c", config, *start)
        assert (late.exit_code, "expected a year from 1970 to 9000" in late.output) == (2, True)
    when = run("replay", "north-gate", tmp_path / "a.mp4", "-c", config, "--start", "noon")
    assert when.exit_code == 2
    assert "2026-11-21T08:25:30+08:00" in when.stderr


def test_model_list_and_pull(clip: Path) -> None:
    listed = json.loads(run("model", "list", "--json").stdout)
    assert {row["name"]: row["state"] for row in listed["packs"]}["plate-reader"] == "here"
    assert "Apache-2.0" in run("model", "list").stdout
    pulled = run("model", "pull")
    assert pulled.exit_code == 0
    assert pulled.stdout.count("already here") >= 3
    wrong = run("model", "pull", "faces")
    assert wrong.exit_code == 2
    assert "plate-detector" in wrong.stderr
