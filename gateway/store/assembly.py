"""Puts the records of a row together again: whole columns at once, since a backlog is a million of them."""

from binascii import hexlify
from functools import lru_cache
from itertools import accumulate
from struct import pack
from typing import NamedTuple

BEFORE_ID = b'{"specversion":"1.0","id":"'
AFTER_ID = b'","source":"'
TIMES = 4  # the first tokens of a record: second and millisecond of `time` and of `recordedtime`
# Bytes below 0x20 are always escaped inside JSON, so they are free to be our marks.
PIECE, SEQUENCE, SECTION, LINE, WORD = b"\x00", b"\x02", b"\x01", b"\n", b"\x03"

BEFORE_TOKENS = 3  # the id's time, its random bits and who: what comes before the tokens
HUNDRED = [b'%02d"' % number for number in range(100)]
Column = bytes | list[bytes]  # one for all records, or one for each


class _Plan(NamedTuple):
    """A template as literals with a place between each two; ``sequence_at`` is the place of the sequence."""

    literals: tuple[bytes, ...]
    sequence_at: int

    @property
    def values(self) -> int:
        """Tokens of a record besides its times."""
        return len(self.literals) - 2 - BEFORE_TOKENS - TIMES


@lru_cache(maxsize=32)
def _plan(template: bytes) -> _Plan:
    before, _, after = template.partition(SEQUENCE)
    left, right = before.split(PIECE), after.split(PIECE)
    literals = (BEFORE_ID, b"-", AFTER_ID, *left, *right)
    return _Plan((*literals[:-1], literals[-1] + LINE), BEFORE_TOKENS + len(left) - 1)


def assemble(text: bytes, random: bytes, first: int) -> bytes:
    """Write out the records that ``packing.write_text`` made ``text`` of, each with a line feed behind it.

    ``random``: 10 bytes of each id; ``first``: the first sequence.
    """
    templates, which, whos, times, values = text.split(SECTION)
    plans = [_plan(template) for template in templates.split(LINE)]
    indices = which.split(WORD)
    count = len(indices)
    moments = times.replace(LINE, WORD).split(WORD)
    columns = [_id_times(moments[:: TIMES + 1]), _id_rest(random), _filled(whos.split(LINE))]
    columns += [_filled(moments[at :: TIMES + 1]) for at in range(1, TIMES + 1)]
    sequences = _sequences(first, count)
    if len(plans) == 1:
        return _alike(plans[0], columns, sequences, values)
    return _mixed([plans[int(index)] for index in indices], columns, sequences, values.split(LINE))


def _alike(plan: _Plan, columns: list[Column], sequences: list[bytes], values: bytes) -> bytes:
    """Records of one template: a column is one slice assignment, and what is the same in all becomes literal."""
    width, count = plan.values, len(sequences)
    if width:
        tokens = values.replace(LINE, WORD).split(WORD)
        if not all(tokens):
            for at in [at for at, token in enumerate(tokens) if not token]:
                tokens[at] = tokens[at - width]
        columns += [tokens[place::width] for place in range(width)]
    columns.insert(plan.sequence_at, sequences)
    pattern: list[bytes] = []
    own: list[list[bytes]] = []
    fixed = [plan.literals[0]]
    for column, literal in zip(columns, plan.literals[1:], strict=True):
        if isinstance(column, bytes):
            fixed += (column, literal)
        else:
            pattern += (b"".join(fixed), b"")
            own.append(column)
            fixed = [literal]
    pattern.append(b"".join(fixed))
    cells = pattern * count
    for place, column in enumerate(own):
        cells[2 * place + 1 :: len(pattern)] = column
    return b"".join(cells)


def _mixed(plans: list[_Plan], columns: list[Column], sequences: list[bytes], values: list[bytes]) -> bytes:
    """Records of several templates, one after the other."""
    count = len(sequences)
    latest: dict[_Plan, list[bytes]] = {}
    cells: list[bytes] = []
    heads = zip(*([column] * count if isinstance(column, bytes) else column for column in columns), strict=True)
    for plan, head, sequence, line in zip(plans, heads, sequences, values, strict=True):
        own = line.split(WORD) if plan.values else []
        if plan in latest and b"" in own:
            own = [new or old for new, old in zip(own, latest[plan], strict=True)]
        latest[plan] = own
        places = [*head, *own]
        places.insert(plan.sequence_at, sequence)
        whole = [b""] * (2 * len(places) + 1)
        whole[::2] = plan.literals
        whole[1::2] = places
        cells += whole
    return b"".join(cells)


def _filled(column: list[bytes]) -> Column:
    """Give every empty place what stands above it; only the word itself when that fills them all."""
    if not any(column[1:]):
        return column[0]
    if not all(column):
        for at in [at for at, token in enumerate(column) if not token]:
            column[at] = column[at - 1]
    return column


def _sequences(first: int, count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        hundreds, rest = divmod(first + len(found), 100)
        start = b'"sequence":"%018d' % hundreds
        found += [start + end for end in HUNDRED[rest : rest + count - len(found)]]
    return found


def _id_times(steps: list[bytes]) -> list[bytes]:
    """Write the milliseconds of the ids, given as steps, as in a UUID: 8 and 4 digits."""
    raw = bytearray(pack(f">{len(steps)}Q", *accumulate(map(int, steps))))
    del raw[::8]
    del raw[::7]
    text = bytearray(hexlify(raw, b"-", 2))
    del text[4::15]
    text[13::14] = LINE * (len(steps) - 1)
    return bytes(text).split(LINE)


def _id_rest(random: bytes) -> list[bytes]:
    """Write the random bits of the ids as in a UUID: 4, 4 and 12 digits."""
    text = bytearray(hexlify(random, b"-", 2))
    del text[19::25]
    del text[14::24]
    text[22::23] = LINE * (len(random) // 10 - 1)
    return bytes(text).split(LINE)
