"""`linli camera report`: what a camera sees of its facade: the smallest object of each floor, and what it misses."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import config_option
from gateway.cli.camera.droptest import result_tables
from gateway.cli.camera.frame import first_frame
from gateway.cli.client import NotRunningError, Refusal, find
from gateway.cli.configured import camera_of, planned
from gateway.cli.output import Line, Table, json_option, print_json, show

if TYPE_CHECKING:
    from gateway.plan import Plan
    from gateway.vision.falling.geometry import FacadeView


@click.command()
@click.argument("camera")
@click.option("--frame", type=click.Path(path_type=Path), help="A picture or clip to use in place of the camera.")
@config_option
@json_option
def report(camera: str, frame: Path | None, config: Path, as_json: bool) -> None:
    """Say for each floor of CAMERA's facade how small a falling object may be, and whether more cameras are needed."""
    plan = planned(config)
    settings = camera_of(plan, camera)
    if settings.falling is None or settings.falling.facade is None:
        raise click.ClickException(f"camera {camera} has no facade; find it with: linli camera calibrate {camera}")
    height, width = first_frame(camera, config, frame).shape[:2]
    from gateway.vision.falling.geometry import facade_view
    from gateway.vision.falling.sized import SizedFacade

    drawn, fits = SizedFacade(settings, views_of(plan), read_only=True).brought((width, height))
    if drawn.facade is None or not fits:
        raise click.ClickException(
            f"the facade of camera {camera} was drawn in pictures of another shape than {width} x {height}: set the "
            f"camera back, or find it anew with: linli camera calibrate {camera}"
        )
    view = facade_view(drawn.facade, width, height, (*drawn.ignore, *settings.masks), drawn.short_side)
    tested, why_not = _drop_test(camera, config)
    if as_json:
        rows = [{"floor": f.floor, "smallest_cm": round(f.smallest_cm, 1), "seen": f.seen} for f in view.floors]
        told = {"floors": rows, "storey": view.storey, "distance": round(view.distance, 1), "cameras": view.cameras}
        print_json({**told, "drop_test": tested})
        return
    show(report_tables(view))
    if tested is None:
        click.echo(f"\n{why_not}")
        return
    click.echo(f"\nDrop test of {tested['time'][:16].replace('T', ' ')} by {tested['by']}:")
    show(result_tables(tested))


def _drop_test(camera: str, config: Path) -> tuple[dict[str, Any] | None, str]:
    """The camera's last drop test, which the gateway keeps; or what to do for one."""
    try:
        tested = find(config, None).ask("drop-tests")
    except NotRunningError:
        return None, "Drop test: its result is kept by the gateway, which does not run."
    except Refusal as refusal:
        return None, f"Drop test: {refusal.message}"
    return tested.get(camera), f"No drop test yet: linli camera droptest {camera}"


def views_of(plan: "Plan") -> Path:
    """Where the gateway keeps the sizes of the pictures that its facades and areas were drawn in."""
    return plan.settings.gateway.state / "views"


def report_tables(view: "FacadeView") -> "list[Table | Line]":
    """The floors from the top down, every fifth and the ends, and what follows from them."""
    count = len(view.floors)
    rows = [
        (str(one.floor), f"{one.pixels_per_metre:.1f} px/m", f"{one.smallest_cm:.0f} cm", f"{100 * one.seen:.0f} %")
        for one in reversed(view.floors)
        if one.floor in (1, count) or one.floor % 5 == 0
    ]
    blocks: list[Table | Line] = [Table(("floor", "scale", "smallest object", "watched"), rows)]
    blocks.append(Line((f"Reckoned with {view.storey:g} m from floor to floor (storey).",)))
    if view.unseen:
        blocks.append(Line((f"Not all in the picture, or ignored or masked: floors {ranges(view.unseen)}.",)))
    if view.small:
        blocks.append(
            Line((f"On floors {ranges(view.small)} only what is larger than a bottle (20 cm) is seen for sure.",))
        )
    if view.cameras == 0:
        whole = " over its whole width" if any(one.seen for one in view.floors) else ""
        blocks.append(Line((f"No floor is watched{whole}: check the corners, the areas to ignore and the masks.",)))
    elif view.cameras > 1:
        blocks.append(Line((f"For a bottle (20 cm) on every floor it takes about {view.cameras} cameras.",)))
    else:
        blocks.append(Line(("One camera is enough for a bottle (20 cm) on every floor.",)))
    return blocks


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in order, neighbours joined: 1 to 3, 7."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)
