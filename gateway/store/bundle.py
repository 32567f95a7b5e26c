"""A bundle of evidence: records, their files, their links and a signed list of it all; and the proof of one."""

import hashlib
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from gateway.store.chain import EvidenceError, Link, opened, peek

FORMAT = "linli-evidence-1"
# What reading a spoilt file raises, by the way in which it is packed.
UNREADABLE = (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error, lzma.LZMAError)
MANIFEST, LINKS, RECORDS, MEDIA = "manifest.json", "chain.jsonl", "records", "media"


class File(msgspec.Struct, frozen=True):
    """One picture or clip; ``missing``: it had been deleted before the bundle was made."""

    sha256: str
    suffix: str
    missing: bool = False


class Entry(msgspec.Struct, frozen=True):
    """One record of a bundle, by its link's number."""

    id: str
    link: int
    media: tuple[File, ...]


class Manifest(msgspec.Struct, frozen=True):
    """What a bundle holds, by whom it was taken out and why; ``head`` is the SHA-256 of its last link's line."""

    format: str
    gateway: str
    key: str
    exported: str
    by: str
    reason: str
    records: tuple[Entry, ...]
    head: str


class Findings(NamedTuple):
    """The outcome of a proof; without ``faults`` everything is as the gateway signed it."""

    manifest: Manifest | None
    links: int
    files: int
    faults: list[str]
    notes: list[str]


class _Place(Protocol):
    def __truediv__(self, name: str, /) -> "_Place": ...
    def is_file(self) -> bool: ...
    def is_dir(self) -> bool: ...
    def read_bytes(self) -> bytes: ...
    def iterdir(self) -> Iterator["_Place"]: ...
    @property
    def name(self) -> str: ...


def verify(path: Path, key: str | None = None) -> Findings:
    """Prove a bundle, a folder or a ZIP file of one, offline; ``key`` is the public key that is to have signed.

    EvidenceError when there is no bundle at all.
    """
    place: _Place
    names: Sequence[str] | None = None
    if path.is_dir():
        place = path
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/")]
            place = zipfile.Path(path)
        except UNREADABLE as error:
            raise EvidenceError(f"{path} is neither a folder nor a ZIP file of evidence: {error}") from error
        inner = [one for one in place.iterdir() if one.is_dir()]
        if not (place / MANIFEST).is_file() and len(inner) == 1:
            place, within = inner[0], f"{inner[0].name}/"
            names = [name[len(within) :] if name.startswith(within) else f"../{name}" for name in names]
    if not (place / MANIFEST).is_file():
        raise EvidenceError(f"{path} holds no {MANIFEST}: it is no bundle of evidence, or the list was taken away")
    return _Proof(place, key, names).run()


class _Proof:
    def __init__(self, place: _Place, key: str | None, names: Sequence[str] | None) -> None:
        """``names``: of all files, as an archive has them; without, the folder is asked."""
        self._place, self._key, self._names = place, key, names
        self._faults: list[str] = []
        self._notes: list[str] = []
        self._known = {MANIFEST, LINKS}
        self._files = 0

    def run(self) -> Findings:
        manifest = self._manifest()
        if manifest is None:
            return Findings(None, 0, 0, self._faults, self._notes)
        links = self._links(manifest)
        for entry in manifest.records:
            self._record(manifest, entry, links)
        names = Counter(self._all(self._place, "") if self._names is None else self._names)
        for name in sorted(set(names) - self._known):
            self._faults.append(f"{name}: was put in afterwards; it is no part of the evidence")
        for name in sorted(name for name in self._known if names[name] > 1):
            # Which one is shown depends on the program that unpacks.
            self._faults.append(f"{name}: is in the archive {names[name]} times, and only one can be what was signed")
        return Findings(manifest, len(links), self._files, self._faults, self._notes)

    def _manifest(self) -> Manifest | None:
        line = self._read(MANIFEST)
        try:
            claimed = msgspec.json.decode(line)["signed"]["key"] if line else ""
            manifest = msgspec.json.decode(opened(line or b"", str(claimed)), type=Manifest)
        except EvidenceError as error:
            self._faults.append(f"{MANIFEST}: {error}")
            return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
            self._faults.append(f"{MANIFEST}: it cannot be read: {error}")
            return None
        if manifest.format != FORMAT:
            self._faults.append(f"{MANIFEST}: its format is {manifest.format}, this version proves {FORMAT}")
            return None
        if self._key is not None and manifest.key != self._key.strip().lower():
            self._faults.append(f"{MANIFEST}: signed by {manifest.key}, which is not the gateway's key")
        return manifest

    def _links(self, manifest: Manifest) -> dict[int, Link]:
        data = self._read(LINKS) or b""
        found: dict[int, Link] = {}
        before: Link | None = None
        previous = ""
        for place, line in enumerate(data.splitlines(), 1):
            try:
                link = peek(line)
                link = msgspec.json.decode(opened(line, link.key), type=Link)
            except EvidenceError as error:
                self._faults.append(f"{LINKS}, line {place}: {error}")
                before = None
                previous = hashlib.sha256(line).hexdigest()
                continue
            if link.key != manifest.key:
                self._faults.append(f"{LINKS}, line {place}: signed by another key, {link.key}")
            if before is not None and (link.number != before.number + 1 or link.previous != previous):
                self._faults.append(
                    f"{LINKS}, line {place}: link {link.number} does not follow link {before.number}: a link between "
                    "them was taken out, put in or moved"
                )
            found[link.number] = before = link
            previous = hashlib.sha256(line).hexdigest()
        if data != b"".join(line + b"\n" for line in data.splitlines()):
            self._faults.append(f"{LINKS}: it is not written as the gateway writes it")
        if previous != manifest.head:
            self._faults.append(f"{LINKS}: it does not end with the link that {MANIFEST} names")
        return found

    def _record(self, manifest: Manifest, entry: Entry, links: dict[int, Link]) -> None:
        name = f"{RECORDS}/{entry.id}.json"
        self._known.add(name)
        link = links.get(entry.link)
        if link is None or link.record != entry.id:
            self._faults.append(f"{name}: link {entry.link} that vouches for it is not in {LINKS}")
        data = self._read(name)
        if data is not None and link is not None:
            if hashlib.sha256(data).hexdigest() != link.sha256:
                self._faults.append(f"{name}: the record was changed after it was signed")
            elif not data.startswith(b'{"specversion"') or f"/gateways/{manifest.gateway}/".encode() not in data:
                self._faults.append(f"{name}: the record is not of gateway {manifest.gateway}")
        if link is not None and tuple(file.sha256 for file in entry.media) != link.media:
            self._faults.append(f"{name}: {MANIFEST} names other files than its link")
        for file in entry.media:
            self._media(name, file)

    def _media(self, record: str, file: File) -> None:
        name = f"{MEDIA}/{file.sha256}.{file.suffix}"
        if file.missing:
            self._notes.append(f"{name} of {record} had been deleted before this bundle was made")
            return
        self._known.add(name)
        data = self._read(name)
        if data is not None and hashlib.sha256(data).hexdigest() != file.sha256:
            self._faults.append(f"{name}: the file was changed after it was signed")

    def _read(self, name: str) -> bytes | None:
        place = self._place
        for part in name.split("/"):
            place = place / part
        try:
            data = place.read_bytes() if place.is_file() else None
        except UNREADABLE as error:
            self._faults.append(f"{name}: it cannot be read: {error}")
            return None
        if data is None:
            self._faults.append(f"{name}: it is missing")
        else:
            self._files += 1
        return data

    def _all(self, place: _Place, prefix: str) -> Iterator[str]:
        for one in place.iterdir():
            if one.is_dir():
                yield from self._all(one, f"{prefix}{one.name}/")
            else:
                yield f"{prefix}{one.name}"
