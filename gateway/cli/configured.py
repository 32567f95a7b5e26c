"""The configuration that a command works with, and a camera of it; what is wrong with either ends the command."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.contract import ConfigError

if TYPE_CHECKING:
    from gateway.plan import Plan
    from gateway.settings import CameraSettings

EXIT_CONFIG = 78


def planned(config: Path) -> "Plan":
    """The plan of a configuration; exits 78 with every mistake when it has some."""
    from gateway.plan import load_plan

    try:
        return load_plan(config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_CONFIG)


def camera_of(plan: "Plan", name: str) -> "CameraSettings":
    """The camera of that name; UsageError names those that there are."""
    cameras = {one.name: one for one in plan.settings.camera}
    if name not in cameras:
        raise click.UsageError(f"{plan.path} has no camera {name}; it has: {', '.join(cameras) or 'none'}")
    return cameras[name]
