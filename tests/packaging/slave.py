"""A simulated RTU sensor on a pseudo-terminal that the service may open; writes the terminal's name to argv[1]."""

import asyncio
import shutil
import sys
from pathlib import Path

from gateway.cli.demo.modbus import RtuSlave, Tables


async def main() -> None:
    terminal = RtuSlave({4: Tables(input={1: 184, 2: 610})}.get).start()
    offer(terminal, Path(sys.argv[1]))
    await asyncio.Event().wait()


def offer(terminal: str, place: Path) -> None:
    # A USB adapter's node belongs to this group on Debian.
    shutil.chown(terminal, "root", "dialout")
    Path(terminal).chmod(0o660)
    place.write_text(terminal)


asyncio.run(main())
