"""Evidence under a legal hold: whole bundles beside the chain, which no age, quota or erasure takes until released."""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.contract import LinliError
from gateway.store.bundle import MANIFEST, MEDIA, RECORDS, Manifest

FOLDER = "held"
UNFINISHED, REPLACED, RELEASED = ".new", ".old", ".gone"


class NoRoomError(LinliError):
    """What is held would be more than may be."""


class Case(NamedTuple):
    """One record under hold: by whom, why, since when (RFC 3339), and the bytes of its bundle."""

    record: str
    by: str
    reason: str
    since: str
    bytes: int


class Held:
    """The held bundles of one gateway, a folder a record, each as ``linli evidence export`` makes it.

    Everything here blocks; OSError when the disk does not do it. One thing is done at a time, whoever asks for it.
    """

    _turn = threading.RLock()  # of all instances: several parts of the gateway ask for the same folder

    def __init__(self, folder: Path, most: int = 0) -> None:
        """``folder`` is that of the evidence; together they may take ``most`` bytes."""
        self._folder, self._most = folder / FOLDER, most

    def place(self, record: str) -> Path:
        """Where the bundle of a record lies."""
        return self._folder / record

    def keep(self, record: str, files: Mapping[str, bytes], media: Mapping[str, Path]) -> int:
        """Put a record's bundle there, in place of an older one; its bytes. NoRoomError when it is too much.

        ``files`` by their name in the bundle, ``media`` by the name of the file; where that is on the same disk it
        takes no further room until the store gives it up.
        """
        with self._turn:
            return self._keep(record, files, media)

    def _keep(self, record: str, files: Mapping[str, bytes], media: Mapping[str, Path]) -> int:
        size = sum(map(len, files.values())) + sum(path.stat().st_size for path in media.values())
        others = sum(case.bytes for case in self.cases() if case.record != record)
        if others + size > self._most:
            raise NoRoomError(
                f"what is held takes {others} bytes of {self._most} (a quarter of [store] media), and this would add "
                f"{size}: take older cases out with linli evidence export, then release them"
            )
        place = self.place(record)
        fresh = place.with_suffix(UNFINISHED)
        shutil.rmtree(fresh, ignore_errors=True)
        for name in (RECORDS, MEDIA):
            (fresh / name).mkdir(mode=0o750, parents=True)
        for name, data in files.items():
            _write(fresh / name, data)
        for name, path in media.items():
            try:
                os.link(path, fresh / MEDIA / name)
            except OSError:
                shutil.copyfile(path, fresh / MEDIA / name)
        replaced = place.with_suffix(REPLACED)
        if place.exists():
            place.rename(replaced)
        fresh.rename(place)
        shutil.rmtree(replaced, ignore_errors=True)
        return size

    def recover(self) -> None:
        """Finish what a power cut broke off, before anything else is asked: what was held still is, and no more."""
        with self._turn:
            for replaced in self._folder.glob(f"*{REPLACED}"):
                if not replaced.with_suffix("").exists():
                    replaced.rename(replaced.with_suffix(""))
            for suffix in (UNFINISHED, REPLACED, RELEASED):
                for left in self._folder.glob(f"*{suffix}"):
                    shutil.rmtree(left)

    def release(self, record: str) -> int:
        """Delete a record's bundle; its bytes. KeyError when there is none."""
        with self._turn:
            found = [case for case in self._cases() if case.record == record]
            if not found:
                raise KeyError(record)
            gone = self.place(record).with_suffix(RELEASED)
            shutil.rmtree(gone, ignore_errors=True)
            self.place(record).rename(gone)
            shutil.rmtree(gone)
            return found[0].bytes

    def cases(self) -> list[Case]:
        """All that is held, oldest first; what a power cut left half made is none."""
        with self._turn:
            return sorted(self._cases(), key=lambda case: case.since)

    def _cases(self) -> Iterator[Case]:
        for place in self._bundles():
            try:
                manifest = msgspec.json.decode((place / MANIFEST).read_bytes(), type=_Sealed).signed
                size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
                continue
            yield Case(place.name, manifest.by, manifest.reason, manifest.exported, size)

    def texts(self, record: str) -> list[str]:
        """The JSON of what is held of a record."""
        with self._turn:
            return [path.read_text(encoding="utf-8") for path in (self.place(record) / RECORDS).glob("*.json")]

    def media(self, record: str) -> dict[str, Path]:
        """The files that are held of a record, by SHA-256."""
        return {path.stem: path for path in (self.place(record) / MEDIA).glob("*")}

    def naming(self, plate: str) -> list[str]:
        """The held records that say a plate."""
        needle = plate.encode()
        with self._turn:
            return sorted(
                place.name
                for place in self._bundles()
                if any(needle in path.read_bytes() for path in (place / RECORDS).glob("*.json"))
            )

    def _bundles(self) -> Iterator[Path]:
        return (path.parent for path in self._folder.glob(f"*/{MANIFEST}") if not path.parent.suffix)


class _Sealed(msgspec.Struct):
    signed: Manifest


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
