"""`linli camera`: what an installer does with a camera; one file a subcommand, each imported only when it is used."""

from importlib import import_module

import click

# The subcommand's file and attribute have its own name; the line is the one of the list.
SUBCOMMANDS = {
    "test": "Say on one page whether a camera is fit for its purpose.",
    "calibrate": "Find the building in the picture by four corners, for falling objects.",
    "report": "Say how small a falling object may be on each floor, and what the view misses.",
    "droptest": "Throw things, see what the camera tells of each, and put it into the report.",
    "aim": "See a camera live while you turn it: lanes, plate sizes, exposure.",
}


class Subcommands(click.Group):
    """Finds subcommands by ``SUBCOMMANDS``: none needs a video library to be listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand."""
        if cmd_name not in SUBCOMMANDS:
            return None
        command = getattr(import_module(f"gateway.cli.camera.{cmd_name}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"gateway.cli.camera.{cmd_name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(cls=Subcommands)
def camera() -> None:
    """Aim and test cameras."""
