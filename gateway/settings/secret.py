"""Reads secrets: files named by a ``*_file`` key, or systemd credentials."""

import os
import stat
from pathlib import Path

from gateway.contract import ConfigError

MOST_BYTES = 64 << 10


def secret_path(path: Path) -> Path:
    """Return where a secret lies: a bare name is looked up among systemd's credentials first (systemd.exec(5))."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if len(path.parts) == 1 and folder:
        credential = Path(folder) / path
        if credential.exists():
            return credential
    return path


def read_secret(path: Path) -> str:
    """Read a secret without the line end behind it; ConfigError when it is missing, empty or no text."""
    place = secret_path(path)
    try:
        with place.open("rb") as file:
            raw = file.read(MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: the secret cannot be read: {error.strerror}") from None
    try:
        secret = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the secret is not UTF-8 text") from None
    if not secret:
        raise ConfigError(f"{path}: the file of the secret is empty; write the secret into it")
    return secret


def unreadable(path: Path, *, credential: bool = False) -> str | None:
    """Say why a file cannot be read, or None. ``credential``: it may be the bare name of one of systemd's."""
    place = secret_path(path) if credential else path
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        return f"there is no file {path}; put it there"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if stat.S_ISDIR(mode):
        return f"{path} is a folder; name a file"
    # Not opened: a named pipe would wait for its writer.
    return None if os.access(place, os.R_OK) else f"{path} may not be read by this user; let the user linli read it"


def is_public(path: Path) -> bool:
    """Whether every user of this machine can read a secret."""
    try:
        return bool(secret_path(path).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
