"""`linli token`: makes the tokens with which platforms pull records."""

import hashlib
import re
import secrets

import click
import msgspec

from gateway.cli.output import json_option, print_json
from gateway.contract import STREAMS

TOKEN_BYTES = 32  # 256 bits


@click.group()
def token() -> None:
    """Make tokens for platforms that pull records."""


@token.command()
@click.argument("name")
@click.option("--required", is_flag=True, help="Retention waits for what this consumer has confirmed.")
@click.option("--stream", "streams", multiple=True, type=click.Choice(STREAMS), help="Only this stream; repeatable.")
@json_option
def new(name: str, required: bool, streams: tuple[str, ...], as_json: bool) -> None:
    """Make a token for the consumer NAME and print the block of the configuration that lets it in.

    The token is printed once and kept nowhere; the configuration holds its SHA-256 only.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,63}", name):
        raise click.BadParameter(
            f'"{name}" is no name; use a to z, 0 to 9 and -, a letter first, such as district-platform',
            param_hint="NAME",
        )
    text = secrets.token_urlsafe(TOKEN_BYTES)
    block = _block(name, hashlib.sha256(text.encode()).hexdigest(), required, streams)
    if as_json:
        digest = hashlib.sha256(text.encode()).hexdigest()
        print_json({"name": name, "token": text, "token_sha256": digest, "toml": block})
        return
    click.echo(f"Token of {name}, shown this once; give it to the platform:\n\n{text}\n")
    click.echo(f"Put this into linli.toml, then restart with: sudo systemctl restart linli\n\n{block}", nl=False)


def _block(name: str, digest: str, required: bool, streams: tuple[str, ...]) -> str:
    lines = ["[[api.consumer]]", f'name = "{name}"', f'token_sha256 = "{digest}"']
    if required:
        lines.append("required = true")
    if streams:
        lines.append(f"streams = {msgspec.json.encode(streams).decode()}")
    return "\n".join(lines) + "\n"
