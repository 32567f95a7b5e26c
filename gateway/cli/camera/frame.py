"""One frame of a configured camera, or of a file in its place, with the camera's masks burnt in."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.contract import ConfigError, LinkError

if TYPE_CHECKING:
    from gateway.settings import CameraSettings
    from gateway.vision.evidence import Pixels


def camera_settings(name: str, config: Path) -> "CameraSettings":
    """The camera's settings; exit code 78 for a broken configuration."""
    from gateway.plan import load_plan

    try:
        plan = load_plan(config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(78)
    cameras = {one.name: one for one in plan.settings.camera}
    if name not in cameras:
        raise click.UsageError(f"{config} has no camera {name}; it has: {', '.join(cameras) or 'none'}")
    return cameras[name]


def first_frame(name: str, config: Path, file: Path | None) -> "Pixels":
    """A BGR picture of the camera; ClickException says what to do when there is none."""
    settings = camera_settings(name, config)
    try:
        from gateway.settings.secret import read_secret
        from gateway.vision.capture import Capture

        secret = read_secret(settings.password_file) if settings.password_file and file is None else ""
        url = str(file) if file is not None else settings.url
        capture = Capture(url, user=settings.user, password=secret, masks=settings.masks)
        try:
            return next(capture.frames()).bgr
        finally:
            capture.close()
    except (LinkError, ConfigError) as error:
        raise click.ClickException(str(error)) from error
    except StopIteration as error:
        raise click.ClickException(f"{name} gave no picture; check the camera") from error
    except ImportError as error:
        sentence = f"the extra `vision` is not installed ({error.name} missing); run scripts/setup"
        raise click.ClickException(sentence) from error
