"""Runs the crash campaigns and prints their table; exit code 1 when anything was lost or wrong."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from flips import campaign as flip
from kills import campaign as kill
from power import campaign as cut
from report import table


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="campaign_crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how often the daemon is killed (default 20)")
    parser.add_argument("--power", type=int, default=20, help="how often the power is cut (default 20)")
    parser.add_argument("--flips", type=int, default=20, help="how often bytes are flipped (default 20)")
    parser.add_argument(
        "--folder", type=Path, help="where to work (default: a temporary folder); kept if all is not well"
    )
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="campaign-", dir=arguments.folder))
    rows = []
    for name, campaign, times in (
        ("kills", kill, arguments.kills),
        ("power", cut, arguments.power),
        ("flips", flip, arguments.flips),
    ):
        if times:
            (folder / name).mkdir()
            rows.append(campaign(folder / name, times))
            print(table(rows), flush=True)  # each time: the next part may be ended before it is through
    for row in rows:
        for sentence in (row.wrong + row.corrupt)[:20]:
            print(f"{row.fault}: {sentence}", file=sys.stderr)
    if all(row.good for row in rows):
        shutil.rmtree(folder)
        return 0
    print(f"see {folder}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
