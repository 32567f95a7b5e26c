"""Commands that are announced but not built: each says so and fails."""

import click

ANY = {"ignore_unknown_options": True, "allow_extra_args": True}


def _announced(name: str, text: str, instead: str) -> click.Command:
    @click.command(name, context_settings=ANY, help=f"{text}\n\nNot built yet. {instead}")
    def command() -> None:
        raise click.ClickException(f"linli {name} is not built yet. {instead}")

    return command


doctor = _announced("doctor", "Examine this machine and its surroundings.", "Until then: linli status.")
