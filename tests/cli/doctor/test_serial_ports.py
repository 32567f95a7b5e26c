"""Serial ports: made names over real character devices, and a real pseudo-terminal that really is held."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.doctor.machine import Machine, Peer
from gateway.cli.doctor.processes import Process
from gateway.cli.doctor.topics import serial_ports
from gateway.cli.doctor.topics.serial_ports import ports, snags
from tests.cli.doctor.made import look_at, made, only, planned, verdicts, write

USERS = {"/etc/passwd": "root:x:0:0::/root:/bin/sh\nlinli:x:990:990::/var/lib/linli:/bin/false\n"}
GROUPS = "root:x:0:\ndialout:x:20:{}\nlinli:x:990:\n"
ADAPTER = "usb-FTDI_0421-if00-port0"


def machine(folder: Path, port: str, files: dict[str, str] | None = None) -> Machine:
    plan = planned(
        folder, f'[gateway]\nid = "made-gate"\nstate = "{folder}"\n[[line]]\nname = "a"\nserial = "{port}"\n'
    )
    return made(folder, {**USERS, "/etc/group": GROUPS.format("linli"), **(files or {})}, plan=plan.plan)


def device(root: Path, name: str, target: str = "/dev/null") -> None:
    """A made name of a real character device that everybody may use."""
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def test_a_port_under_a_lasting_name_is_well(tmp_path: Path) -> None:
    one = machine(tmp_path, f"/dev/serial/by-id/{ADAPTER}")
    device(one.root, f"/dev/serial/by-id/{ADAPTER}")
    found = only(look_at(one, ports))
    assert (found.verdict, found.where) == ("ok", "a")
    assert "linli may use it" in found.what


def test_a_shifting_name_and_the_lasting_one(tmp_path: Path) -> None:
    one = machine(tmp_path, "/dev/ttyUSB0")
    device(one.root, "/dev/ttyUSB0")
    device(one.root, f"/dev/serial/by-id/{ADAPTER}", "../../ttyUSB0")
    device(one.root, "/dev/serial/by-id/another", "/dev/zero")
    found = look_at(one, ports)
    assert verdicts(found) == ["ok", "look"]
    assert found[1].do == f'write serial = "/dev/serial/by-id/{ADAPTER}"'


def test_a_port_that_is_gone_names_those_that_are_there(tmp_path: Path) -> None:
    one = machine(tmp_path, "/dev/ttyUSB7")
    device(one.root, f"/dev/serial/by-id/{ADAPTER}")
    found = only(look_at(one, ports))
    assert (found.verdict, ADAPTER in found.do) == ("wrong", True)


def test_something_that_is_no_port(tmp_path: Path) -> None:
    found = only(look_at(machine(tmp_path, "/dev/ttyS9", {"/dev/ttyS9": "a file"}), ports))
    assert (found.verdict, "no serial port" in found.what) == ("wrong", True)


@pytest.fixture
def terminal() -> Iterator[str]:
    """A real pseudo-terminal of nobody's group but a mode like that of a port."""
    ends = os.openpty()
    path = os.ttyname(ends[1])
    os.close(ends[1])
    Path(path).chmod(0o660)
    os.chown(path, os.getuid(), os.getgid())
    yield path
    os.close(ends[0])


@pytest.mark.parametrize(("member", "verdict"), [("linli", "ok"), ("pi", "wrong")])
def test_the_service_has_to_be_in_the_ports_group(tmp_path: Path, terminal: str, member: str, verdict: str) -> None:
    one = machine(tmp_path, "/dev/ttyS9", {"/etc/group": f"ports:x:{os.getgid()}:{member}\n"})
    device(one.root, "/dev/ttyS9", terminal)
    found = only(look_at(one, ports))
    assert found.verdict == verdict
    if verdict == "wrong":
        assert found.do.startswith("sudo usermod -aG ports linli")


def test_the_unit_adds_groups(tmp_path: Path, terminal: str) -> None:
    one = machine(tmp_path, "/dev/ttyS9", {"/etc/group": f"dialout:x:{os.getgid()}:\n"})
    device(one.root, "/dev/ttyS9", terminal)
    assert only(look_at(one, ports)).verdict == "wrong"
    write(one.root, "/etc/systemd/system/linli.service", "[Service]\nSupplementaryGroups=dialout video\n")
    assert only(look_at(one, ports)).verdict == "ok"


def test_the_running_gateway_counts_as_it_is(tmp_path: Path, terminal: str) -> None:
    one = machine(tmp_path, "/dev/ttyS9", {"/proc/5/status": f"Name:\tlinli\nGid:\t990\t990\nGroups:\t{os.getgid()}\n"})
    device(one.root, "/dev/ttyS9", terminal)
    running = made(tmp_path, plan=one.plan, peer=Peer(5, 990))
    assert only(look_at(running, ports)).verdict == "ok"
    write(one.root, "/proc/5/status", "Name:\tlinli\nGid:\t990\t990\nGroups:\t\n")
    assert only(look_at(running, ports)).verdict == "wrong"


# ---- held by somebody


def test_a_port_that_a_program_really_holds(tmp_path: Path) -> None:
    ends = os.openpty()
    try:
        path = os.ttyname(ends[1])
        one = planned(tmp_path, f'[gateway]\nid = "made-gate"\n[[line]]\nname = "a"\nserial = "{path}"\n')
        real = Machine(plan=one.plan)
        found = only(look_at(real, ports))
        assert found.verdict == "wrong"
        assert f"(process {os.getpid()}), which is not the gateway" in found.what
        own = Machine(plan=one.plan, peer=Peer(os.getpid(), os.getuid()))
        assert verdicts(look_at(own, ports)) == ["ok"]
    finally:
        os.close(ends[0])
        os.close(ends[1])


def test_a_lock_tells_of_a_holder_whose_files_nobody_shows(tmp_path: Path) -> None:
    """The kernel's own list of locks, with made processes: the holder's open files are not readable."""
    held = tmp_path / "port"
    held.touch()
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        locks = Path("/proc/locks").read_text()
    odd = "8: OFDLCK ADVISORY  READ -1 <none>:0 0 EOF\n9: -> FLOCK  ADVISORY  WRITE 1 00:06:1 0 EOF\n"
    files = {"/proc/locks": odd.replace("-1 <", "7 <") + odd + locks, f"/proc/{os.getpid()}/comm": "x"}
    holders, _ = serial_ports.holders(made(tmp_path, files), held)
    assert holders == [Process(os.getpid(), "x")]


def test_who_may_not_see_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = machine(tmp_path, "/dev/ttyS9", {"/proc/42/comm": "minicom\n"})
    device(one.root, "/dev/ttyS9")

    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "fd":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("gateway.cli.doctor.processes.os.scandir", refuse)
    assert only(look_at(one, ports)).verdict == "unseen"


def test_a_program_that_is_known_to_grab_adapters(tmp_path: Path) -> None:
    files = {"/proc/42/comm": "ModemManager\n", "/proc/43/comm": "sshd\n"}
    one = machine(tmp_path, "/dev/ttyUSB0", files)
    device(one.root, "/dev/ttyUSB0")
    (one.root / "proc/42/fd").mkdir()
    (one.root / "proc/42/fd/3").symlink_to("/dev/null")
    found = look_at(one, ports)
    assert (found[0].verdict, "systemctl mask" in found[0].do) == ("wrong", True)
    assert "ModemManager (process 42)" in only(look_at(one, snags)).what


def test_a_board_port_needs_nobody_to_be_stopped(tmp_path: Path) -> None:
    assert look_at(machine(tmp_path, "/dev/ttyAMA0", {"/proc/42/comm": "ModemManager\n"}), snags) == []


@pytest.mark.parametrize(("console", "expected"), [("ttyAMA0,115200", ["wrong"]), ("tty1", ["ok"])])
def test_the_kernels_console_on_the_wire(tmp_path: Path, console: str, expected: list[str]) -> None:
    one = machine(tmp_path, "/dev/serial0", {"/proc/cmdline": f"root=/dev/x console={console} quiet\n"})
    device(one.root, "/dev/ttyAMA0", "/dev/null")
    device(one.root, "/dev/tty1", "/dev/zero")
    device(one.root, "/dev/serial0", "ttyAMA0")
    assert verdicts(look_at(one, ports)) == expected
