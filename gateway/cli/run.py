"""`linli run`: the daemon in the foreground."""

import signal
import sys
from pathlib import Path
from types import FrameType

import click

from gateway.cli import config_option


@click.command()
@config_option
def run(config: Path) -> None:
    """Run the gateway in the foreground until SIGTERM or Ctrl-C; it logs to stderr.

    Exit code 0 when it was stopped, 78 when the configuration cannot be used, 1 for anything else.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)  # until the daemon is far enough to stop in order
    from gateway.daemon import run as run_daemon  # the other commands never need the daemon

    sys.exit(run_daemon(config))


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
