"""What a campaign found, as rows of one table."""

from dataclasses import dataclass
from pathlib import Path

from gateway.contract import LinliError
from gateway.store.inspection import inspect


@dataclass
class Row:
    """One fault. ``lost`` committed records; ``wrong`` what consumers noticed, ``corrupt`` what the store did."""

    fault: str
    times: int
    lost: int
    wrong: list[str]
    corrupt: list[str]
    recovery: float  # s, the longest
    note: str

    @property
    def good(self) -> bool:
        """Nothing was lost and nothing was wrong."""
        return not (self.lost or self.wrong or self.corrupt)


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| fault | times | committed records lost | changed, doubled or unexplained | corrupt starts or stores |"
        " longest recovery | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = f"{row.times} | {row.lost} | {len(row.wrong)} | {len(row.corrupt)} | {row.recovery:.1f} s"
        lines.append(f"| {row.fault} | {numbers} | {row.note} |")
    return "\n".join(lines)


def is_sound(state: Path, media: bool = False) -> list[str]:
    """What `linli verify` would say against a store; nothing when it is sound."""
    try:
        return inspect(state, media=media, progress=lambda _what, _done, _total: None).findings
    except LinliError as error:
        return [str(error)]
