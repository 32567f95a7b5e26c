"""Serial ports of the configured lines: there, usable by the gateway, held by nobody else, under a lasting name."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.doctor.finding import Finding, Probe, look, ok, unseen, wrong
from gateway.cli.doctor.machine import Machine
from gateway.cli.doctor.processes import Process, holders, running
from gateway.contract import LineKind
from gateway.settings import LineSettings

BY_ID = "/dev/serial/by-id"
SHIFTING = ("ttyUSB", "ttyACM")  # numbered in the order in which adapters are plugged in
PSEUDO_TERMINALS = range(136, 144)
SNAGS = {
    "brltty": "takes many USB adapters for Braille displays: sudo apt remove brltty",
    "ModemManager": "sends AT commands to every new adapter: sudo systemctl mask --now ModemManager",
}


def ports(machine: Machine) -> Iterator[Finding]:
    """Look at every serial line's port, from outside: opening it could disturb the wire."""
    for line in _serial(machine):
        path = machine.at(line.serial or "")
        try:
            there = path.stat()
        except PermissionError:
            yield unseen(line.name, f"{line.serial} is in a folder that this user may not read", "run this with sudo")
            continue
        except OSError:
            yield _missing(machine, line)
            continue
        if not stat.S_ISCHR(there.st_mode):
            yield wrong(line.name, f"{line.serial} is no serial port", f"name one of: {_known(machine)}")
            continue
        trouble = [*_rights(machine, line, there), *_held(machine, line, path), *_console(machine, line, path)]
        yield from trouble or [ok(line.name, f"{line.serial} is there and {machine.account.who} may use it")]
        if os.major(there.st_rdev) not in PSEUDO_TERMINALS:
            yield from _name(machine, line, path)


def snags(machine: Machine) -> Iterator[Finding]:
    """Programs that are known to grab USB adapters."""
    if any(not str(line.serial).startswith(("/dev/ttyAMA", "/dev/ttyS", "/dev/pts")) for line in _serial(machine)):
        for process in running(machine, *SNAGS):
            yield look("", f"{process.title} runs, which may grab USB adapters", SNAGS[process.name])


def _serial(machine: Machine) -> list[LineSettings]:
    if machine.plan is None:
        return []
    return [line for line in machine.plan.settings.line if line.kind is LineKind.SERIAL]


def _missing(machine: Machine, line: LineSettings) -> Finding:
    do = f"check its plug and cable, then that it is the one meant; there are: {_known(machine)}"
    return wrong(line.name, f"{line.serial} is not there", do)


def _known(machine: Machine) -> str:
    """The ports that there are, by their lasting names where they have one."""
    found = [f"{BY_ID}/{path.name}" for path in sorted(machine.at(BY_ID).glob("*"))]
    kinds = ("ttyAMA", "ttyUSB", "ttyACM") if not found else ("ttyAMA",)
    found += [f"/dev/{path.name}" for kind in kinds for path in sorted(machine.at("/dev").glob(f"{kind}*"))]
    return ", ".join(found) or "none"


def _rights(machine: Machine, line: LineSettings, there: os.stat_result) -> Iterator[Finding]:
    account = machine.account
    if there.st_uid == account.uid:
        need = stat.S_IRUSR | stat.S_IWUSR
    elif there.st_gid in account.groups:
        need = stat.S_IRGRP | stat.S_IWGRP
    else:
        need = stat.S_IROTH | stat.S_IWOTH
    if account.uid != 0 and there.st_mode & need != need:
        group = machine.group_name(there.st_gid)
        what = f"{account.who} may not use {line.serial}, which belongs to the group {group}"
        yield wrong(line.name, what, f"sudo usermod -aG {group} {account.who}, then restart the gateway")


def _held(machine: Machine, line: LineSettings, path: Path) -> Iterator[Finding]:
    found, seen_all = holders(machine, path)
    own = machine.peer.pid if machine.peer is not None else 0
    others = [holder for holder in found if holder.pid != own]
    for holder in others:
        yield _other(line, holder)
    if not seen_all and not found:
        do = "run this with sudo, which sees everybody's files"
        yield unseen(line.name, f"{line.serial} is there; whether another program holds it", do)


def _other(line: LineSettings, holder: Process) -> Finding:
    snag = SNAGS.get(holder.name, "")
    do = f"end it: two programs on one wire destroy each other's answers{f'. It {snag}' if snag else ''}"
    return wrong(line.name, f"{line.serial} is held by {holder.title}, which is not the gateway", do)


def _console(machine: Machine, line: LineSettings, path: Path) -> Iterator[Finding]:
    consoles = [word[8:].split(",")[0] for word in (machine.text("/proc/cmdline") or "").split()
                if word.startswith("console=")]  # fmt: skip
    for console in consoles:
        if os.path.realpath(machine.at(f"/dev/{console}")) == os.path.realpath(path):
            do = "sudo raspi-config, Interface Options, Serial Port: no login shell (or delete it in cmdline.txt)"
            yield wrong(line.name, f"the kernel writes its messages to {line.serial} (console={console})", do)


def _name(machine: Machine, line: LineSettings, path: Path) -> Iterator[Finding]:
    if not Path(str(line.serial)).name.startswith(SHIFTING):
        return
    real = os.path.realpath(path)
    lasting = [each.name for each in sorted(machine.at(BY_ID).glob("*")) if os.path.realpath(each) == real]
    better = f'serial = "{BY_ID}/{lasting[0]}"' if lasting else "a name in /dev/serial/by-path"
    what = f"{line.serial} may be another adapter after the next start or plug"
    yield look(line.name, what, f"write {better}")


PROBES = (Probe("serial ports", ports, 10.0), Probe("programs that grab adapters", snags))
