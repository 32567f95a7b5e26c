"""Sums up what the detector made of many clips: recall by size and contrast, silence, floors, delay; all synthetic."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

BINS = ((2.0, 3.0), (3.0, 4.0), (4.0, 6.0), (6.0, 9.0), (9.0, 16.5))
CONTRASTS = ((10.0, 30.0), (30.0, 81.0))
SINKING, LOW = 6.5, 4  # m/s at most, and the floor up to which a fall is short
VISIBLE = 8  # frames: a fall seen in fewer cannot be told by its eighth
IN_TIME = 1.0  # seconds after that in which the alarm is wanted
FELL = (
    2.5  # metres by which a fall has come down from where it was first: what is thrown upwards, or out, rises at first
)
Row = dict[str, Any]


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if not of:
        return 0.0, 1.0
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def most(count: int, hours: float) -> float:
    """The upper end of the 95 % interval (one-sided, Poisson) of events an hour."""
    if hours <= 0:
        return math.inf
    low, high = 0.0, 10.0 + 4.0 * count
    for _ in range(60):
        mean = (low + high) / 2
        under = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(count + 1))
        low, high = (mean, high) if under > 0.05 else (low, mean)
    return high / hours


def share(hits: int, of: int) -> str:
    """A share with its interval, as text."""
    if not of:
        return "none"
    low, high = wilson(hits, of)
    return f"{hits}/{of} = {100 * hits / of:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def recall(falls: Sequence[Row]) -> list[str]:
    """Recall by size bin and contrast."""
    lines = ["recall (synthetic)       contrast 10 to 30                      contrast 30 to 80"]
    for low, high in BINS:
        cells = []
        for dim, bright in CONTRASTS:
            chosen = [fall for fall in falls if low <= fall["size"] < high and dim <= fall["contrast"] < bright]
            cells.append(share(sum(fall["sure"] > 0 for fall in chosen), len(chosen)))
        lines.append(f"  {low:4.1f} to {high:4.1f} px       {cells[0]:38} {cells[1]}")
    return lines + promised(falls)


def promised(falls: Sequence[Row]) -> list[str]:
    """Recall of what is promised to be seen."""
    lines = []
    for name, low in (("from 4 px, contrast from 30", 4.0), ("3 to 4 px, contrast from 30", 3.0)):
        chosen = [f for f in falls if f["contrast"] >= 30 and f["size"] >= low and (low >= 4 or f["size"] < 4)]
        lines.append(f"  {name}: {share(sum(fall['sure'] > 0 for fall in chosen), len(chosen))}")
    return lines


def floors(falls: Iterable[Row]) -> list[str]:
    """How well the floor of the release is told."""
    told = [fall for fall in falls if fall.get("told_floor") is not None]
    if not told:
        return ["floors (synthetic): none told"]
    exact = sum(fall["told_floor"] == fall["floor"] for fall in told)
    near = sum(abs(fall["told_floor"] - fall["floor"]) <= 1 for fall in told)
    covered = sum(fall["interval"][0] <= fall["floor"] <= fall["interval"][1] for fall in told)
    width = sum(fall["interval"][1] - fall["interval"][0] + 1 for fall in told) / len(told)
    column = sum(fall["told_column"] == fall["column"] for fall in told)
    return [
        f"floor exact (synthetic): {share(exact, len(told))}",
        f"floor within one (synthetic): {share(near, len(told))}",
        f"90 % interval covers (synthetic): {share(covered, len(told))}, mean width {width:.2f} floors",
        f"column exact (synthetic): {share(column, len(told))}",
    ]


def sizes(falls: Iterable[Row]) -> list[str]:
    """How large what fell is told, in parts of how large it is; rows of earlier days lack it."""
    lines = []
    for unit, told, true in (("px", "told_px", "size"), ("cm", "told_cm", "size_cm")):
        parts = sorted(fall[told] / fall[true] for fall in falls if fall.get(told) is not None)
        if not parts:
            lines.append(f"size told / true, {unit} (synthetic): none told")
            continue
        low, middle, high = (parts[int(share * len(parts))] for share in (0.1, 0.5, 0.9))
        lines.append(
            f"size told / true, {unit} (synthetic): median {middle:.2f}, middle 80 % {low:.2f} to {high:.2f}, "
            f"of {len(parts)}"
        )
    return lines


def delays(falls: Iterable[Row]) -> list[str]:
    """Seconds from the eighth visible frame to the alarm."""
    late = sorted(fall["delay"] for fall in falls if fall.get("delay") is not None)
    if not late:
        return ["delay (synthetic): none"]
    middle, ninety = late[len(late) // 2], late[int(0.9 * len(late))]
    soon = sum(delay <= IN_TIME for delay in late)
    return [
        f"alarm after the eighth visible frame (synthetic): median {middle:.2f} s, 90 % within {ninety:.2f} s, "
        f"worst {late[-1]:.2f} s; within {IN_TIME:g} s: {share(soon, len(late))}"
    ]


def weak(falls: Sequence[Row]) -> list[str]:
    """What the falls have in common that are missed though promised, told late, or told from a wrong floor."""
    missed = [fall for fall in falls if fall["sure"] <= 0 and fall["size"] >= 4 and fall["contrast"] >= 30]
    sinking = [fall for fall in missed if fall["terminal"] <= SINKING]
    low = [fall for fall in missed if fall["terminal"] > SINKING and fall["floor"] <= LOW]
    late = [fall for fall in falls if fall.get("delay", 0.0) > IN_TIME]
    high = [fall for fall in late if fall["fell"] < FELL]
    hard = [fall for fall in late if fall["size"] < 4 or fall["contrast"] < 30]
    wrong = [fall for fall in falls if abs(fall.get("told_floor", fall["floor"]) - fall["floor"]) > 1]
    small = [fall for fall in wrong if fall["size"] < 4]
    return [
        f"missed from 4 px, contrast from 30 (synthetic): {len(missed)}; {len(sinking)} never fall faster than "
        f"{SINKING:g} m/s, {len(low)} others come from floor 2 to {LOW}",
        f"alarm later than {IN_TIME:g} s (synthetic): {len(late)}, of these below 4 px or contrast 30: {len(hard)}; "
        f"{len(high)} had come down less than {FELL:g} m in the picture by then",
        f"floor wrong by more than one (synthetic): {len(wrong)}, of these below 4 px: {len(small)}",
    ]


def silence(clips: Sequence[Row], name: str) -> list[str]:
    """False alarms an hour, all together and by what disturbs."""
    kinds: dict[str, list[float]] = {}
    for clip in clips:
        kind = "calm" if not clip["kinds"] else clip["kinds"][0] if len(clip["kinds"]) == 1 else "two kinds"
        row = kinds.setdefault(kind, [0, 0.0])
        row[0] += len(clip["false"])
        row[1] += clip["seconds"] / 3600
    hours = sum(row[1] for row in kinds.values())
    count = int(sum(row[0] for row in kinds.values()))
    lines = [
        f"false alarms (synthetic, birds and insects counted), {name}: {count} in {hours:.2f} camera-hours"
        f" = {count / max(1e-9, hours):.2f} an hour, below {most(count, hours):.2f} at 95 %"
    ]
    for kind, row in sorted(kinds.items(), key=lambda entry: -entry[1][0]):
        lines.append(f"  {kind:12} {int(row[0]):3} in {row[1] * 60:.1f} minutes")
    return lines
