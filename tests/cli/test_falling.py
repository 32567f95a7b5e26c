"""`linli falling` and `linli replay FOLDER`: labels, labelled clips, and the table before and after."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.cli import linli
from gateway.cli.fallset import write_set
from gateway.cli.status import _last
from tests.cli.falls import CAMERA, CLOCK, Drawn, fill
from tests.schemas import validate
from tests.site import Daemon, free_port, head
from tests.vision.falling.filmed import film

WHY = ("--why", "found below the window")
REASON = ("--reason", "for training")
ROOT = Path(__file__).parents[2]
GATHER, PATHS = ROOT / "models/falling/gather.py", {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*words: object) -> Result:
    return CliRunner().invoke(linli, [str(word) for word in words])


def config_at(folder: Path, masks: str = "[]", api: int = 0) -> Path:
    config = folder / "linli.toml"
    config.write_text(head(folder / "state", api) + CAMERA.format(url=folder / "none.mp4", masks=masks))
    return config


@pytest.fixture
def site(tmp_path: Path, shown: Drawn) -> Iterator[tuple[Path, list[str], Daemon]]:
    api = free_port()
    config = config_at(tmp_path, api=api)
    quiet_way = tuple((at, x - 120, y) for at, x, y in shown.way)
    ids = fill(tmp_path / "state", [(shown.way, shown.fall), (quiet_way, shown.quiet), (shown.way, None)])
    daemon = Daemon(config, api).start()
    try:
        yield config, ids, daemon
    finally:
        assert daemon.stop() == 0, daemon.tail()


def test_label_export_and_replay(site: tuple[Path, list[str], Daemon], tmp_path: Path) -> None:
    config, (true, false, bare), daemon = site
    where = ("-c", config)
    assert run("falling", "label", true, "true", *WHY, *where).exit_code == 0
    assert "false" in run("falling", "label", false[-8:], "false", "--why", "a bird", *where).output
    assert run("falling", "label", bare, "true", *WHY, *where).exit_code == 0
    listed = run("falling", "list", *where)
    assert listed.exit_code == 0
    rows = [line.split() for line in listed.output.splitlines()[1:]]
    short = [one[-8:] for one in (true, false, bare)]
    assert [(row[-2], row[-1]) for row in rows] == list(zip(("true", "false", "true"), short, strict=True))
    assert run("falling", "list", "--full", *where).output.count(true) == 1
    wrong = run("falling", "label", true[:-4] + "0000", "false", *WHY, *where)
    assert wrong.exit_code == 1
    assert "did you mean" in wrong.output
    assert run("falling", "label", true, "perhaps", *WHY, *where).exit_code == 2

    out = tmp_path / "out"
    assert "say why" in run("falling", "export", out, "--reason", "x", *where).output
    assert not out.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.cli.fallset.MANIFEST", "no/such/folder")  # the disk takes the clips, and not the rest
        broken = run("falling", "export", out, *REASON, *where)
    assert (broken.exit_code, out.exists()) == (1, False)
    assert "nothing was written" in broken.output
    done = run("falling", "export", out, *REASON, *where, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["clips"] == 2
    assert [(one["record"], "unblurred" in one["why"]) for one in told["left_out"]] == [(bare, True)]
    assert out.stat().st_mode & 0o077 == 0
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    truth = json.loads((out / f"{true}.json").read_text())
    assert truth["take"]["rate"] == 25.0
    assert [len(one["way"]) > 20 for one in truth["falls"]] == [True]
    assert json.loads((out / f"{false}.json").read_text())["falls"] == []
    gathered = subprocess.run([sys.executable, GATHER, out], capture_output=True, text=True, env=PATHS, check=False)
    assert gathered.returncode == 0, gathered.stderr
    assert f"{true}.mp4: 1 falls, 0 others" in gathered.stdout
    said = [validate(json.dumps(record)) for record in daemon.pull("disposal", 5)]
    told = [record["data"].get("label") or record["data"]["what"] for record in said]
    assert told == ["true", "false", "true", "export", "export"]
    assert run("falling", "export", out, *REASON, *where).exit_code == 1

    again = run("replay", out, "--json")
    assert again.exit_code == 0, again.output
    rows = {row["file"]: row for row in json.loads(again.stdout)["clips"]}
    assert rows[f"{true}.mp4"]["now"] == {"true": 1, "false": 0, "unsure": 0}
    assert rows[f"{false}.mp4"]["before"] == {"true": 0, "false": 1, "unsure": 0}
    assert (rows[f"{true}.mp4"]["verdict"], rows[f"{false}.mp4"]["verdict"]) == ("same", "better")
    # With the camera turned blind by an area to ignore, the true fall is lost.
    blind = config.read_text() + "ignore = [[[0, 0], [480, 0], [480, 640], [0, 640]]]\n"
    (tmp_path / "blind.toml").write_text(blind)
    lost = run("replay", out, "-c", tmp_path / "blind.toml")
    assert lost.exit_code == 1, lost.output
    assert "true falls told: 0 of 1 (before 1)" in lost.output
    assert "LOST" in lost.output
    (out / f"{true}.mp4").write_bytes(b"another")
    other = run("replay", out)
    assert other.exit_code == 1
    assert "NOT PLAYED" in other.output


def exported(shown: Drawn, hidden: bool, leave: str | None, camera: str = "tower") -> dict[str, Any]:
    """What a gateway answers of one true fall before a camera of twice the size of its clip."""
    begin = 1_790_000_000
    way = [[CLOCK.rfc3339(begin * 10**9 + at), 2 * x, 2 * y] for at, x, y in shown.way]
    clip = {"sha256": hashlib.sha256(shown.fall.read_bytes()).hexdigest(), "first_time": CLOCK.rfc3339(begin * 10**9)}
    clip |= {"last_time": CLOCK.rfc3339((begin + 4) * 10**9), "hidden": hidden, "frame_size": [960, 1280]}
    facade = {"floors": 12, "ground": [[180, 1240], [780, 1240]], "roof": [[180, 80], [780, 80]], "columns": 3}
    settings = {"masks": [], "unblurred": leave, "falling": {"facade": facade, "ignore": []}}
    fall = {"record": "one", "camera": camera, "label": "true", "why": "seen", "by": "uid:0", "floor": 10, "clip": clip}
    told = {"cameras": {"tower": settings}, "exported": "now", "by": "uid:0", "reason": "for training"}
    return {**told, "falls": [{**fall, "trajectory": way}]}


MASKS = [[[0, 0], [960, 0], [960, 160], [0, 160]]]  # the upper 80 lines of the clip


def test_what_a_mask_hides_by_now_is_not_written(tmp_path: Path, shown: Drawn) -> None:
    told = exported(shown, hidden=True, leave=None)
    told["cameras"]["tower"]["masks"] = MASKS
    bare, masked = shown.fall.read_bytes(), film(tmp_path / "masked.mp4", seconds=0.4, masked=84).read_bytes()
    written, left = write_set(tmp_path, "gw", told, lambda _: bare, lambda *_: None)
    assert not written
    assert "112 of its 112 pictures show what a mask of the camera hides by now" in left[0].why
    assert not list(tmp_path.glob("one.*"))
    told["falls"][0]["clip"]["sha256"] = hashlib.sha256(masked).hexdigest()
    (one,), left = write_set(tmp_path, "gw", told, lambda _: masked, lambda *_: None)
    assert (left, one.file) == ([], "one.mp4")


def test_a_clip_in_which_faces_are_hidden_is_smaller_and_counts_as_such(tmp_path: Path, shown: Drawn) -> None:
    clip, said = shown.fall.read_bytes(), []
    told = exported(shown, hidden=True, leave=None)
    (one,), left = write_set(tmp_path, "gw", told, lambda _: clip, lambda *place: said.append(place))
    assert (one.scale, left, said) == (0.5, [], [(1, 1)])
    truth = json.loads((tmp_path / "one.json").read_text())
    assert truth["facade"]["ground"] == [[90, 620], [390, 620]]
    assert [place[1:3] for place in truth["falls"][0]["way"]] == [[x, y] for _, x, y in shown.way]
    replayed = run("replay", tmp_path, "--json")
    assert replayed.exit_code == 0, replayed.output
    assert json.loads(replayed.stdout)["clips"][0]["now"] == {"true": 1, "false": 0, "unsure": 0}


def test_a_camera_without_facade_gives_clips_without_truth_for_training(tmp_path: Path, shown: Drawn) -> None:
    told = exported(shown, hidden=True, leave=None)
    told["cameras"]["tower"]["falling"]["facade"] = None
    (one,), left = write_set(tmp_path, "gw", told, lambda _: shown.fall.read_bytes(), lambda *_: None)
    assert (left, one.file, (tmp_path / "one.json").exists()) == ([], "one.mp4", False)


def test_a_fall_that_a_clip_shows_in_part_counts_neither_way(tmp_path: Path, shown: Drawn) -> None:
    told = exported(shown, hidden=True, leave=None)
    own = told["falls"][0]
    late = [[CLOCK.rfc3339(1_790_000_000 * 10**9 + at + 2_500_000_000), 2 * x, 2 * y] for at, x, y in shown.way]
    told["falls"].append({**own, "record": "two", "clip": None, "trajectory": late})
    (one,), _ = write_set(tmp_path, "gw", told, lambda _: shown.fall.read_bytes(), lambda *_: None)
    assert one.falls is not None
    assert [(fall.record, fall.whole) for fall in one.falls] == [("one", True), ("two", False)]
    assert one.expected == 1
    replayed = run("replay", tmp_path, "--json")
    assert replayed.exit_code == 0, replayed.output
    assert json.loads(replayed.stdout)["clips"][0]["before"] == {"true": 1, "false": 0, "unsure": 0}


@pytest.mark.parametrize(
    ("told", "media", "why"),
    [
        ({"hidden": False, "leave": None}, True, "faces may be seen"),
        ({"hidden": True, "leave": None, "camera": "gone"}, True, "not configured any more"),
        ({"hidden": True, "leave": None}, False, "no longer kept"),
        ({"hidden": True, "leave": "a wall"}, b"another", "not what was recorded"),
    ],
)
def test_a_clip_that_may_not_leave_stays(
    told: dict[str, Any], media: bool | bytes, why: str, tmp_path: Path, shown: Drawn
) -> None:
    clip = media if isinstance(media, bytes) else shown.fall.read_bytes() if media else None
    written, left = write_set(tmp_path, "gw", exported(shown, **told), lambda _: clip, lambda *_: None)
    assert not written
    assert why in left[0].why
    assert not list(tmp_path.glob("one.*"))


def test_a_plain_folder_is_compared_with_its_last_replay(tmp_path: Path, shown: Drawn) -> None:
    config = config_at(tmp_path)
    folder = tmp_path / "clips"
    for name, file in (("true/a.mp4", shown.fall), ("false/b.mp4", shown.quiet), ("c.mp4", shown.fall)):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(file.read_bytes())
    first = run("replay", folder, "-c", config)
    assert first.exit_code == 0, first.output
    rows = [line.split("  ") for line in first.stdout.splitlines()[1:4]]
    assert [row[0].strip() for row in rows] == ["c.mp4", "false/b.mp4", "true/a.mp4"]
    assert "the next replay is compared with this one" in first.stderr
    # A clip that is now another one: what was not told before comes, where there should be none.
    (folder / "false/b.mp4").write_bytes(shown.fall.read_bytes())
    (folder / "true/a.mp4").write_bytes(shown.quiet.read_bytes())
    second = run("replay", "tower", folder, "-c", config, "--json")
    assert second.exit_code == 1, second.output
    verdicts = {row["file"]: row["verdict"] for row in json.loads(second.stdout)["clips"]}
    assert verdicts == {"c.mp4": "same", "false/b.mp4": "false", "true/a.mp4": "lost"}
    assert run("replay", "tower", folder, "-c", config, "--keep").exit_code == 1
    assert run("replay", "tower", folder, "-c", config).exit_code == 0
    for name in ("c.mp4", "true/a.mp4"):
        (folder / name).unlink()
    gone = run("replay", "tower", folder, "-c", config, "--keep", "--json")
    assert gone.exit_code == 1
    assert "a.mp4: it was there when a replay was last remembered, and is missing" in gone.stderr
    verdicts = {row["file"]: row["verdict"] for row in json.loads(gone.stdout)["clips"]}
    assert verdicts == {"c.mp4": "unplayable", "false/b.mp4": "same", "true/a.mp4": "unplayable"}
    assert run("replay", "tower", folder, "-c", config).exit_code == 0


def test_what_lessens_a_replay_is_said(tmp_path: Path, shown: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    config, folder = config_at(tmp_path), tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(shown.fall.read_bytes())
    monkeypatch.setenv("LINLI_MODELS", str(tmp_path / "none"))
    (tmp_path / "none").mkdir()
    done = run("replay", folder, "-c", config)
    assert done.stderr.count("warning:") == 1, done.stderr  # once, and not for every clip
    assert "until then a plain rule tells what falls" in done.stderr


def test_what_cannot_be_replayed_says_why(tmp_path: Path) -> None:
    config, folder = config_at(tmp_path), tmp_path / "clips"
    folder.mkdir()
    assert "holds no clips" in run("replay", folder, "-c", config).output
    (folder / "a.mp4").write_bytes(b"nonsense" * 100)
    unplayable = run("replay", folder, "-c", config)
    assert unplayable.exit_code == 1
    assert "NOT PLAYED" in unplayable.output
    assert run("replay", "towel", folder, "-c", config).exit_code == 2
    assert "no folder" in run("replay", tmp_path / "a.mp4", "-c", config).output
    assert run("replay", folder, "-c", config, "--reads").exit_code == 2
    (folder / "manifest.jsonl").write_text("{}")
    assert "is no manifest" in run("replay", folder).output
    (folder / "manifest.jsonl").write_text(
        '{"gateway": "g", "exported": "", "by": "", "reason": "", "cameras": {}}\n{"file": "../x.mp4"}\n'
    )
    assert "outside of its folder" in run("replay", folder).output
    config.write_text(config.read_text().replace("[camera.falling]", "[camera.vehicles]").partition("facade")[0])
    (folder / "manifest.jsonl").unlink()
    assert "name the camera" in run("replay", folder, "-c", config).output
    assert "looks for no falling objects" in run("replay", "tower", folder, "-c", config).output


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that can be seen and not be looked into, also where tests are run by root."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place, "export")
        folder.mkdir(mode=0o000)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)


def test_what_may_not_be_read_is_said(locked: Path) -> None:
    for words in (("replay", locked), ("replay", "tower", locked / "a.mp4")):
        refused = run(*words)
        assert (refused.exit_code, refused.exception.__class__) == (1, SystemExit)
        assert "Permission denied" in refused.output


def test_a_fall_says_in_one_line_that_it_was_a_test_or_that_its_end_was_not_seen() -> None:
    fall = {**dict.fromkeys(("floor", "interval", "size_cm", "impact_speed")), "size_px": 6.1, "confidence": 0.9}
    now = "2026-11-21T08:00:00.000+08:00"
    known = {**fall, "time": now, "test": True, "complete": False}
    assert _last({"last_falls": [known]}, now).startswith("test: fell, 6.1 px, its end was not seen, ")
    whole = {**known, "test": False, "complete": True, "floor": 12}
    assert _last({"last_falls": [whole]}, now).startswith("fell from floor 12, 6.1 px, ")
