"""``linli demo``: the main job on a simulated community, with nothing but this machine."""

import asyncio
import sys

import click


@click.command()
@click.option("--seconds", type=click.FloatRange(min=1), help="End by itself after so many seconds of running.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the status page; a free one by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the sums as one JSON object, everything else to stderr.")
def demo(seconds: float | None, port: int, as_json: bool) -> None:
    """Show the main job live, on simulated devices: no hardware, no broker, no fixed ports.

    Real are the Modbus, the pseudo-terminal, the daemon, its store, and the platform that pulls over HTTP.
    """
    from gateway.cli.demo.play import play  # what a demo needs is loaded when there is one
    from gateway.contract import LinliError

    try:
        complete = asyncio.run(play(seconds, port, as_json))
    except LinliError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if complete else 1)
