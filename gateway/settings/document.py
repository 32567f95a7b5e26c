"""One TOML file: its data, and where in it every key stands."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gateway.contract import ConfigError
from gateway.settings.syntax import explain_syntax

Keys = tuple[str | int, ...]
MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Problem:
    """Something wrong, or to be warned of, at a key of a file. Its text is ``FILE:LINE: key: sentence``."""

    document: "Document" = field(compare=False)
    keys: Keys
    sentence: str

    @property
    def line(self) -> int:
        """The line of the key, or of the table it is missing from; counted from 1."""
        return self.document.line(self.keys)

    def __str__(self) -> str:
        key = self.document.key_text(self.keys)
        return f"{self.document.path}:{self.line}: {key}{': ' if key else ''}{self.sentence}"


@dataclass(frozen=True)
class Document:
    """A TOML file that could be read.

    ``aliases`` are keys of ``data`` that the file writes differently, with what it writes.
    """

    path: Path
    text: str = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    aliases: Mapping[Keys, Keys] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Path) -> "Document":
        """Read a file; ConfigError in plain words when it cannot be read or is not TOML."""
        try:
            with path.open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"{path}:1: {_no_file(path, error)}") from None
        if len(raw) > MOST_BYTES:
            raise ConfigError(f"{path}:1: is larger than {MOST_BYTES >> 20} MiB; expected a TOML file")
        try:
            text = raw.decode().replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise ConfigError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from None
        try:
            return cls(path, text, tomllib.loads(text))
        except RecursionError:
            raise ConfigError(f"{path}:1: lists or tables are nested too deeply") from None
        except ValueError as error:
            line, sentence = explain_syntax(text, error)
            raise ConfigError(f"{path}:{line}: {sentence}") from None

    @cached_property
    def _lines(self) -> dict[Keys, int]:
        from gateway.settings.locate import locate  # a parser of its own: only loaded when there is something to say

        return locate(self.text)

    def written(self, keys: Keys) -> Keys:
        """Return a key path as the file writes it."""
        for depth in range(len(keys), 0, -1):
            if keys[:depth] in self.aliases:
                return self.aliases[keys[:depth]] + keys[depth:]
        return keys

    def line(self, keys: Keys) -> int:
        """Return the line of a key; of the nearest table around it when it is not there."""
        keys = self.written(keys)
        while keys and keys not in self._lines:
            keys = keys[:-1]
        return self._lines.get(keys, 1)

    def problem(self, keys: Keys, sentence: str) -> Problem:
        """Make a problem of this file."""
        return Problem(self, keys, sentence)

    def value(self, keys: Keys) -> Any:  # noqa: ANN401 - whatever TOML holds
        """Return what stands at a key, None when there is nothing."""
        value: Any = self.data
        for key in keys:
            there = key in value if isinstance(value, dict) else isinstance(value, list) and key in range(len(value))
            if not there:
                return None
            value = value[key]
        return value

    def key_text(self, keys: Keys) -> str:
        """Write a key path for people: tables of a list by their name, else by their number from 1."""
        parts = ""
        for depth, key in enumerate(keys):
            if isinstance(key, str):
                parts += f".{key}"
                continue
            element = self.value(keys[: depth + 1])
            name = element.get("name") if isinstance(element, dict) else None
            parts += (
                f".{name}" if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 64 else f"[{key + 1}]"
            )
        return parts.removeprefix(".")


def _no_file(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; name the configuration with -c FILE"
    if isinstance(error, PermissionError):
        return "may not be read by this user; run the command with sudo or as the user linli"
    if isinstance(error, IsADirectoryError):
        return f"is a folder; expected a file, e.g. {path / 'linli.toml'}"
    return f"cannot be read: {error.strerror}"
