"""`linli camera calibrate`: where the building stands in a camera's picture, from four corners and its floors."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import config_option
from gateway.cli.camera.chosen import choose, show_page
from gateway.cli.camera.frame import first_frame
from gateway.cli.camera.report import report_tables, views_of
from gateway.cli.client import find
from gateway.cli.configured import camera_of, planned
from gateway.cli.output import json_option, print_json, show

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from gateway.settings.camera import FacadeSettings

LEFT_OR_ABOVE = re.compile(r"-[\d.]")  # how the X of a corner outside of the picture begins


class _Cornered(click.Command):
    """Takes ``-17,1862`` for a corner, which may lie outside of the picture, and no word for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is neither an option nor a corner."""
        rest = super().parse_args(ctx, args)
        for word in ctx.params.get("corners", ()):
            if LEFT_OR_ABOVE.match(word) is None and word.startswith("-"):
                raise click.NoSuchOption(word, ctx=ctx)
        return rest


@click.command(cls=_Cornered, context_settings={"ignore_unknown_options": True})
@click.argument("camera")
@click.argument("corners", nargs=-1, metavar="[GROUND-LEFT GROUND-RIGHT ROOF-LEFT ROOF-RIGHT]")
@click.option("--floors", type=click.IntRange(1, 200), help="Floors of the building; the ground is 1.")
@click.option("--columns", type=click.IntRange(1, 100), default=1, show_default=True, help="Flats side by side.")
@click.option(
    "--storey",
    type=click.FloatRange(2, 6),
    help="Metres from one floor to the next; default: 2.9, a residential tower's.",
)
@click.option("--frame", type=click.Path(path_type=Path), help="A picture or clip to use in place of the camera.")
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Where to draw the floors; default: CAMERA-facade.jpg."
)
@config_option
@json_option
def calibrate(
    camera: str,
    corners: tuple[str, ...],
    floors: int | None,
    columns: int,
    storey: float | None,
    frame: Path | None,
    picture: Path | None,
    config: Path,
    as_json: bool,
) -> None:
    """Find the facade in CAMERA's picture by its four corners, each X,Y in pixels; they may lie outside of it.

    Without corners it prints the address of the status page where they can be clicked. With them it prints the line for
    [camera.falling] and what can be seen of each floor, and draws the floors into a picture: they must lie on the
    building's own.
    """
    if not corners:
        show_page(find(config, None), choose(config, camera), f"calibrate={camera}", as_json=as_json)
        return
    if len(corners) != 4 or floors is None:
        raise click.UsageError("give four corners, each X,Y, and --floors; or none to click them in the status page")
    settings = _facade([_corner(text) for text in corners], floors, columns, storey)
    shown = first_frame(camera, config, frame)
    import cv2

    from gateway.vision.falling.geometry import draw_floors, facade_toml, facade_view
    from gateway.vision.falling.sized import SizedFacade

    target = picture or Path(f"{camera}-facade.jpg")
    done, data = cv2.imencode(".jpg", draw_floors(shown.copy(), settings))
    try:
        target.write_bytes(data.tobytes() if done else b"")
    except OSError as error:
        raise click.ClickException(f"{target}: {error.strerror}; name another file with --picture") from error
    height, width = shown.shape[:2]
    plan = planned(config)
    known = camera_of(plan, camera)
    drawn, _ = SizedFacade(known, views_of(plan), read_only=True).brought((width, height))
    view = facade_view(settings, width, height, (*drawn.ignore, *known.masks), drawn.short_side)
    if as_json:
        rows = [{"floor": f.floor, "smallest_cm": round(f.smallest_cm, 1), "seen": f.seen} for f in view.floors]
        print_json({"toml": facade_toml(settings), "picture": str(target), "floors": rows, "cameras": view.cameras})
        return
    click.echo(f"[camera.falling]\n{facade_toml(settings)}\n")
    show(report_tables(view))
    click.echo(f"\nThe floors are drawn in {target}: they must lie on the building's own.", err=True)


def _corner(text: str) -> tuple[float, float]:
    x, _, y = text.partition(",")
    try:
        return float(x), float(y)
    except ValueError as error:
        raise click.UsageError(f"{text}: expected two numbers with a comma, such as 410,1890") from error


def _facade(corners: list[tuple[float, float]], floors: int, columns: int, storey: float | None) -> "FacadeSettings":
    from pydantic import ValidationError

    from gateway.settings.camera import FacadeSettings

    given = {"floors": floors, "columns": columns, "ground": corners[:2], "roof": corners[2:]}
    tall = {} if storey is None else {"storey": storey}
    try:
        return FacadeSettings.model_validate({**given, **tall})
    except ValidationError as error:
        raise click.UsageError("; ".join(_said(problem) for problem in error.errors())) from error


def _said(problem: "ErrorDetails") -> str:
    """What is wrong, behind the key that it is about."""
    key = getattr(problem.get("ctx", {}).get("error"), "key", "") or ".".join(map(str, problem["loc"]))
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}"
