"""`linli model`: lists, tests and chooses packs, and refuses what does not work with a sentence."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

pytest.importorskip("onnxruntime", reason="the extra `vision` is not installed")

from gateway.cli.model import model
from gateway.vision.packs import packs

MANIFESTS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both plate detectors' worth: the detector twice under two names, and a vehicle pack without its file."""
    detector = next(pack for pack in packs(MANIFESTS) if pack.name == "plate-detector")
    if not detector.present:
        pytest.skip("MODEL PACKS MISSING: run scripts/setup or `linli model pull`")
    made = tmp_path / "models"
    for name in ("plate-detector", "fastestdet"):
        shutil.copytree(MANIFESTS / name, made / name, ignore=shutil.ignore_patterns("files"))
    shutil.copytree(made / "plate-detector", made / "twin")
    text = (made / "twin" / "manifest.toml").read_text()
    (made / "twin" / "manifest.toml").write_text(text.replace('"plate-detector"', '"twin"'))
    for name in ("plate-detector", "twin"):
        (made / name / "files").mkdir()
        (made / name / "files" / detector.path.name).symlink_to(detector.path)
    monkeypatch.setenv("LINLI_MODELS", str(made))
    return made


def run(*words: str) -> Any:
    return CliRunner().invoke(model, words)


def test_the_list_says_what_works_and_what_models_run_on(folder: Path) -> None:
    shown = run("list")
    assert shown.exit_code == 0
    assert "here, in use" in shown.output
    assert "not here: linli model pull fastestdet" in shown.output
    assert "models run on: cpu" in shown.output
    told = json.loads(run("list", "--json").output)
    assert {row["name"]: row["in_use"] for row in told["packs"]} == {
        "fastestdet": False,
        "plate-detector": True,
        "twin": False,
    }
    assert told["providers"]["cpu"] is True


def test_the_list_names_the_reader_that_is_asked_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("own", "other"):
        shutil.copytree(MANIFESTS / "plates", tmp_path / name)
        manifest = tmp_path / name / "manifest.toml"
        manifest.write_text(manifest.read_text().replace('"plate-reader-linli"', f'"{name}"'))
    monkeypatch.setenv("LINLI_MODELS", str(tmp_path))
    lines = {line.split()[0]: line for line in run("list").output.splitlines()}
    told = json.loads(run("list", "--json").output)["packs"]
    works = next(row["name"] for row in told if row["in_use"])
    helps = next(row["name"] for row in told if row["second"])
    assert {works, helps} == {"own", "other"}
    assert "here, in use" in lines[works]
    assert "here, asked where the other reader is unsure" in lines[helps]


def test_a_pack_is_tested_step_by_step(folder: Path) -> None:
    shown = run("test", "--json")
    assert shown.exit_code == 0
    rows = json.loads(shown.output)
    assert [row["name"] for row in rows] == ["plate-detector", "twin"]  # an optional one that is not here is no fault
    assert all(row["sha256"] and row["loads"] and row["golden"] and row["ms"] > 0 for row in rows)
    manifest = folder / "twin" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("[91, 102]", "[11, 102]"))
    shown = run("test", "twin")
    assert shown.exit_code == 1
    assert "NO" in shown.output
    assert "golden picture" in shown.output
    (folder / "twin" / "files" / "clp_det.onnx").unlink()
    (row,) = json.loads(run("test", "twin", "--json").output)
    assert (row["sha256"], row["loads"], row["ok"]) == (None, None, False)
    (folder / "twin" / "files" / "clp_det.onnx").write_bytes(b"other")
    (row,) = json.loads(run("test", "twin", "--json").output)
    assert (row["sha256"], row["loads"], row["ok"]) == (False, None, False)


def test_a_pack_is_chosen_and_what_fails_is_not(folder: Path) -> None:
    shown = run("use", "twin", "--slower", "50")
    assert shown.exit_code == 0, shown.output
    assert "twin 1.1.0 does plate-detection from now on instead of plate-detector" in shown.output
    chosen = json.loads((folder / "in-use.json").read_text())
    assert chosen["plate-detection"] == {"name": "twin", "before": "plate-detector", "slower": 50.0}
    manifest = folder / "plate-detector" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("[91, 102]", "[11, 102]"))
    shown = run("use", "plate-detector")
    assert shown.exit_code == 1
    assert "fails on its golden picture" in shown.output
    assert json.loads((folder / "in-use.json").read_text()) == chosen
    shown = run("remove", "twin")
    assert shown.exit_code == 1
    assert "first: linli model use plate-detector" in shown.output


def test_a_slow_pack_is_not_chosen(folder: Path) -> None:
    shown = run("use", "twin", "--slower", "0.01")
    assert shown.exit_code == 1
    assert "so plate-detector stays" in shown.output
    assert not (folder / "in-use.json").exists()


def test_what_nothing_else_can_do_is_not_removed_by_accident(folder: Path) -> None:
    assert run("remove", "twin").exit_code == 0
    shown = run("remove", "plate-detector")
    assert shown.exit_code == 1
    assert "--force" in shown.output
    assert run("remove", "plate-detector", "--force").exit_code == 0
    assert not (folder / "plate-detector" / "files" / "clp_det.onnx").exists()


def test_pull_leaves_the_optional_ones_alone(folder: Path) -> None:
    shown = run("pull", "--json")
    assert shown.exit_code == 0
    assert [row["text"] for row in json.loads(shown.output)] == ["already here"] * 2
    assert run("pull", "nothing").exit_code == 2


def test_install_names_what_it_does_not_know(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "some.onnx").write_bytes(b"some")
    shown = run("install", str(tmp_path / "some.onnx"))
    assert shown.exit_code == 1
    assert "no file that a pack" in shown.output


def test_install_tests_before_it_stores(folder: Path, shared: Path) -> None:
    shown = run("install", str(shared / "models" / "FastestDet.onnx"))
    assert shown.exit_code == 0, shown.output
    assert (folder / "fastestdet" / "files" / "FastestDet.onnx").is_file()
    (folder / "fastestdet" / "files" / "FastestDet.onnx").unlink()
    manifest = folder / "fastestdet" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('label = "truck"', 'label = "car"'))
    shown = run("install", str(shared / "models" / "FastestDet.onnx"))
    assert shown.exit_code == 1
    assert "sees truck instead of a car" in shown.output
    assert not (folder / "fastestdet" / "files" / "FastestDet.onnx").exists()


def test_what_changes_what_leaves_works_only_when_it_was_chosen(folder: Path) -> None:
    faces = next(pack for pack in packs(MANIFESTS) if pack.name == "face-detector")
    if not faces.present:
        pytest.skip("the optional pack face-detector is not here: linli model pull face-detector")
    made = shutil.copytree(faces.folder, folder / "face-detector", ignore=shutil.ignore_patterns("files"))
    shown = run("install", str(faces.path))
    assert shown.exit_code == 0, shown.output
    assert "does nothing until you choose it: linli model use face-detector" in shown.output
    assert (made / "files" / faces.path.name).exists()

    def used() -> bool:
        told = json.loads(run("list", "--json").output)
        return bool(next(row["in_use"] for row in told["packs"] if row["name"] == "face-detector"))

    assert not used()
    assert "linli model use face-detector" in run("list").output
    assert "does nothing until you choose it" in run("pull", "face-detector").output
    assert run("use", "face-detector").exit_code == 0
    assert used()
    assert run("remove", "face-detector").exit_code == 1
    assert run("remove", "face-detector", "--force").exit_code == 0
    assert not used()
    assert not (folder / "in-use.json").exists() or "face" not in (folder / "in-use.json").read_text()
