"""The `linli` command: its list of subcommands, each imported only when it is used."""

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import click

from gateway import __version__

__all__ = ["DEFAULT_CONFIG", "NO_VISION", "config_option", "linli"]

DEFAULT_CONFIG = Path("/etc/linli/linli.toml")
config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file.",
)
NO_VISION = "the extra `vision` is not installed ({} missing); run scripts/setup"


class Entry(NamedTuple):
    """Where a subcommand lives and its line in the list."""

    module: str
    attribute: str
    text: str


COMMANDS = {
    "run": Entry("run", "run", "Run the gateway in the foreground."),
    "check": Entry("check", "check", "Check a configuration and explain every mistake."),
    "status": Entry("status", "status", "Say what is wrong, since when and what to do; then everything else."),
    "read": Entry("devices", "read", "Ask a device for its values now."),
    "write": Entry("write", "write", "Set a writable point of a device."),
    "watch": Entry("devices", "watch", "Show all devices and their values, live."),
    "alarms": Entry("alarms", "alarms", "Show the alarms that are raised or wait for an acknowledgement."),
    "ack": Entry("alarms", "ack", "Acknowledge an alarm."),
    "records": Entry("records", "records", "Show the records of a stream."),
    "vehicles": Entry("vehicles", "vehicles", "Parking areas; find, take out or erase what is recorded of a plate."),
    "falling": Entry("falling", "falling", "Call recorded falls true or false; take their clips out for training."),
    "verify": Entry("verify", "verify", "Prove that a store is sound and complete; daemon or not."),
    "replay": Entry(
        "replay", "replay", "Run a recorded clip, or a folder of clips as a test, through a camera's pipeline."
    ),
    "token": Entry("token", "token", "Make tokens for platforms that pull records."),
    "schema": Entry("check", "schema", "Print the JSON Schema of the configuration."),
    "model": Entry("model", "model", "Fetch and check the models that cameras need."),
    "camera": Entry("camera", "camera", "Aim and test cameras."),
    "scan": Entry("scan", "scan", "Find the devices on a line, and print the TOML for them."),
    "simulate": Entry("simulate", "simulate", "Serve every configured device on this machine, to rehearse a site."),
    "demo": Entry("demo", "demo", "Run a small simulated community."),
    "doctor": Entry("doctor", "doctor", "Examine this machine and its surroundings; daemon or not."),
    "evidence": Entry("evidence", "evidence", "Take out records with their pictures, and prove them offline."),
}


class Subcommands(click.Group):
    """Finds subcommands by ``COMMANDS``, so that none pays for the imports of another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, the most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(f"gateway.cli.{entry.module}"), entry.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"gateway.cli.{entry.module}.{entry.attribute} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest subcommand when there is none of this name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1, 0.5)
            hint = f' Did you mean "{near[0]}"?' if near else " linli --help lists them."
            raise click.UsageError(f'There is no command "{args[0]}".{hint}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.text) for name, entry in COMMANDS.items()])


@click.group(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="linli")
def linli() -> None:
    """Linli: the edge gateway of a residential community.

    The daemon runs with `linli run`; the other commands ask it through its local socket, which -c FILE or
    --state DIR names.
    """
