"""Finds and reads device profiles: one TOML file a model, in the folders where they may lie."""

import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.settings.devices import Profile
from gateway.settings.document import Document, Problem
from gateway.settings.load import sound, survey


def profile_folders(configuration: Path | None = None) -> tuple[Path, ...]:
    """Return where profiles lie, the first wins: beside the configuration, /etc, the installation, the checkout."""
    beside = (configuration.parent / "devices",) if configuration else ()
    return (
        *beside,
        Path("/etc/linli/devices"),
        Path(sys.prefix) / "share" / "linli" / "config" / "devices",
        Path(__file__).resolve().parents[2] / "config" / "devices",
    )


class Profiles:
    """The profiles in some folders, each read once when it is first asked for."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._read: dict[str, tuple[Profile | None, Document | None, list[Problem]]] = {}

    def names(self) -> list[str]:
        """List every profile there is."""
        return sorted({path.stem for folder in self._folders for path in folder.glob("*.toml")})

    def find(self, name: str) -> tuple[Profile | None, Document | None, list[Problem]]:
        """Return a profile, as far as it is known, its file, and what is wrong with it; KeyError when there is none.

        ConfigError when its file is not TOML at all.
        """
        if name not in self._read:
            path = next((path for folder in self._folders if _exists(path := folder / f"{name}.toml")), None)
            if path is None:
                raise KeyError(name)
            document = Document.read(path)
            found = survey(document, Profile)
            self._read[name] = found.model, found.document, [*found.slips, *found.problems]
        return self._read[name]


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that this user may not look into
        return False


def load_profile(path: Path) -> Profile:
    """Read one profile; ConfigError with every problem of the file."""
    return sound(survey(Document.read(path), Profile))
