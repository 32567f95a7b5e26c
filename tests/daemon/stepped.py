"""The real daemon on a board without a clock battery whose time a test sets: only what the kernel tells is replaced.

``LINLI_TEST_CLOCK`` names a folder: ``offset`` holds the seconds by which the wall clock is wrong, ``synced`` is there
once a time server has answered, and the board's device tree lies in it. This environment is the tests' own; the product
does not know it.
"""

import os
import sys
from pathlib import Path

from gateway.clock import SystemClock
from gateway.daemon import run


class SteppedClock(SystemClock):
    """The system's clock with a wall that is wrong by as much as a file says."""

    def __init__(self, zone: str | None) -> None:
        self.folder = Path(os.environ["LINLI_TEST_CLOCK"])
        super().__init__(zone, self.folder, (self.folder / "synced").exists)

    def wall(self) -> int:
        return super().wall() + int(float((self.folder / "offset").read_text()) * 1e9)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[3]), SteppedClock))
