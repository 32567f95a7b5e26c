"""The camera that a subcommand is about: its settings, its password and the models, from the configuration."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.client import Daemon
from gateway.cli.configured import EXIT_CONFIG, camera_of, planned
from gateway.cli.output import print_json
from gateway.contract import ConfigError
from gateway.settings.secret import read_secret

if TYPE_CHECKING:
    from gateway.plan import Plan
    from gateway.settings import CameraSettings


@dataclass(frozen=True, slots=True)
class Chosen:
    """One camera of a configuration."""

    settings: "CameraSettings"
    password: str
    models: Path
    plan: "Plan"


def choose(config: Path, name: str) -> Chosen:
    """Find the camera; exits 78 with every mistake when the configuration or the password's file has some."""
    plan = planned(config)
    camera = camera_of(plan, name)
    try:
        password = read_secret(camera.password_file) if camera.password_file else ""
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_CONFIG)
    return Chosen(camera, password, plan.models_folder, plan)


def show_page(daemon: Daemon, chosen: Chosen, fragment: str, *, as_json: bool) -> None:
    """Print where the status page has what is asked for; Refusal when no daemon serves it."""
    daemon.ask("ping")
    api = chosen.plan.settings.api
    address = f"{'https' if api.tls_cert else 'http'}://{api.listen}/#{fragment}"
    if as_json:
        print_json({"address": address})
        return
    click.echo(f"open {address}")
    port = api.listen.rpartition(":")[2]
    over = f"ssh -L {port}:localhost:{port} HOST"
    click.echo(f"it asks for a consumer's token once (linli token new NAME); over SSH: {over}")
