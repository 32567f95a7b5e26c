"""The clock: whether it is synchronised and by whom, the clock chip, and the time zone."""

import os
from collections.abc import Iterator

from gateway.cli.doctor.finding import Finding, Probe, look, ok, unseen, wrong
from gateway.cli.doctor.machine import Machine
from gateway.cli.doctor.processes import running
from gateway.cli.output import duration, moment
from gateway.clock import FAR_BEHIND, PLAUSIBLE

KEEPERS = ("systemd-timesyn", "chronyd", "ntpd", "ntpsec")  # names as the kernel cuts them
CONNECT = "connect it to a time server; timedatectl timesync-status shows its state"


def synchronised(machine: Machine) -> Iterator[Finding]:
    """How far the time can be trusted, as the gateway judges it."""
    said = machine.status["timequality"] if machine.status is not None else None
    quality = said or machine.clock.quality()
    keepers = ", ".join(process.name for process in running(machine, *KEEPERS))
    now = moment(machine.clock.rfc3339(machine.clock.wall()))
    if quality == "synced":
        yield ok("", f"{now}, synchronised{f' by {keepers}' if keepers else ''}")
    elif machine.clock.wall() / 1e9 < PLAUSIBLE:
        yield wrong("", f"{now} cannot be: the clock was never set", CONNECT)
    elif quality == "holdover":
        yield look("", f"{now}, not synchronised now; the clock runs on by itself and drifts", CONNECT)
    else:
        what = f"{now}, but nobody vouches for it: records are marked timequality=unknown"
        yield wrong("", what, f"{CONNECT}, or set the time by hand: sudo timedatectl set-time")
    if quality != "synced" and not keepers:
        yield look("", "no program that keeps the time runs", "sudo apt install systemd-timesyncd, or chrony")


def chip(machine: Machine) -> Iterator[Finding]:
    """The clock chip, which should know the time after a power cut without a network."""
    chips = sorted(machine.at("/sys/class/rtc").glob("rtc*"))
    if not chips:
        if machine.at("/proc/device-tree/model").exists():
            yield ok("", "this board has no clock chip: after a power cut the time is known once a time server answers")
        return
    for each in chips:
        seconds = machine.number(f"/sys/class/rtc/{each.name}/since_epoch")
        if seconds is None:
            yield unseen(each.name, "the clock chip cannot be read")
            continue
        off = abs(seconds - machine.clock.wall() / 1e9)
        if off < FAR_BEHIND:
            yield ok(each.name, "the clock chip shows the time")
        else:
            what = f"the clock chip is {duration(off)} off: after a power cut the time will be wrong or unknown"
            yield look(each.name, what, "put in a (new) battery; then: sudo hwclock --systohc")


def zone(machine: Machine) -> Iterator[Finding]:
    """The zone of the times in records."""
    named = machine.plan.settings.gateway.timezone if machine.plan is not None else None
    if named:
        yield ok("", f"times in records are in {named}, by the configuration")
        return
    link = machine.at("/etc/localtime")
    target = os.fspath(link.readlink()) if link.is_symlink() else ""
    name = target.partition("zoneinfo/")[2] or machine.text("/etc/timezone") or "UTC"
    if name.rpartition("/")[2] in ("UTC", "UCT", "Universal", "Zulu", "GMT"):
        do = 'set it: sudo timedatectl set-timezone Asia/Shanghai, or timezone = "Asia/Shanghai" in [gateway]'
        yield look("", f"times in records are in {name}, since the machine was given no zone", do)
    else:
        yield ok("", f"times in records are in the machine's zone, {name}")


PROBES = (Probe("the clock", synchronised), Probe("the clock chip", chip), Probe("the time zone", zone))
