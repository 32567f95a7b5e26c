"""The disk below the state directory: room, how it is mounted, errors, how fast it writes, and how worn it is."""

import errno
import os
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.cli.doctor.finding import Finding, Probe, look, ok, unseen, wrong
from gateway.cli.doctor.machine import Machine
from gateway.cli.output import size
from gateway.words import many

LITTLE = 256 << 20  # bytes: less is soon gone
TIGHT = 0.05  # of all files that the file system can hold
ROUNDS, BLOCK = 5, bytes(4096)
SLOW, DEAD_SLOW = 0.5, 5.0  # seconds for one small write to be safe; the first is the usual window of commits
FLEETING = {"tmpfs": "forgets", "ramfs": "forgets", "overlay": "may forget"}
LASTING = frozenset({"ext4", "ext3", "xfs", "btrfs", "f2fs"})
FRAGILE = frozenset({"vfat", "exfat", "msdos", "nfs", "nfs4", "cifs", "fuseblk"})
ESCAPED = re.compile(r"\\([0-7]{3})")  # the kernel writes space, tab, line end and backslash so
CARD = "copy what is on it, and replace the card or disk"
WORN_OUT, NEARLY = 0x0B, 0x09  # of JEDEC's DEVICE_LIFE_TIME_EST: steps of 10 %, 0Bh is beyond the estimated life


class Mount(NamedTuple):
    """A mounted file system, as /proc/self/mountinfo describes it; ``below`` are the options of the disk itself."""

    place: str
    kind: str
    source: str
    options: frozenset[str]
    below: frozenset[str]

    @property
    def read_only(self) -> bool:
        """Whether the mount, or the disk below it, takes no writes."""
        return "ro" in self.options or self.disk_read_only

    @property
    def disk_read_only(self) -> bool:
        """Whether no mount of this disk takes writes: the kernel does that to one with errors."""
        return "ro" in self.below


def mounts(machine: Machine) -> Iterator[Mount]:
    """All mounts, in the order in which they were made."""
    for line in (machine.text("/proc/self/mountinfo") or "").splitlines():
        left, dash, right = line.partition(" - ")
        words, more = left.split(), right.split()
        if dash and len(words) > 5 and len(more) > 1:
            place = ESCAPED.sub(lambda found: chr(int(found[1], 8)), words[4])
            below = frozenset(more[2].split(",") if len(more) > 2 else ())
            yield Mount(place, more[0], more[1], frozenset(words[5].split(",")), below)


def mount_of(machine: Machine, path: Path) -> Mount | None:
    """Find the mount that holds a path: the longest that is a part of it, of those the last."""
    holding = [mount for mount in mounts(machine) if path.is_relative_to(mount.place)]
    return max(reversed(holding), key=lambda mount: len(mount.place), default=None)


def _folder(machine: Machine) -> Path | None:
    """The state directory, or the nearest folder above it that there is."""
    if machine.state is None:
        return None
    path = Path(os.path.realpath(machine.state))
    return next(folder for folder in (path, *path.parents) if _is_folder(folder))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:
        return False


def room(machine: Machine) -> Iterator[Finding]:
    """Free space, against what the quotas still allow, and free files."""
    folder = _folder(machine)
    if folder is None:
        yield unseen("", "the state directory is not known", "name it: -c FILE or --state DIR")
        return
    there = os.statvfs(folder)
    free, total = there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize
    text = f"{size(free)} of {size(total)} free"
    to_come = _to_come(machine)
    if free < LITTLE:
        do = "make room (sudo journalctl --vacuum-size=100M; sudo apt clean), or lower [store] records and media"
        yield wrong(str(folder), f"only {text}", do)
    elif to_come > free:
        what = f"{text}, but by its quotas the store may still grow by {size(to_come)}"
        yield look(str(folder), what, "lower [store] records or media, or take a larger disk")
    else:
        yield ok(str(folder), text)
    if there.f_files and there.f_favail < TIGHT * there.f_files:
        what = f"room for only {many(there.f_favail, 'file')} more, of {there.f_files}"
        yield look(str(folder), what, "delete files that nobody needs; find / -xdev -size 0 shows empty ones")


def _to_come(machine: Machine) -> int:
    if machine.plan is None or machine.status is None:
        return 0
    settings, store = machine.plan.settings.store, machine.status["store"]
    records, media = int(store["bytes"]), int(store.get("media_bytes", 0))
    return max(0, settings.records - records) + max(0, settings.media - media)


def mounted(machine: Machine) -> Iterator[Finding]:
    """Whether it can be written, and outlasts a power cut."""
    folder = _folder(machine)
    mount = mount_of(machine, folder) if folder is not None else None
    if mount is None:
        return
    where = f"{mount.source} on {mount.place}"
    if mount.read_only:
        what = f"{mount.kind} is mounted read-only, by an error of the disk or by intent: nothing is stored"
        yield wrong(where, what, f"sudo dmesg | grep -i error says which; {CARD} if it was an error")
    elif mount.kind in FLEETING:
        what = f"{mount.kind} {FLEETING[mount.kind]} everything at a power cut, the records too"
        yield look(where, what, "put [gateway] state on a disk")
    elif mount.kind in FRAGILE:
        yield look(where, f"{mount.kind} is not safe for the records at a power cut", "put [gateway] state on ext4")
    else:
        yield ok(where, f"{mount.kind}, mounted for writing")
    errors = machine.number(f"/sys/fs/ext4/{Path(mount.source).name}/errors_count")
    if errors:
        do = f"sudo dmesg | grep EXT4 says which; {CARD} if they grow"
        yield look(where, f"the file system has counted {many(errors, 'error')} since it was last checked", do)


def elsewhere(machine: Machine) -> Iterator[Finding]:
    """Other disks that take no writes."""
    folder = _folder(machine)
    ours = mount_of(machine, folder) if folder is not None else None
    told = {ours.source} if ours is not None else set()
    for mount in mounts(machine):
        if mount.disk_read_only and mount.kind in LASTING and mount.source not in told:
            told.add(mount.source)
            where = f"{mount.source} on {mount.place}"
            do = f"sudo dmesg | grep -i error, if that was not meant; {CARD} if it was an error"
            yield look(where, f"{mount.kind} is mounted read-only, by an error of the disk or by intent", do)


def speed(machine: Machine) -> Iterator[Finding]:
    """How long a small write takes until it is safe: 4 KiB and fsync, in a file without a name that leaves nothing."""
    folder = _folder(machine)
    if folder is None or machine.state is None or folder != Path(os.path.realpath(machine.state)):
        return
    try:
        file = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            took = sorted(_timed(machine, file) for _ in range(ROUNDS))
        finally:
            os.close(file)
    except PermissionError:
        yield unseen(str(folder), "how fast it writes is not seen: this user may not write there", "run with sudo")
        return
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            yield unseen(str(folder), "how fast it writes is not seen: its file system knows no nameless files")
        else:
            why = error.strerror or str(error)
            yield wrong(str(folder), f"it cannot be written: {why}", f"sudo dmesg says more; {CARD} if it has errors")
        return
    median, worst = statistics.median(took), took[-1]
    text = f"a write of 4 KiB is safe after {median * 1000:.1f} ms, at worst {worst * 1000:.1f} ms (of {ROUNDS})"
    if worst >= DEAD_SLOW:
        yield wrong(str(folder), f"{text}: alarms are told late, records wait", CARD)
    elif worst >= SLOW:
        yield look(str(folder), text, f"run this again in a quiet moment; if it stays so: {CARD}")
    else:
        yield ok(str(folder), text)


def _timed(machine: Machine, file: int) -> float:
    began = machine.clock.monotonic()
    os.write(file, BLOCK)
    os.fsync(file)
    return machine.clock.monotonic() - began


def wear(machine: Machine) -> Iterator[Finding]:
    """What eMMC memory says of its own age (JEDEC eMMC 5.0; SD cards say nothing)."""
    for device in sorted(machine.at("/sys/block").glob("mmcblk*/device")):
        name = device.parent.name
        words = (machine.text(f"/sys/block/{name}/device/life_time") or "").split()
        try:
            used = max((int(word, 16) for word in words), default=0)
        except ValueError:
            used = 0
        reserve = machine.number(f"/sys/block/{name}/device/pre_eol_info", 16) or 0
        if used >= WORN_OUT or reserve >= 3:
            yield wrong(name, "the memory says that it is worn out", CARD)
        elif used >= NEARLY or reserve == 2:
            yield look(name, f"the memory says that {_percent(used)} of its life is used", f"soon: {CARD}")
        elif used:
            yield ok(name, f"the memory says that {_percent(used)} of its life is used")


def _percent(used: int) -> str:
    return f"{10 * used - 10} to {10 * used} %" if used else "80 % or more"


PROBES = (
    Probe("room on the disk", room),
    Probe("mounts", mounted),
    Probe("other mounts", elsewhere),
    Probe("speed of the disk", speed, 30.0),
    Probe("wear of the disk", wear),
)
