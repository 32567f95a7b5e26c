"""Talks to the running daemon: HTTP over the Unix socket in its state directory, errors in words."""

import http.client
import os
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import click
import msgspec

from gateway.cli import DEFAULT_CONFIG
from gateway.places import SOCKET_NAME, spare_socket

DEFAULT_STATE = Path("/var/lib/linli")
PATIENCE = 30.0  # seconds for an answer; a slow serial device takes several

Command = TypeVar("Command", bound=Callable[..., Any])


class Refusal(click.ClickException):
    """The daemon refused, or there is none; the message says what to do."""


class NotRunningError(Refusal):
    """There is no daemon."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


class Daemon:
    """The daemon whose socket lies at ``path``; ``line``: one of its lines, for who borrows it."""

    def __init__(self, path: Path, line: str = "") -> None:
        self.path, self.line = path, line

    def ask(self, verb: str, *, patience: float = PATIENCE, **arguments: object) -> Any:  # noqa: ANN401 - any JSON
        """Have a command executed, within ``patience`` seconds; Refusal when it cannot be."""
        given = {name: value for name, value in arguments.items() if value is not None}
        return msgspec.json.decode(self._exchange("POST", f"/local/{verb}", msgspec.json.encode(given), patience))

    def records(self, stream: str, after: str | None, limit: int, wait: float = 0.0) -> "Page":
        """Fetch records after a cursor, waiting up to ``wait`` seconds for the first."""
        query: dict[str, object] = {"limit": limit, "wait": wait}
        if after is not None:
            query["after"] = after
        address = f"/v1/streams/{stream}/records?{urlencode(query)}"
        return msgspec.json.decode(self._exchange("GET", address, None, wait + PATIENCE), type=Page)

    def media(self, sha256: str) -> bytes:
        """Fetch a picture or clip."""
        return self._exchange("GET", f"/v1/media/{sha256}", None)

    def _exchange(self, method: str, address: str, body: bytes | None, patience: float = PATIENCE) -> bytes:
        connection = _UnixConnection(self.path, patience)
        try:
            connection.request(method, address, body, {"content-type": "application/json"} if body else {})
            answer = connection.getresponse()
            content = answer.read()
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise NotRunningError(
                f"the gateway is not running: nobody listens at {self.path}. Start it with: sudo systemctl start linli "
                "(or linli run -c FILE). If it keeps its state elsewhere, name it with --state DIR or -c FILE."
            ) from None
        except PermissionError:
            raise Refusal(
                f"you may not use {self.path}. Use sudo, or join the group and log in again: "
                "sudo usermod -aG linli $USER"
            ) from None
        except TimeoutError:
            raise Refusal(f"the gateway did not answer within {patience:g} s; see: journalctl -u linli -e") from None
        except (OSError, http.client.HTTPException) as error:
            raise Refusal(f"the gateway hung up ({error}); see: journalctl -u linli -e") from None
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refusal(_detail(content, answer.status))
        return content


class Page(msgspec.Struct):
    """Records as the daemon stored them, byte for byte, and where the next ones begin."""

    records: list[msgspec.Raw]
    next: str
    more: bool


def _detail(content: bytes, status: int) -> str:
    try:
        problem = msgspec.json.decode(content)
    except msgspec.DecodeError:
        problem = None
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return str(detail) if detail else f"the gateway answered {status}"


def place(command: Command) -> Command:
    """Add ``-c FILE`` and ``--state DIR``, which say where the daemon's socket is; ``daemon`` is what they name."""
    command = click.option(
        "--state", type=click.Path(path_type=Path), help="The daemon's state directory, where its socket lies."
    )(command)
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path, readable=False),  # what may not be read is explained better later
        help=f"The daemon's configuration, which names its state directory.  [default: {DEFAULT_CONFIG}]",
    )(command)


def find(config: Path | None, state: Path | None) -> Daemon:
    """The daemon of this configuration or state directory."""
    folder = state if state is not None else state_of(config)
    usual, spare = folder / SOCKET_NAME, spare_socket(folder)
    # One left behind on a disk that can no longer be written has nobody at its other end.
    return Daemon(spare if _is_there(spare) and not _somebody_listens(usual) else usual)


def _is_there(path: Path) -> bool:
    try:
        return path.is_socket()
    except PermissionError:  # a folder of the service's: who may not look into it may not ask either
        return False


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            return isinstance(error, PermissionError)
    return True


def state_of(config: Path | None) -> Path:
    """The state directory that a configuration names, as far as it can be read; Refusal says why it cannot."""
    path = config or DEFAULT_CONFIG
    try:
        with path.open("rb") as file:
            tree = tomllib.load(file)
    except FileNotFoundError:
        if config is None:
            return DEFAULT_STATE
        raise Refusal(f"{path}: there is no such file; -c names the daemon's configuration") from None
    except OSError as error:
        if config is None:
            return DEFAULT_STATE  # not readable for everyone: it names users; the socket says who may talk
        raise Refusal(f"{path}: {error.strerror}; --state DIR names the state directory instead") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} is no TOML: {error}; linli check -c {path} says more") from None
    gateway = tree.get("gateway")
    state = gateway.get("state", str(DEFAULT_STATE)) if isinstance(gateway, dict) else str(DEFAULT_STATE)
    if not isinstance(state, str):
        raise Refusal(f"{path}: gateway.state is no text; linli check -c {path} says more")
    return path.parent / state
