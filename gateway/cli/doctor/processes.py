"""Reads /proc: which programs run, which of them holds a file, and who listens on the network."""

import ipaddress
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.cli.doctor.machine import Machine

LOCKED = re.compile(r"([0-9a-f]+):([0-9a-f]+):(\d+)")  # device and inode in /proc/locks
LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp


class Process(NamedTuple):
    """A running program; ``name`` is at most 15 characters of it, as the kernel keeps it."""

    pid: int
    name: str

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name} (process {self.pid})"


class Listener(NamedTuple):
    """A TCP port that somebody listens on."""

    host: str
    port: int
    uid: int
    inode: int

    @property
    def place(self) -> str:
        """Address and port for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host).is_loopback


def processes(machine: Machine) -> list[Process]:
    """All programs that this user may see."""
    found = []
    for folder in machine.at("/proc").glob("[0-9]*"):
        name = machine.text(f"/proc/{folder.name}/comm")
        if name and folder.name.isdecimal():
            found.append(Process(int(folder.name), name))
    return sorted(found)


def running(machine: Machine, *names: str) -> list[Process]:
    """The programs of these names that run."""
    return [process for process in processes(machine) if process.name in names]


def holders(machine: Machine, path: Path) -> tuple[list[Process], bool]:
    """Who has a file open or locked, and whether nobody could have been overlooked for lack of rights."""
    there = path.stat()
    pids, seen_all = set(_lockers(machine, there)), True
    for process in processes(machine):
        try:
            with os.scandir(machine.at(f"/proc/{process.pid}/fd")) as entries:
                if any(_is(Path(entry.path), there) for entry in entries):
                    pids.add(process.pid)
        except PermissionError:
            seen_all = False
        except OSError:
            continue  # it has ended meanwhile
    names = {process.pid: process.name for process in processes(machine)}
    return [Process(pid, names.get(pid, "a program")) for pid in sorted(pids)], seen_all


def _is(entry: Path, there: os.stat_result) -> bool:
    try:
        here = entry.stat()
    except OSError:
        return False
    if stat.S_ISCHR(there.st_mode):  # a port may have several names
        return stat.S_ISCHR(here.st_mode) and here.st_rdev == there.st_rdev
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _lockers(machine: Machine, there: os.stat_result) -> Iterator[int]:
    """Read /proc/locks, which everybody may: an exclusive serial port is locked by flock(2)."""
    place = (os.major(there.st_dev), os.minor(there.st_dev), there.st_ino)
    for line in (machine.text("/proc/locks") or "").splitlines():
        words = line.split()
        # "->" waits for the lock; the process is -1 where it is nobody's, the place "<none>:0" where there is no file.
        if len(words) < 6 or words[1] == "->" or not words[4].isdecimal():
            continue
        found = LOCKED.fullmatch(words[5])
        if found is not None and (int(found[1], 16), int(found[2], 16), int(found[3])) == place:
            yield int(words[4])


def listeners(machine: Machine) -> list[Listener]:
    """All TCP ports that somebody listens on."""
    found = []
    for table in ("tcp", "tcp6"):
        for line in (machine.text(f"/proc/net/{table}") or "").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == LISTENING:
                address, _, port = words[1].partition(":")
                found.append(Listener(_host(address), int(port, 16), int(words[7]), int(words[9])))
    return found


def sockets_of(machine: Machine, pid: int) -> set[int] | None:
    """Inodes of the sockets of a process; None when this user may not see them."""
    found = set()
    try:
        with os.scandir(machine.at(f"/proc/{pid}/fd")) as entries:
            for entry in entries:
                target = Path(entry.path).readlink().name
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    except OSError:
        return None
    return found


def _host(text: str) -> str:
    """Read an address as the kernel writes it: 32-bit words, each in the machine's own order of bytes."""
    raw = bytes.fromhex(text)
    turned = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(turned)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
