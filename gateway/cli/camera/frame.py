"""One frame of a configured camera, or of a file in its place, with the camera's masks burnt in."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import NO_VISION
from gateway.cli.configured import camera_of, planned
from gateway.contract import ConfigError, LinkError

if TYPE_CHECKING:
    from gateway.vision.evidence import Pixels


def first_frame(name: str, config: Path, file: Path | None) -> "Pixels":
    """A BGR picture of the camera; ClickException says what to do when there is none."""
    settings = camera_of(planned(config), name)
    try:
        if file is not None and not file.is_file():
            raise click.ClickException(f"{file} is no file; name a picture or a clip with --frame")
    except OSError as error:  # it lies where this user may not look
        raise click.ClickException(f"{file}: {error.strerror}") from error
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
        raise click.ClickException(NO_VISION.format(error.name)) from error
