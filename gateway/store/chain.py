"""The evidence chain: one signed link for each record with media, each naming the one before it."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.contract import LinliError

FOLDER = "evidence"
KEY = "key"
LINKS_PER_FILE = 5000
FILES_KEPT = 40  # some 120 MB at most; the oldest links go, as their records have gone long before
FIRST = "0" * 64
# What a signature is for stands before the signed bytes, so that none can be used for anything else.
PURPOSE = b"linli evidence 1\n"


class EvidenceError(LinliError):
    """Evidence cannot be written or is not what it should be."""


class Link(msgspec.Struct, frozen=True):
    """One record with media: SHA-256 of its JSON, of its files, and of the whole line of the link before.

    ``of`` is the record that a clip belongs to; ``key`` the public key (Ed25519, hexadecimal) that has signed.
    """

    number: int
    previous: str
    record: str
    of: str
    epoch: str
    stream: str
    sequence: int
    sha256: str
    media: tuple[str, ...]
    key: str


class _Line(msgspec.Struct, frozen=True):
    signed: msgspec.Raw
    signature: str


class Found(NamedTuple):
    """What of a record the chain vouches for."""

    record: str
    of: str
    epoch: str
    stream: str
    sequence: int
    sha256: str
    media: tuple[str, ...]


class Signer:
    """The gateway's Ed25519 key (RFC 8032), made at first use; ``public`` is its public half in hexadecimal."""

    def __init__(self, folder: Path) -> None:
        """Read or make ``<folder>/key``, mode 0600; EvidenceError when that cannot be done."""
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError as error:
            raise EvidenceError(
                "the extra `vision` is not installed (cryptography missing); run scripts/setup"
            ) from error
        path = folder / KEY
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            if not path.exists():
                _write_secret(path, Ed25519PrivateKey.generate().private_bytes_raw())
            self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text()))
        except OSError as error:
            raise EvidenceError(f"{path}: the key of the evidence cannot be kept: {error.strerror}") from error
        except ValueError as error:
            raise EvidenceError(f"{path} is no key of ours any more; move it away to begin with a new one") from error
        self.public = self._key.public_key().public_bytes_raw().hex()

    def seal(self, value: msgspec.Struct) -> bytes:
        """Encode and sign: one line of JSON without its line feed."""
        body = msgspec.json.encode(value)
        signature = self._key.sign(PURPOSE + body).hex()
        return msgspec.json.encode(_Line(msgspec.Raw(body), signature))


def opened(line: bytes, key: str) -> bytes:
    """Return the signed JSON of a sealed line; EvidenceError unless ``key`` has signed exactly these bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        parts = msgspec.json.decode(line, type=_Line)
        body = bytes(parts.signed)
        signature = bytes.fromhex(parts.signature)
        if msgspec.json.encode(_Line(parts.signed, signature.hex())) != line:
            raise EvidenceError("it is not written as it was signed")
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, PURPOSE + body)
    except InvalidSignature:
        raise EvidenceError("its signature is not by this key, or it was changed afterwards") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise EvidenceError(f"it cannot be read: {error}") from None
    return body


def peek(line: bytes) -> Link:
    """Read a link without believing it; EvidenceError when it is none."""
    try:
        return msgspec.json.decode(msgspec.json.decode(line, type=_Line).signed, type=Link)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvidenceError(f"it cannot be read: {error}") from None


def media_of(record: bytes) -> Found | None:
    """Return what the chain vouches for in a record's JSON; None for a record without files."""
    if b'"sha256"' not in record:
        return None
    event = msgspec.json.decode(record)
    data = event["data"]
    files = [data, *(data[name] for name in sorted(data) if isinstance(data[name], dict))]
    media = tuple(file["sha256"] for file in files if {"sha256", "bytes", "content_type"} <= file.keys())
    if not media:
        return None
    sha256 = hashlib.sha256(record).hexdigest()
    of = str(data.get("record", ""))
    return Found(event["id"], of, event["epoch"], event["stream"], int(event["sequence"]), sha256, media)


class Chain:
    """The chain of one gateway, in files of so many links; everything here blocks."""

    def __init__(self, folder: Path) -> None:
        """Open, or begin, the chain in ``folder``; EvidenceError when that cannot be done."""
        self.signer = Signer(folder)
        self._folder = folder
        self._before = FIRST
        self.last: Link | None = None
        try:
            self._recover()
        except OSError as error:
            raise EvidenceError(f"{folder}: the evidence cannot be read: {error.strerror}") from error

    def _recover(self) -> None:
        """Find the end; a line that the power cut in two is taken away."""
        for path in reversed(chain_files(self._folder)):
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                os.truncate(path, len(whole))
            if whole:
                line = whole[:-1].rpartition(b"\n")[2]
                self.last, self._before = peek(line), hashlib.sha256(line).hexdigest()
                return

    @property
    def head(self) -> str:
        """SHA-256 of the last link's line."""
        return self._before

    def append(self, records: Sequence[Found]) -> None:
        """Add a link for each record and have them on disk; OSError when the disk does not take them."""
        number = self.last.number if self.last else 0
        before, lines = self._before, []
        for found in records:
            number += 1
            link = Link(number=number, previous=before, key=self.signer.public, **found._asdict())
            line = self.signer.seal(link)
            before = hashlib.sha256(line).hexdigest()
            lines.append((link, line))
        for first in {self._file(link.number): None for link, _ in lines}:
            with first.open("ab") as file:
                file.writelines(line + b"\n" for link, line in lines if self._file(link.number) == first)
                file.flush()
                os.fsync(file.fileno())
        if lines:
            self.last, self._before = lines[-1][0], before
        for old in chain_files(self._folder)[:-FILES_KEPT]:
            old.unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        first = (number - 1) // LINKS_PER_FILE * LINKS_PER_FILE + 1
        return self._folder / f"chain-{first:012d}.jsonl"

    def around(self, records: Iterable[str]) -> list[bytes]:
        """Return the lines from the first to the last link of these records, and of clips that belong to them."""
        wanted = {record.encode() for record in records}
        lines: list[bytes] = []
        upto = 0
        for line in self._lines():
            if any(one in line for one in wanted):
                link = peek(line)
                if wanted & {link.record.encode(), link.of.encode()}:
                    lines.append(line)
                    upto = len(lines)
                    continue
            if upto:
                lines.append(line)
        return lines[:upto]

    def _lines(self) -> Iterator[bytes]:
        for path in chain_files(self._folder):
            with path.open("rb") as file:
                for line in file:
                    yield line.rstrip(b"\n")


def chain_files(folder: Path) -> list[Path]:
    """The chain's files, oldest first."""
    return sorted(folder.glob("chain-*.jsonl"))


def _write_secret(path: Path, key: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex())
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
