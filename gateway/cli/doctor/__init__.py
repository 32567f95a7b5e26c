"""`linli doctor`: examines this machine and its surroundings, whether the gateway runs or not; changes nothing."""

import sys
from pathlib import Path

import click

from gateway.cli.client import place
from gateway.cli.output import json_option, print_json, show


@click.command()
@click.argument("topics", metavar="[TOPIC]...", nargs=-1)
@place
@json_option
def doctor(topics: tuple[str, ...], config: Path | None, state: Path | None, as_json: bool) -> None:
    """Examine this machine and its surroundings, whether the gateway runs or not.

    Prints what is wrong, what to look at, what could not be seen (some of it needs sudo) and what is ok, each with
    where and what to do. TOPIC, such as disk or network, narrows it. Nothing is changed, no device is asked, no serial
    port is opened; uplinks and cameras are connected to, and the speed of the disk is tried with a nameless file.

    Exit status 0: nothing is wrong (something may be to look at). 1: something is wrong.
    """
    from gateway.cli.doctor.examine import all_topics, examine
    from gateway.cli.doctor.machine import meet
    from gateway.cli.doctor.report import as_blocks, as_data, is_well

    known = all_topics()
    strange = [topic for topic in topics if topic not in known]
    if strange:
        raise click.UsageError(f'there is no topic "{strange[0]}"; there are: {", ".join(known)}')
    progress = _Progress(sys.stderr.isatty() and not as_json)
    try:
        progress("configuration and daemon")
        machine = meet(config, state)
        found = examine(machine, {name: known[name] for name in topics or known}, progress)
    finally:
        progress.clear()
    if as_json:
        print_json(as_data(machine, found))
    else:
        show(as_blocks(machine, found))
    sys.exit(0 if is_well(found) else 1)


class _Progress:
    """One line on a terminal that says what is being looked at."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown

    def __call__(self, what: str) -> None:
        if self._shown:
            click.echo(f"\r\x1b[Klooking at: {what} …", nl=False, err=True)

    def clear(self) -> None:
        """Leave no trace."""
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)
