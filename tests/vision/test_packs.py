"""Model packs: only the very file of the manifest is used or stored, wherever it comes from."""

import hashlib
import http.server
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.vision import fetch
from gateway.vision.fetch import install, pull, remove
from gateway.vision.packs import (
    DETECTION,
    READING,
    VEHICLES,
    Choice,
    PackError,
    choices,
    choose,
    models_folder,
    pack_for,
    packs,
)
from gateway.vision.sight import ModelSight

MANIFESTS = Path(__file__).resolve().parents[2] / "models"
MODEL = bytes(range(256)) * 2000  # half a megabyte that no runtime would take


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project's manifests without files."""
    return Path(shutil.copytree(MANIFESTS, tmp_path / "models", ignore=shutil.ignore_patterns("files", "in-use.json")))


class Depot(http.server.BaseHTTPRequestHandler):
    """Serves MODEL, with ranges; breaks off after ``breaks`` bytes as long as there are any in the list."""

    breaks: list[int]
    asked: list[str]
    body = MODEL

    def do_GET(self) -> None:
        """Answer one request."""
        given = self.headers.get("range", "")
        self.asked.append(given)
        first = int(given.removeprefix("bytes=").removesuffix("-")) if given else 0
        if first >= len(self.body):
            self.send_error(416)
            return
        self.send_response(206 if given else 200)
        part = self.body[first:]
        self.send_header("content-length", str(len(part)))
        self.end_headers()
        self.wfile.write(part[: self.breaks.pop()] if self.breaks else part)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def depot() -> Iterator[tuple[str, type[Depot]]]:
    served = type("Served", (Depot,), {"breaks": [], "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/model.onnx", served
        server.shutdown()
        thread.join()


def test_every_pack_is_described() -> None:
    found = packs(MANIFESTS)
    assert {pack.name for pack in found} >= {"plate-detector", "plate-reader", "fastestdet"}
    assert all(len(pack.sha256) == 64 and pack.source and pack.licence for pack in found)
    for pack in found:
        if pack.golden is not None and pack.golden.path is not None:
            assert pack.golden.path.stat().st_size < 64 << 10


def test_no_weights_of_others_are_in_the_project() -> None:
    vehicles = next(pack for pack in packs(MANIFESTS) if pack.task == VEHICLES)
    assert vehicles.optional
    assert vehicles.source.startswith("https://")


def test_a_missing_pack_says_how_to_get_it(folder: Path) -> None:
    with pytest.raises(PackError, match="linli model pull") as failed:
        ModelSight(folder)
    assert failed.value.reason == "models_missing"
    with pytest.raises(PackError) as failed:
        pack_for(folder / "none", DETECTION)
    assert failed.value.reason == "models_missing"


def test_a_flipped_bit_is_refused(folder: Path, models: Path) -> None:
    for pack in packs(models):
        if not pack.present:
            continue
        copy = folder / pack.folder.name / "files" / pack.path.name
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

    monkeypatch.setattr(fetch, "_download", never)
    assert not pull(pack_for(models, DETECTION))


def test_what_is_not_the_manifests_file_is_not_stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = pack_for(folder, DETECTION)

    def forged(_: object, target: Path) -> Path:
        wheel = target / "forged.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(pack.member, b"something else")
        return wheel

    monkeypatch.setattr(fetch, "_download", forged)
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


def test_what_belongs_to_the_installation_cannot_be_fetched(folder: Path) -> None:
    pack = replace(pack_for(folder, DETECTION), source="built in")
    with pytest.raises(PackError, match="install the gateway again"):
        pull(pack)


def test_an_address_is_loaded_and_goes_on_where_it_broke_off(folder: Path, depot: tuple[str, type[Depot]]) -> None:
    address, served = depot
    served.breaks = [200_000]
    digest = hashlib.sha256(MODEL).hexdigest()
    pack = replace(pack_for(folder, VEHICLES), source=address, sha256=digest)
    seen: list[tuple[int, int]] = []
    with pytest.raises(PackError, match=r"linli model pull fastestdet.*linli model install") as failed:
        pull(pack, lambda done, total: seen.append((done, total)))
    assert failed.value.reason == "models_unreachable"
    assert not pack.present
    assert pull(pack, lambda done, total: seen.append((done, total)))
    assert served.asked == ["", "bytes=200000-"]
    assert seen[-1] == (len(MODEL), len(MODEL))
    assert pack.checked() == MODEL
    assert [path.name for path in pack.path.parent.iterdir()] == [pack.path.name]


def test_a_part_of_something_else_is_loaded_anew(folder: Path, depot: tuple[str, type[Depot]]) -> None:
    address, served = depot
    pack = replace(pack_for(folder, VEHICLES), source=address, sha256=hashlib.sha256(MODEL).hexdigest())
    pack.path.parent.mkdir()
    pack.path.with_name(f".{pack.sha256[:16]}.partial").write_bytes(b"other" * 100)
    assert pull(pack)
    assert served.asked == ["bytes=500-", ""]


def test_an_address_that_sends_something_else_stores_nothing(folder: Path, depot: tuple[str, type[Depot]]) -> None:
    pack = replace(pack_for(folder, VEHICLES), source=depot[0])
    with pytest.raises(PackError, match="nothing was stored") as failed:
        pull(pack)
    assert failed.value.reason == "models_refused"
    assert list(pack.path.parent.iterdir()) == []


def test_a_proxy_of_the_environment_is_used(
    folder: Path, depot: tuple[str, type[Depot]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", depot[0].rsplit("/", 1)[0])
    monkeypatch.setenv("no_proxy", "")
    digest = hashlib.sha256(MODEL).hexdigest()
    pack = replace(pack_for(folder, VEHICLES), source="http://models.invalid/m.onnx", sha256=digest)
    assert pull(pack)


# ----------------------------------------------------------------------------------------------------- from a file


def accepted(_: object) -> None:
    """Take any pack."""


def test_the_file_of_a_known_pack_is_installed(folder: Path, models: Path, tmp_path: Path) -> None:
    source = pack_for(models, DETECTION)
    file = Path(shutil.copy(source.path, tmp_path / "downloaded"))
    seen = []
    assert install(folder, file, seen.append).name == source.name
    assert [pack.path for pack in seen] == [file]
    assert pack_for(folder, DETECTION).checked() == source.checked()


def test_what_is_refused_is_not_installed(folder: Path, models: Path, tmp_path: Path) -> None:
    def refuse(_: object) -> None:
        raise PackError("no", "models_refused")

    file = Path(shutil.copy(pack_for(models, DETECTION).path, tmp_path / "downloaded"))
    with pytest.raises(PackError, match="no"):
        install(folder, file, refuse)
    assert not pack_for(folder, DETECTION).present


def archive(path: Path, folder: Path, **changes: bytes) -> Path:
    """A pack ``mine`` for plate reading around MODEL; ``changes`` replace or add members (dots are ``__``)."""
    manifest = (folder / "plate-reader" / "manifest.toml").read_text()
    old = pack_for(folder, READING)
    manifest = manifest.replace('"plate-reader"', '"mine"').replace(
        next(pack for pack in packs(folder) if pack.name == "plate-reader").sha256, hashlib.sha256(MODEL).hexdigest()
    )
    assert old.task == READING
    golden = (folder / "plate-reader" / "golden.jpg").read_bytes()
    members = {"manifest.toml": manifest.encode(), "golden.jpg": golden, "ch_PP-OCRv4_rec_infer.onnx": MODEL}
    members.update({name.replace("__", "."): data for name, data in changes.items()})
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(f"mine-1/{name}", data)
    return path


def test_a_pack_of_its_own_is_installed_and_replaced(folder: Path, tmp_path: Path) -> None:
    pack = install(folder, archive(tmp_path / "mine.zip", folder), accepted)
    assert (pack.name, pack.folder) == ("mine", folder / "mine")
    assert {path.stat().st_mode & 0o555 for path in (pack.folder, pack.path.parent)} == {0o555}  # the daemon is no root
    assert pack.checked() == MODEL
    assert pack.golden is not None
    again = install(folder, archive(tmp_path / "mine.zip", folder, README__md=b"more"), accepted)
    assert (again.folder / "README.md").read_bytes() == b"more"
    assert not [path for path in folder.iterdir() if path.name.startswith(".mine")]


@pytest.mark.parametrize(
    ("member", "sentence"),
    [("../../evil", "has no place"), ("sub/evil", "has no place"), ("files/deep/evil", "has no place")],
)
def test_an_archive_writes_nowhere_else(folder: Path, tmp_path: Path, member: str, sentence: str) -> None:
    file = archive(tmp_path / "mine.zip", folder)
    with zipfile.ZipFile(file, "a") as more:
        more.writestr(f"mine-1/{member}", b"x")
    with pytest.raises(PackError, match=sentence):
        install(folder, file, accepted)
    assert not (folder / "mine").exists()
    assert not (tmp_path / "evil").exists()


def test_archives_that_are_none_are_named(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.zip"
    file.write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(PackError, match=r"0 files manifest\.toml"):
        install(folder, file, accepted)
    archive(file, folder, **{"ch_PP-OCRv4_rec_infer__onnx": b"short"})
    with pytest.raises(PackError, match="SHA-256 differs"):
        install(folder, file, accepted)
    data = archive(file, folder).read_bytes()
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(PackError, match=r"no file that a pack|cannot be unpacked"):
        install(folder, file, accepted)
    for other in (tmp_path, Path("/dev/zero")):
        with pytest.raises(PackError, match="no plain file"):
            install(folder, other, accepted)
    with pytest.raises(PackError, match="No such file"):
        install(folder, tmp_path / "none", accepted)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 97])
def test_an_archive_that_does_not_unpack_is_named(folder: Path, tmp_path: Path, method: int) -> None:
    file = tmp_path / "mine.zip"
    known = zipfile.ZIP_DEFLATED if method == 97 else method
    with zipfile.ZipFile(file, "w", known) as made:
        made.writestr("manifest.toml", b"name = 1\n" * 200)
    data = bytearray(file.read_bytes())
    if method == 97:  # a way of packing that nobody here knows
        end = data.rindex(b"PK\x01\x02")
        data[8:10] = data[end + 10 : end + 12] = method.to_bytes(2, "little")
    else:
        data[43:52] = bytes(9 * [0xFF])
    file.write_bytes(data)
    with pytest.raises(PackError):
        install(folder, file, accepted)


def test_an_archive_cannot_take_a_builtin_packs_place(folder: Path, tmp_path: Path) -> None:
    (folder / "mine").mkdir()
    text = (folder / "plate-reader" / "manifest.toml").read_text()
    text = text.replace('"plate-reader"', '"mine"').replace("rapidocr==3.4.5", "built in")
    (folder / "mine" / "manifest.toml").write_text(text)
    with pytest.raises(PackError, match="another name"):
        install(folder, archive(tmp_path / "mine.zip", folder), accepted)


# ----------------------------------------------------------------------------------------------------- choices


def test_a_choice_is_kept_and_taken_back(folder: Path) -> None:
    choose(folder, READING, Choice("plate-reader", "", 3.0))
    assert choices(folder) == {READING: Choice("plate-reader", "", 3.0)}
    assert pack_for(folder, READING).name == "plate-reader"
    choose(folder, READING, None)
    assert choices(folder) == {}


@pytest.mark.parametrize("text", ["{", 100_000 * "[", "[]", '{"plate-reading": 3}', '{"plate-reading": {"name": "x"}}'])
def test_a_broken_choice_is_named(folder: Path, text: str) -> None:
    (folder / "in-use.json").write_text(text)
    with pytest.raises(PackError, match="delete it"):
        choices(folder)


def test_what_is_here_goes_before_what_is_not(folder: Path) -> None:
    own = folder / "another" / "manifest.toml"
    own.parent.mkdir()
    text = (folder / "plate-detector" / "manifest.toml").read_text()
    own.write_text(text.replace('"plate-detector"', '"another"'))
    assert pack_for(folder, DETECTION).name == "another"
    file = folder / "plate-detector" / "files" / "clp_det.onnx"
    file.parent.mkdir()
    file.write_bytes(b"")
    assert pack_for(folder, DETECTION).name == "plate-detector"
    remove(pack_for(folder, DETECTION))
    assert not file.exists()


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LINLI_MODELS", str(tmp_path))
    assert models_folder() == tmp_path
    monkeypatch.delenv("LINLI_MODELS")
    assert models_folder() == MANIFESTS


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('task = "plate-reading"', "", "task is missing"),
        ('sha256 = "48', 'sha256 = "4', "64 lower-case"),
        ('name = "plate-reader"', 'name = "../up"', "made of a-z"),
        ("bytes = 10857958", 'bytes = "many"', "invalid literal"),
        ('picture = "golden.jpg"', "", "golden.picture is missing"),
        ("[golden]", "[golden", "cannot be read"),
        ("[golden]", "x = " + 3000 * "[", "cannot be read"),
    ],
)
def test_a_broken_manifest_is_named(folder: Path, old: str, new: str, sentence: str) -> None:
    path = folder / "plate-reader" / "manifest.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PackError, match=rf"manifest\.toml: .*{sentence}"):
        packs(folder)


def test_a_broken_manifest_costs_its_own_pack_only(folder: Path) -> None:
    broken = folder / "broken"
    broken.mkdir()
    (broken / "manifest.toml").write_text("[golden", "utf-8")
    assert pack_for(folder, READING).task == READING
    with pytest.raises(PackError, match="cannot be read"):
        packs(folder)  # who looks at the packs is told


def test_a_broken_manifest_of_the_chosen_pack_is_an_error(folder: Path) -> None:
    choose(folder, READING, Choice("broken", "plate-reader"))
    broken = folder / "broken"
    broken.mkdir()
    (broken / "manifest.toml").write_text("[golden", "utf-8")
    with pytest.raises(PackError, match="cannot be read"):
        pack_for(folder, READING)


def test_every_pack_of_the_project_stands_in_the_guide_with_its_sum() -> None:
    root = Path(__file__).parents[2]
    guide = (root / "docs/models.md").read_text("utf-8")
    ours = {pack.name: pack for pack in packs(root / "models")}
    assert [name for name in ours if f"\n| `{name}`" not in guide] == []
    verifier = ours["fall-verifier"]
    assert f"version {verifier.version}, {verifier.sha256[:8]}…" in guide
