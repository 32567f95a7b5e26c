"""Model packs: their manifests, where their files lie, which one is in use, and the check of a file before use."""

import hashlib
import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.contract import LinliError

DETECTION = "plate-detection"
READING = "plate-reading"
VEHICLES = "vehicle-detection"
FACES = "face-detection"
BY_CHOICE = frozenset({FACES})  # tasks that nothing does until somebody chose it: what leaves changes with them
CHOICE = "in-use.json"  # beside the packs: which pack does which task, where somebody chose
SLOWER = 4.0  # times the CPU of the pack before that a chosen one may take
MANIFEST = "manifest.toml"
FIELDS = ("name", "task", "version", "licence", "source", "member", "sha256", "notes")
BUILT_IN = "built in"  # the source of a pack whose file comes with the gateway
MOST_BYTES = 256 << 20  # of a model: more is no model for such a machine


class PackError(LinliError):
    """A pack cannot be used; ``reason`` is ``models_missing``, ``models_refused`` or ``models_unreachable``."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Golden:
    """What a pack must give before it is used: ``expect`` for the picture (or the numbers) at ``path``."""

    path: Path | None
    numbers: tuple[float, ...]
    expect: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pack:
    """One manifest: where the model comes from, what it must hash to, where it lies (``path``), and its self-test.

    ``form`` says how its numbers are read where a task has several ways; ``optional``: nobody needs it to begin with;
    ``size`` in bytes, 0 when the manifest does not say; ``providers`` is what it runs on, first choice first.
    """

    name: str
    task: str
    version: str
    licence: str
    source: str
    member: str
    sha256: str
    path: Path
    notes: str
    form: str = ""
    optional: bool = False
    size: int = 0
    golden: Golden | None = None
    providers: tuple[str, ...] = ()

    @property
    def present(self) -> bool:
        """Whether the file is there; whether it is the right one says ``checked``."""
        return self.path.is_file()

    @property
    def folder(self) -> Path:
        """Where its manifest lies."""
        return self.path.parent.parent

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    def checked(self) -> bytes:
        """Read the model; PackError when it is missing or is not the file that the manifest names."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError as error:
            raise PackError(f"model pack {self.name} is not here; run: {self.remedy}", "models_missing") from error
        except OSError as error:
            raise PackError(f"model pack {self.name}: {self.path}: {error.strerror}", "models_missing") from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise PackError(
                f"model pack {self.name}: {self.path} is not the file of its manifest (SHA-256 differs) and is not "
                f"used; run: {self.remedy}",
                "models_refused",
            )
        return data

    @property
    def remedy(self) -> str:
        """The command that brings its file."""
        if self.source == BUILT_IN:
            return f"linli model install {self.path.name} (of the gateway's own files), or install the gateway again"
        return "linli model pull" if not self.optional else f"linli model pull {self.name}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which pack somebody chose for a task, which one it replaced, and how many times its CPU it may take."""

    name: str
    before: str
    slower: float = SLOWER


def models_folder() -> Path:
    """Find the packs: in ``LINLI_MODELS``, else a checkout's ``models``, else ``<prefix>/share/linli/models``."""
    named = os.environ.get("LINLI_MODELS")
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parents[2] / "models"
    installed = Path(sys.prefix) / "share" / "linli" / "models"
    return checkout if any(checkout.glob(f"*/{MANIFEST}")) else installed


def packs(folder: Path) -> tuple[Pack, ...]:
    """Read every manifest of the folder, by name; PackError names one that is broken."""
    return tuple(read_manifest(path) for path in sorted(folder.glob(f"*/{MANIFEST}")))


def readable_packs(folder: Path) -> tuple[Pack, ...]:
    """Read the manifests that can be read: a broken one costs its own pack, or, where it was chosen, a PackError."""
    chosen = {choice.name for choice in choices(folder).values()}
    found, faults = [], []
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            found.append(read_manifest(path))
        except PackError as error:
            if path.parent.name in chosen:
                raise
            faults.append(error)
    if faults and not found:
        raise faults[0]
    return tuple(found)


def pack_for(folder: Path, task: str) -> Pack:
    """Find the pack that does ``task``: the chosen one, else the first one that is here; PackError without any."""
    able = [pack for pack in readable_packs(folder) if pack.task == task]
    chosen = choices(folder).get(task)
    for pack in able:
        if chosen is not None and pack.name == chosen.name:
            return pack
    # What nobody needs to begin with is used where it is; else the missing one that everybody needs is to be named.
    able.sort(key=lambda pack: (not pack.present, pack.optional))
    if able:
        return able[0]
    raise PackError(f"no model pack for {task} in {folder}; install the gateway's models folder", "models_missing")


def chosen_pack(folder: Path, task: str) -> Pack | None:
    """Find the pack that was chosen for ``task``; None without a choice or its file, PackError when unreadable."""
    chosen = choices(folder).get(task)
    if chosen is None:
        return None
    named = (pack for pack in readable_packs(folder) if pack.task == task and pack.name == chosen.name)
    return next((pack for pack in named if pack.present), None)


def choices(folder: Path) -> dict[str, Choice]:
    """What was chosen with ``linli model use``, by task; PackError when the file cannot be read."""
    path = folder / CHOICE
    try:
        table = json.loads(path.read_bytes())
        return {
            str(task): Choice(str(row["name"]), str(row["before"]), float(row["slower"])) for task, row in table.items()
        }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PackError(f"{path}: {error.strerror}", "models_refused") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        sentence = f"{path} cannot be understood; delete it, then choose anew with: linli model use NAME"
        raise PackError(sentence, "models_refused") from error


def stamps(folder: Path) -> tuple[tuple[str, int], ...]:
    """What would have to change for another pack to be the one to use: the choice, and the files that are here."""
    found = []
    for path in (folder / CHOICE, *sorted(folder.glob("*/files/[!.]*"))):
        try:
            found.append((str(path), path.stat().st_mtime_ns))
        except OSError:
            continue  # not there, or gone a moment ago
    return tuple(found)


def choose(folder: Path, task: str, choice: Choice | None) -> None:
    """Note who does a task from now on (None: the default again); PackError when it cannot be written."""
    table = choices(folder)
    table.pop(task, None)
    if choice is not None:
        table[task] = choice
    rows = {one: {"name": it.name, "before": it.before, "slower": it.slower} for one, it in sorted(table.items())}
    write_whole(folder / CHOICE, json.dumps(rows, indent=1).encode() + b"\n")


def write_whole(path: Path, data: bytes) -> None:
    """Put a file there whole or not at all; PackError when that is not possible."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise PackError(
            f"cannot write {path}: {error.strerror}; run as the user who installed the gateway", "models_missing"
        ) from error


def read_manifest(path: Path) -> Pack:
    """Read one manifest; PackError says what is wrong with it."""
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
        name, task, version, licence, source, member, sha256, notes = (str(table[key]).strip() for key in FIELDS)
        pack = Pack(
            name=name,
            task=task,
            version=version,
            licence=licence,
            source=source,
            member=member,
            sha256=sha256,
            notes=notes,
            path=path.parent / "files" / Path(str(table["file"])).name,
            form=str(table.get("form", "")),
            optional=bool(table.get("optional", False)),
            size=int(table.get("bytes", 0)),
            golden=_golden(path.parent, table.get("golden")),
        )
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackError(f"{path}: cannot be read: {error}", "models_refused") from error
    except KeyError as error:
        raise PackError(f"{path}: {error.args[0]} is missing", "models_refused") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise PackError(f"{path}: {error}", "models_refused") from error
    if not re.fullmatch(r"[0-9a-f]{64}", pack.sha256):
        raise PackError(f"{path}: sha256 must be 64 lower-case hexadecimal digits", "models_refused")
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,63}", pack.name):
        raise PackError(f"{path}: name must be made of a-z, 0-9 and -", "models_refused")
    return pack


def _golden(folder: Path, table: Mapping[str, Any] | None) -> Golden | None:
    if table is None:
        return None
    picture = table.get("picture")
    numbers = tuple(float(value) for value in table.get("numbers", ()))
    if picture is None and not numbers:
        raise KeyError("golden.picture")
    return Golden(folder / Path(str(picture)).name if picture else None, numbers, dict(table["expect"]))
