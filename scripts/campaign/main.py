"""Runs the crash campaigns and prints their table; exit code 1 when anything was lost or wrong."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from kills import campaign as kill
from report import table


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="campaign_crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how often the daemon is killed (default 20)")
    parser.add_argument(
        "--folder", type=Path, help="where to work (default: a temporary folder); kept if all is not well"
    )
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="campaign-", dir=arguments.folder))
    rows = []
    if arguments.kills:
        (folder / "kills").mkdir()
        rows.append(kill(folder / "kills", arguments.kills))
    print(table(rows))
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
