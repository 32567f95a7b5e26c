"""How the JSON of records becomes the payload of a row and comes back, byte for byte.

Most of a record's bytes are known before it arrives: envelope, names of points, units. Zstandard alone finds that out
again for every commit, so the records of a row are first taken apart into a template (what they share) and tokens
(numbers and times), and compressed against a dictionary of what came before. Random bits of ids stay outside.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import zstandard

from gateway.contract import LinliError
from gateway.store.assembly import AFTER_ID, BEFORE_ID, LINE, PIECE, SECTION, SEQUENCE, TIMES, WORD, assemble

PLAIN, SPLIT = 0, 1
HEAD = struct.Struct("<IBH")  # checksum, format, number of records
LEVEL = 12
LEARN_RECORDS = 512  # seen before a dictionary is made of them
STALE_MISSES = 512  # records with unknown words before a new one is made...
STALE_AFTER = 16_384  # ... but no sooner than so many records
SAMPLE_BYTES = 192 << 10
DICTIONARY_BYTES = 64 << 10

# A plate in a dictionary could not be erased: every row that needs the dictionary would have to be written anew.
PERSONAL = b'"type":"linli.vehicle.'
BEFORE_TIME = b'","time":"'
ID_AT = len(BEFORE_ID)
ID_END = ID_AT + 36
WHO_AT = ID_END + len(AFTER_ID)
TOKEN = re.compile(
    rb"((?<=\")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?=\.)"  # the second of a time
    rb"|(?<=\d\.)\d{3}(?=[Z+-])"  # its millisecond
    rb"|(?<=[:,\[])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?=[,}\]]))"  # a number
)


class DamagedError(LinliError):
    """Stored bytes are not what was written."""


class Parts(NamedTuple):
    """One record taken apart: id as time and random bits, who it is about, what it shares, what is its own."""

    milliseconds: int
    random: bytes
    who: bytes
    template: bytes
    tokens: list[bytes]


def take_apart(json: bytes, sequence: int) -> Parts | None:
    """Split a record's JSON; None when it does not look as ours do (it is then stored whole)."""
    number = b'"sequence":"%020d"' % sequence
    id_text = json[ID_AT:ID_END]
    who_end = json.find(BEFORE_TIME, WHO_AT)
    at = json.find(number, who_end)
    if who_end < 0 or at < 0 or json[:ID_AT] != BEFORE_ID or json[ID_END:WHO_AT] != AFTER_ID:
        return None
    try:
        identity = bytes.fromhex(id_text.decode("ascii").replace("-", ""))
    except ValueError:
        return None
    if len(identity) != 16 or _id_text(identity) != id_text:
        return None
    rest = json[who_end:at] + SEQUENCE + json[at + len(number) :]
    pieces = TOKEN.split(rest)
    tokens = pieces[1::2]
    if len(tokens) < TIMES:
        return None
    return Parts(
        int.from_bytes(identity[:6], "big"), identity[6:], json[WHO_AT:who_end], PIECE.join(pieces[::2]), tokens
    )


def _id_text(identity: bytes) -> bytes:
    text = identity.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode("ascii")


def write_text(parts: Sequence[Parts]) -> bytes:
    """Write records taken apart as one text; a token like its predecessor's is left empty."""
    templates: dict[bytes, int] = {}
    latest: dict[int, list[bytes]] = {}
    which, whos, times, values = [], [], [], []
    time_before: list[bytes] = [b""] * TIMES
    who_before, id_before = b"", 0
    for part in parts:
        index = templates.setdefault(part.template, len(templates))
        before = latest.get(index, part.tokens[:0])
        which.append(b"%d" % index)
        whos.append(b"" if part.who == who_before else part.who)
        head = [b"" if new == old else new for new, old in zip(part.tokens, time_before, strict=False)]
        times.append(b"%d" % (part.milliseconds - id_before) + WORD + WORD.join(head))
        if before:
            tail = [b"" if new == old else new for new, old in zip(part.tokens[TIMES:], before, strict=True)]
        else:
            tail = part.tokens[TIMES:]
        values.append(WORD.join(tail))
        time_before, who_before, id_before = part.tokens[:TIMES], part.who, part.milliseconds
        latest[index] = part.tokens[TIMES:]
    sections = (LINE.join(templates), WORD.join(which), LINE.join(whos), LINE.join(times), LINE.join(values))
    return SECTION.join(sections)


class Dictionary:
    """What earlier records looked like, ready to compress and to decompress against. ``number`` 0 is the empty one."""

    def __init__(self, number: int, content: bytes) -> None:
        self.number = number
        self.content = content
        data = zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if content else None
        self.compress = zstandard.ZstdCompressor(
            level=LEVEL, dict_data=data, write_content_size=True, write_checksum=False, write_dict_id=False
        ).compress
        self.decompress = zstandard.ZstdDecompressor(dict_data=data).decompress
        sections = content.split(SECTION)
        self.words = frozenset(sections[0].split(LINE) + sections[2].split(LINE)) if content else frozenset()


EMPTY = Dictionary(0, b"")
_SAVE = zstandard.ZstdCompressor(level=9, write_checksum=True)


def save_dictionary(content: bytes) -> bytes:
    """Compress a dictionary's content for keeping."""
    return _SAVE.compress(content)


def load_dictionary(number: int, saved: bytes) -> Dictionary:
    """Make a dictionary of what was kept; DamagedError when it is not what was saved."""
    if not isinstance(saved, bytes):
        raise DamagedError(f"dictionary {number} is damaged: it has no content")
    try:
        return Dictionary(number, EMPTY.decompress(saved))
    except zstandard.ZstdError as error:
        raise DamagedError(f"dictionary {number} is damaged: {error}") from error


class Packer:
    """Packs rows of one stream and learns the dictionary; lives in the writer thread."""

    def __init__(self, dictionary: Dictionary = EMPTY) -> None:
        self.dictionary = dictionary
        self._samples: dict[bytes, Parts] = {}
        self._sampled = 0
        self._seen = 0
        self._missed = 0

    def pack(self, records: Sequence[bytes], first: int) -> bytes:
        """Turn the JSON of consecutive records into a payload."""
        parts: list[Parts] = []
        number = self.dictionary.number
        for offset, json in enumerate(records):
            part = take_apart(json, first + offset)
            if part is None:
                return _seal(first, number, PLAIN, len(records), EMPTY.compress(LINE.join(records)))
            parts.append(part)
        self._learn(parts, sum(map(len, records)))
        random = b"".join(part.random for part in parts)
        return _seal(first, number, SPLIT, len(records), random + self.dictionary.compress(write_text(parts)))

    def _learn(self, parts: Iterable[Parts], size: int) -> None:
        known = self.dictionary.words
        for part in parts:
            self._seen += 1
            if part.template not in known or part.who not in known:
                self._missed += 1
        if self.dictionary.number and (self._missed < STALE_MISSES or self._seen < STALE_AFTER):
            return
        for part in parts:
            self._sampled += 1
            if PERSONAL in part.who:
                continue
            if len(self._samples) * size < SAMPLE_BYTES * max(1, self._sampled):
                self._samples[part.who] = part

    def lesson(self) -> bytes | None:
        """Return the content of a better dictionary, once enough was seen to make one; then start to learn anew."""
        if self._sampled < LEARN_RECORDS:
            return None
        content = write_text(list(self._samples.values())) if self._samples else b""
        self._samples, self._sampled, self._seen, self._missed = {}, 0, 0, 0
        return content if 0 < len(content) <= DICTIONARY_BYTES else None


def _seal(first: int, number: int, form: int, count: int, body: bytes) -> bytes:
    rest = HEAD.pack(0, form, count)[4:] + body
    return _checksum(first, number, rest).to_bytes(4, "little") + rest


def _checksum(first: int, number: int, rest: bytes) -> int:
    """CRC-32 over all that reading depends on: the row's place and its dictionary too."""
    return zlib.crc32(rest, zlib.crc32(b"%d %d" % (first, number)))


def unpack(payload: bytes, first: int, number: int, dictionary: Callable[[int], Dictionary]) -> list[bytes]:
    """Turn a payload back into its records' JSON; as ``unpack_lines``."""
    return unpack_lines(payload, first, number, dictionary)[:-1].split(LINE)


def unpack_lines(payload: bytes, first: int, number: int, dictionary: Callable[[int], Dictionary]) -> bytes:
    """Turn a payload back into its records' JSON, each with a line feed behind it.

    ``number`` is the row's dictionary; ``dictionary`` finds one by number, the empty one for 0. DamagedError when the
    payload is not what was written.
    """
    form, random, body = _opened(payload, first, number, dictionary)
    return body + LINE if form == PLAIN else assemble(body, random, first)


def mentions(word: bytes, payload: bytes, first: int, number: int, dictionary: Dictionary) -> bool:
    """Whether a row's records may have ``word``, of their types or sources, in them: a look that costs little."""
    return word in _opened(payload, first, number, lambda _: dictionary)[2]


def _opened(
    payload: bytes, first: int, number: int, dictionary: Callable[[int], Dictionary]
) -> tuple[int, bytes, bytes]:
    """The form, the random bits of ids, and what was compressed."""
    if not isinstance(payload, bytes):  # a flipped bit in a row's header gives it another type
        raise DamagedError(f"the row at record {first} has no payload")
    checksum, form, count = HEAD.unpack_from(payload) if len(payload) >= HEAD.size else (0, 0, 0)
    if count == 0 or _checksum(first, number, payload[4:]) != checksum:
        raise DamagedError(f"the row at record {first} does not have the checksum it was written with")
    if form == PLAIN:
        return form, b"", EMPTY.decompress(payload[HEAD.size :])
    body = HEAD.size + 10 * count
    return form, payload[HEAD.size : body], dictionary(number).decompress(payload[body:])
