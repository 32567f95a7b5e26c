"""Shares with their bounds, and names for states of files."""

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path


def digest(paths: Iterable[Path]) -> str:
    """Names a state of files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]


def share(right: int, whole: int) -> str:
    """A share with its 95 % interval after Wilson."""
    if not whole:
        return "none"
    z, part = 1.96, right / whole
    middle = (part + z * z / (2 * whole)) / (1 + z * z / whole)
    reach = z * math.sqrt(part * (1 - part) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return f"{right}/{whole} = {part:.1%} ({max(0.0, middle - reach):.1%} to {min(1.0, middle + reach):.1%})"


def upper(wrong: int, whole: int) -> float:
    """The upper 95 % bound of a rate, one-sided, exact (Clopper and Pearson) by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        below = sum(math.comb(whole, k) * rate**k * (1 - rate) ** (whole - k) for k in range(wrong + 1))
        low, high = (rate, high) if below > 0.05 else (low, rate)
    return high
