"""`linli write`: sets a point of a device that the configuration allows to be set."""

from pathlib import Path

import click

from gateway.cli.client import find, place
from gateway.cli.output import Line, Word, json_option, print_json, show, value

NEGATIVE = {"ignore_unknown_options": True}  # -5 is a value, no option


@click.command(context_settings=NEGATIVE)
@click.argument("device")
@click.argument("point")
@click.argument("wanted", metavar="VALUE")
@place
@json_option
def write(device: str, point: str, wanted: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Set POINT of DEVICE to VALUE: a number, true or false (on, off), or one of the point's words.

    Only points with write = true in the configuration can be set. The value is read back; exit code 1 when the device
    does not have it then. Who set what, and what was there before, becomes a record in the stream disposal.
    """
    done = find(config, state).ask("write", device=device, point=point, value=wanted, spelled=True)
    if as_json:
        print_json(done)
        return
    before, after = done["before"], done["after"]
    show([Line([Word(f"{device}.{point}", "strong"), "is now", Word(value(after), "good"), f"(was {value(before)})"])])
    if not done["stored"]:
        click.echo("The record of this waits in memory: the disk does not take it. See: linli status", err=True)
