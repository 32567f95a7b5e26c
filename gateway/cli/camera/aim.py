"""`linli camera aim`: the live view while a camera is turned, in a browser or as a file written again and again."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gateway.cli import DEFAULT_CONFIG, NO_VISION
from gateway.cli.camera.chosen import choose, show_page
from gateway.cli.client import Daemon, find, place
from gateway.cli.output import json_option, print_json
from gateway.clock import SystemClock
from gateway.contract import LinkError
from gateway.vision.address import is_stream

ADVICE = {
    "outside": "a lane line or mask lies outside the picture: draw it anew",
    "dark": "too dark: add light",
    "burnt": "parts are burnt out: turn it away from sky and lamps, or shorten the exposure",
    "soft": "blurred: focus on where the plates will be, clean the lens",
    "none": "no plate in view: let a car drive through",
    "small": "the plate is too small to read: zoom in or move closer",
    "narrow": "the plate is just large enough: zoom in a little",
    "tilted": "the plate is tilted: level the camera, or mount it nearer to the lane's middle",
    "glare": "the plate is burnt out: dim the infrared light",
    "no_models": "plates are not looked for: linli model pull",
}


@click.command()
@click.argument("camera")
@place
@click.option("--out", type=click.Path(path_type=Path), help="Write the picture there again and again, until Ctrl-C.")
@click.option("--every", type=click.FloatRange(0.5, 60), default=1.0, show_default=True, help="Seconds between them.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many pictures.")
@json_option
def aim(
    camera: str,
    config: Path | None,
    state: Path | None,
    out: Path | None,
    every: float,
    count: int | None,
    as_json: bool,
) -> None:
    """Show what CAMERA sees while you turn it: lanes, the size of plates, light and sharpness.

    Prints the address of the live view in the status page; with --out it writes the picture to a file and says what
    to change, also when no daemon runs. Plates that are found are covered; without `unblurred` in the configuration the
    picture is too coarse for faces.
    """
    daemon = find(config, state)
    if out is None:
        show_page(daemon, choose(config or DEFAULT_CONFIG, camera), f"aim={camera}", as_json=as_json)
        return
    try:
        views = (
            _from_daemon(daemon, camera, every)
            if daemon.path.exists()
            else _alone(config or DEFAULT_CONFIG, camera, every)
        )
        for number, view in enumerate(views, 1):
            _write(out, view.pop("jpeg"))
            if as_json:
                print_json(view, indent=0)
            else:
                click.echo(_sentence(view))
            if number == count:
                return
    except LinkError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}") from error
    except KeyboardInterrupt:
        return


def _from_daemon(daemon: Daemon, camera: str, every: float) -> Iterator[dict[str, Any]]:
    while True:
        view = daemon.ask("peek", camera=camera)
        view["jpeg"] = base64.b64decode(view["jpeg"])
        yield view
        time.sleep(every)


def _alone(config: Path, camera: str, every: float) -> Iterator[dict[str, Any]]:
    """Open the camera ourselves: no daemon runs."""
    chosen = choose(config, camera)
    try:
        import cv2

        from gateway.vision.aim import Aim
        from gateway.vision.capture import Capture
        from gateway.vision.drawn_for import MaskedSize
        from gateway.vision.peek import told
    except ImportError as error:
        raise click.ClickException(NO_VISION.format(error.name)) from error
    cv2.setNumThreads(1)
    settings = chosen.settings
    stamp = SystemClock(chosen.plan.settings.gateway.timezone).rfc3339
    masked = MaskedSize(settings, chosen.plan.settings.gateway.state / "views", read_only=True)
    looking = Aim(settings, chosen.models, chosen.plan.settings.vision.providers)
    capture = Capture(
        settings.url, user=settings.user, password=chosen.password, masks=settings.masks, transport=settings.transport
    )
    live, due = is_stream(settings.url), 0.0
    try:
        for frame in capture.frames():  # every one is taken, so that what is live never falls behind
            if frame.time < due:
                continue
            due = frame.time + every
            if misfit := masked.misfit((frame.width, frame.height)):
                raise LinkError(misfit, "masks")
            yield told(camera, looking.look(frame), stamp)
            if not live:
                time.sleep(every)
    finally:
        capture.close()


def _write(out: Path, jpeg: bytes) -> None:
    """Whole or not at all: a viewer may be reading it."""
    partial = out.with_name(f".{out.name}.partial")
    partial.write_bytes(jpeg)
    partial.replace(out)


def _sentence(view: dict[str, Any]) -> str:
    widths = ", ".join(f"{plate['width']:.0f} px" for plate in view["plates"])
    seen = f"plates {widths}" if widths else "no plate"
    advice = "; ".join(ADVICE[word] for word in view["advice"]) or "good as it is"
    return f"{seen}, light {view['middle']}, sharpness {view['sharpness']:.3f}: {advice}"
