"""Spoils bytes: blindly, or knowing where a frame's fields are and making its checksum right again."""

from __future__ import annotations

import random
from collections.abc import Callable

INTERESTING = (0x00, 0x01, 0x16, 0x68, 0x7F, 0x80, 0xFE, 0xFF, 0x0D, 0x0A, 0x2A, 0x2C, 0x3A)
LONGEST = 400
Spoil = Callable[[bytearray, random.Random, list[bytes]], None]


def _flip(data: bytearray, dice: random.Random, _pool: list[bytes]) -> None:
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _replace(data: bytearray, dice: random.Random, _pool: list[bytes]) -> None:
    for _ in range(dice.choice((1, 1, 2, 5))):
        data[dice.randrange(len(data))] = dice.choice(INTERESTING) if dice.random() < 0.5 else dice.randrange(256)


def _cut(data: bytearray, dice: random.Random, _pool: list[bytes]) -> None:
    at = dice.randrange(len(data))
    if dice.random() < 0.5:
        del data[at:]
    else:
        del data[:at]


def _delete(data: bytearray, dice: random.Random, _pool: list[bytes]) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.choice((1, 1, 2, 4, 9))]


def _insert(data: bytearray, dice: random.Random, _pool: list[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    data[at:at] = dice.randbytes(dice.choice((1, 1, 2, 3, 20)))


def _repeat(data: bytearray, dice: random.Random, _pool: list[bytes]) -> None:
    at, size = dice.randrange(len(data)), dice.choice((1, 2, 4, 16, 64))
    data[at:at] = data[at : at + size]


def _swap(data: bytearray, dice: random.Random, _pool: list[bytes]) -> None:
    one, other = dice.randrange(len(data)), dice.randrange(len(data))
    data[one], data[other] = data[other], data[one]


def _splice(data: bytearray, dice: random.Random, pool: list[bytes]) -> None:
    other = dice.choice(pool)
    data[dice.randrange(len(data)) :] = other[dice.randrange(len(other) + 1) :]


def _burst(data: bytearray, dice: random.Random, _pool: list[bytes]) -> None:
    at, size = dice.randrange(len(data)), dice.choice((2, 3, 8, 32))
    data[at : at + size] = dice.randbytes(size)


def _collide(data: bytearray, dice: random.Random, pool: list[bytes]) -> None:
    """Two senders at once: on RS-485 a 0 mostly wins."""
    other = dice.choice(pool)
    for at in range(min(len(data), len(other))):
        data[at] &= other[at]


SPOILS: tuple[Spoil, ...] = (_flip, _replace, _cut, _delete, _insert, _repeat, _swap, _splice, _burst, _collide)


def damaged(data: bytes, dice: random.Random, pool: list[bytes]) -> bytes:
    """Spoil once or a few times; the checksum stays what it was."""
    spoilt = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        if spoilt:
            dice.choice(SPOILS)(spoilt, dice, pool)
    return bytes(spoilt[:LONGEST])


def noise(dice: random.Random, pool: list[bytes]) -> bytes:
    """Bytes without sense: any, or those of true frames in any order."""
    size = dice.choice((0, 1, 2, 4, 8, 20, 60, 200))
    if dice.random() < 0.5:
        return dice.randbytes(size)
    letters = dice.choice(pool) or b"\0"
    return bytes(dice.choices(letters, k=size))


def pieces(data: bytes, dice: random.Random) -> list[bytes]:
    """Cut into what arrives at once."""
    if len(data) < 2 or dice.random() < 0.6:
        return [data] if data else []
    at = sorted(dice.randrange(1, len(data)) for _ in range(dice.choice((1, 1, 2, 4))))
    return [part for part in (data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)) if part]
