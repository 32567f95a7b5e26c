"""What every probe is given: this machine's files, the configuration, and the daemon's word if it gives any."""

import os
import socket
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.cli import DEFAULT_CONFIG
from gateway.cli.client import NotRunningError, Refusal, find, state_of
from gateway.clock import SystemClock
from gateway.contract import Clock, ConfigError, LinliError

if TYPE_CHECKING:
    from gateway.plan import Plan

ANSWER_SECONDS = 5.0
COMMAND_SECONDS = 5.0
UNIT = "linli.service"
UNIT_FILE = "/etc/systemd/system/linli.service"
SERVICE_USER = "linli"


class Peer(NamedTuple):
    """The process at the other end of the daemon's socket; ``pid`` is 0 when it is not of our process table."""

    pid: int
    uid: int


class Account(NamedTuple):
    """Who opens ports and files: ``who`` for people, the user and all groups as numbers."""

    who: str
    uid: int
    groups: frozenset[int]


def run_command(words: Sequence[str]) -> str:
    """Run a program that only shows something and return what it prints; LinliError when it cannot."""
    try:
        done = subprocess.run(  # noqa: S603 - words of ours only, no shell
            words,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": ""},
        )
    except subprocess.CalledProcessError as error:
        raise LinliError(f"{words[0]} says: {error.stderr.strip() or error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise LinliError(f"{words[0]} does not answer within {COMMAND_SECONDS:g} s") from None
    except OSError as error:
        raise LinliError(f"{words[0]} cannot be run: {error.strerror}") from None
    return done.stdout


@dataclass(frozen=True)
class Machine:
    """``root`` is where /proc, /sys, /dev, /etc and /run are: elsewhere only in tests.

    ``plan`` is None when the configuration has ``mistakes``, is ``hidden`` from this user, or was not named;
    ``status`` is None when the daemon gave none, and ``silence`` says why. ``run`` runs a program that shows something.
    """

    config: Path | None = None
    state: Path | None = None
    plan: "Plan | None" = None
    mistakes: tuple[str, ...] = ()
    hidden: str = ""
    status: dict[str, Any] | None = None
    silence: str = ""
    running: bool = False
    peer: Peer | None = None
    root: Path = Path("/")
    clock: Clock = field(default_factory=SystemClock)
    run: Callable[[Sequence[str]], str] = run_command

    def at(self, path: str | Path) -> Path:
        """Where an absolute path of this machine lies."""
        return self.root / str(path).lstrip("/")

    def text(self, path: str | Path) -> str | None:
        """What a small file says, stripped; None when it is not there or cannot be read."""
        try:
            return self.at(path).read_text(encoding="utf-8", errors="replace").strip(" \n\t\0")
        except OSError:
            return None

    def number(self, path: str | Path, base: int = 10) -> int | None:
        """The whole number in a small file; None when there is none."""
        try:
            return int(self.text(path) or "", base)
        except ValueError:
            return None

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs this machine (sd_booted(3))."""
        return self.at("/run/systemd/system").is_dir()

    @property
    def account(self) -> Account:
        """Who the daemon is: the running one, else the service's user, else who asks."""
        if self.peer is not None and self.peer.pid and (status := self.text(f"/proc/{self.peer.pid}/status")):
            rows = {key: rest.split() for key, _, rest in (line.partition(":") for line in status.splitlines())}
            groups = {int(word) for word in (*rows.get("Gid", ()), *rows.get("Groups", ()))}
            return Account(self._user_name(self.peer.uid), self.peer.uid, frozenset(groups))
        for fields in self._table("/etc/passwd", 7):
            if fields[0] == SERVICE_USER:
                extra = self._supplementary()
                named = {
                    int(group[2]) for group in self._table("/etc/group", 4)
                    if SERVICE_USER in group[3].split(",") or group[0] in extra
                }  # fmt: skip
                return Account(SERVICE_USER, int(fields[2]), frozenset({int(fields[3]), *named}))
        return Account(self._user_name(os.getuid()), os.getuid(), frozenset({os.getgid(), *os.getgroups()}))

    def group_name(self, gid: int) -> str:
        """Name of a group, or its number."""
        return next((row[0] for row in self._table("/etc/group", 4) if row[2] == str(gid)), str(gid))

    def _user_name(self, uid: int) -> str:
        return next((row[0] for row in self._table("/etc/passwd", 7) if row[2] == str(uid)), f"user {uid}")

    def _supplementary(self) -> set[str]:
        lines = (self.text(UNIT_FILE) or "").splitlines()
        key = "SupplementaryGroups="
        return {word for line in lines if line.startswith(key) for word in line.removeprefix(key).split()}

    def _table(self, path: str, columns: int) -> list[list[str]]:
        rows = [line.split(":") for line in (self.text(path) or "").splitlines()]
        return [row for row in rows if len(row) == columns and row[2].isdecimal()]


def meet(config: Path | None, state: Path | None) -> Machine:
    """Take in the configuration and ask the daemon; whatever fails is a finding later, never an error."""
    path = config if config is not None or state is not None else DEFAULT_CONFIG
    plan, mistakes, hidden = _planned(path)
    if state is None:
        state = plan.settings.gateway.state if plan is not None else _named_state(config)
    status, silence, running, peer = _asked(state) if state else (None, "its state directory is not known", False, None)
    zone = plan.settings.gateway.timezone if plan is not None else None
    return Machine(path, state, plan, mistakes, hidden, status, silence, running, peer, clock=SystemClock(zone))


def _planned(path: Path | None) -> "tuple[Plan | None, tuple[str, ...], str]":
    from gateway.plan import load_plan

    if path is None:
        return None, (), "no configuration was named"
    try:
        with path.open("rb"):
            pass
    except PermissionError:
        return None, (), f"{path} may not be read by this user"
    except OSError:
        pass  # said better below
    try:
        return load_plan(path), (), ""
    except ConfigError as error:
        return None, error.problems, ""


def _named_state(config: Path | None) -> Path | None:
    try:
        return state_of(config)
    except Refusal:
        return None


def _asked(state: Path) -> tuple[dict[str, Any] | None, str, bool, Peer | None]:
    """Return status, why there is none, whether a daemon runs, and who it is."""
    daemon = find(None, state)
    try:
        answer: dict[str, Any] = daemon.ask("status", patience=ANSWER_SECONDS)
    except NotRunningError as error:
        return None, error.message, False, None
    except Refusal as error:
        return None, error.message, True, _peer(daemon.path)
    return answer, "", True, _peer(daemon.path)


def _peer(path: Path) -> Peer | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(os.fspath(path))
            # struct ucred of unix(7): who called listen().
            pid, uid, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            return None
    return Peer(pid, uid)
