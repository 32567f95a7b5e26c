"""`linli simulate`: serves every device of a configuration on this machine, so that a site can be rehearsed."""

import sys
from pathlib import Path

import click

from gateway.cli.configured import EXIT_CONFIG
from gateway.contract import ConfigError, LinkError


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("-c", "--config", type=click.Path(path_type=Path), help="The configuration file, instead of FILE.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the configuration of the rehearsal is written.")
@click.option("--ports", type=click.Path(path_type=Path), help="Folder of the links to the serial ports.")
@click.option("--script", type=click.Path(path_type=Path), help="TOML that moves values and makes faults.")
@click.option("--seed", type=int, help="Another number gives other values.")
@click.option("--pace", type=click.Choice(["real", "free"]), default="real", show_default=True,
              help="Let bytes take their time on serial lines, or none.")  # fmt: skip
@click.option("--turnaround", default="5ms", show_default=True, help="Time before an answer, on serial lines.")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so long.")
@click.option("--log", type=click.Path(path_type=Path), help="Write every answer's values there, one JSON a line.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object when ready, one at the end.")
def simulate(
    file: Path | None,
    config: Path | None,
    out: Path | None,
    ports: Path | None,
    script: Path | None,
    seed: int | None,
    pace: str,
    turnaround: str,
    seconds: float | None,
    log: Path | None,
    as_json: bool,
) -> None:
    """Serve all devices of a configuration on pseudo-terminals and local sockets, until Ctrl-C.

    A second configuration is written beside FILE that leads its lines there: run the gateway with it. SIGHUP reads
    the script again and plays it from its beginning.
    """
    if (file is None) == (config is None):
        raise click.UsageError("Name one configuration: linli simulate FILE")
    path = file or config or Path()
    from gateway.cli.simulate.show import Wishes, run  # only now: `linli --help` must be quick

    wishes = Wishes(
        path=path,
        out=out or path.with_name(f"{path.stem}.rehearsal.toml"),
        ports=ports,
        script=script,
        seed=seed,
        real=pace == "real",
        turnaround=_duration(turnaround),
        seconds=seconds,
        log=log,
        as_json=as_json,
    )
    try:
        run(wishes)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(EXIT_CONFIG)
    except LinkError as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def _duration(text: str) -> float:
    from gateway.settings.base import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--turnaround") from None
