"""`linli camera test`: a verdict on one page, with what to change."""

import sys
from pathlib import Path

import click

from gateway.cli import NO_VISION, config_option
from gateway.cli.camera.chosen import choose
from gateway.cli.output import Line, Table, Tone, Word, json_option, print_json, show
from gateway.contract import LinkError

MARKS: dict[str, Word] = {"good": Word("good", "good"), "warn": Word("better", "warn"), "bad": Word("BAD", "bad")}
VERDICTS: dict[str, tuple[str, Tone]] = {
    "good": ("fit for its purpose", "good"),
    "warn": ("usable; what is marked could be better", "warn"),
    "bad": ("NOT fit: change what is marked BAD", "bad"),
}


@click.command()
@click.argument("camera")
@config_option
@click.option("--seconds", type=click.FloatRange(1, 600), default=10.0, show_default=True, help="How much to look at.")
@click.option("--picture", type=click.Path(path_type=Path), help="Write a picture with lanes and plate sizes there.")
@json_option
def test(camera: str, config: Path, seconds: float, picture: Path | None, as_json: bool) -> None:
    """Examine CAMERA and say on one page whether it is fit for its purpose.

    Let a car drive through meanwhile: the size of its plate is what counts most. The daemon may run. Exits with 1
    when something has to be changed.
    """
    chosen = choose(config, camera)
    try:
        import cv2

        from gateway.vision import checkup
    except ImportError as error:
        raise click.ClickException(NO_VISION.format(error.name)) from error
    cv2.setNumThreads(1)
    providers, views = chosen.plan.settings.vision.providers, chosen.plan.settings.gateway.state / "views"
    try:
        report = checkup.examine(chosen.settings, chosen.models, chosen.password, seconds, providers, views)
        if picture is not None and report.picture:
            picture.write_bytes(report.picture)
    except LinkError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{picture}: {error.strerror}") from error
    if as_json:
        print_json({"camera": camera, **checkup.as_json(report)})
    else:
        verdict, tone = VERDICTS[report.level]
        rows = [(check.name, MARKS[check.level], check.value, check.advice) for check in report.checks]
        lines = [Line((Word(camera, "strong"), f"({chosen.settings.purpose}):", Word(verdict, tone)))]
        show([*lines, Table(("", "", "found", "what to do"), rows)])
        if picture is not None:
            none = "no picture was written: it would show what masks are to hide"
            click.echo(f"the picture is {picture}" if report.picture else none)
    if report.level == "bad":
        sys.exit(1)
