"""`linli run`: the daemon in the foreground."""

import sys
from pathlib import Path

import click

from gateway.cli import DEFAULT_CONFIG


@click.command()
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file.",
)
def run(path: Path) -> None:
    """Run the gateway in the foreground until SIGTERM or Ctrl-C; it logs to stderr.

    Exit code 0 when it was stopped, 78 when the configuration cannot be used, 1 for anything else.
    """
    from gateway.daemon import run as run_daemon  # the other commands never need the daemon

    sys.exit(run_daemon(path))
