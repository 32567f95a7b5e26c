"""Memory, swap and processors: whether the machine has enough of them for what it does."""

import os
from collections.abc import Iterator

from gateway.cli.doctor.finding import Finding, Probe, look, ok, wrong
from gateway.cli.doctor.machine import Machine
from gateway.cli.output import size
from gateway.words import many

SCARCE, SHORT = 0.05, 0.12  # of the memory that is available
BUSY = 1.5  # programs that want to run, a processor, over 15 minutes
STALLED = 20.0  # % of the last five minutes in which everything waited
HEAVIEST = "ps aux --sort=-%mem | head shows the largest programs"


def memory(machine: Machine) -> Iterator[Finding]:
    """Memory that is available, swap, and programs that the kernel killed."""
    rows = dict(line.split(":", 1) for line in (machine.text("/proc/meminfo") or "").splitlines() if ":" in line)
    sizes = {
        key: int(rest.split()[0]) * 1024
        for key, rest in rows.items()
        if rest.split()[:1] and rest.split()[0].isdecimal()
    }
    total, free = sizes.get("MemTotal", 0), sizes.get("MemAvailable", 0)
    if total:
        text = f"{size(free)} of {size(total)} memory available"
        if free < SCARCE * total:
            yield wrong("", f"only {text}", HEAVIEST)
        elif free < SHORT * total:
            yield look("", f"only {text}", HEAVIEST)
        else:
            yield ok("", text)
    yield from _swap(machine)
    killed = next((int(line.split()[1]) for line in (machine.text("/proc/vmstat") or "").splitlines()
                   if line.startswith("oom_kill ")), 0)  # fmt: skip
    if killed:
        do = "sudo journalctl -k | grep -i 'out of memory' says which and when"
        yield look("", f"the kernel killed {many(killed, 'program')} for lack of memory since the start", do)


def _swap(machine: Machine) -> Iterator[Finding]:
    for line in (machine.text("/proc/swaps") or "").splitlines()[1:]:
        words = line.split()
        if len(words) < 4 or not words[3].isdecimal():
            continue
        used = int(words[3]) * 1024
        if used and not words[0].startswith("/dev/zram"):
            yield look(words[0], f"{size(used)} are swapped out to the disk, which is slow and wears cards", HEAVIEST)


def processors(machine: Machine) -> Iterator[Finding]:
    """Load, and time lost in waiting (pressure stall information)."""
    words = (machine.text("/proc/loadavg") or "").split()
    count = len(list(machine.at("/sys/devices/system/cpu").glob("cpu[0-9]*"))) or os.cpu_count() or 1
    if len(words) > 2:
        load = float(words[2])
        text = f"load {words[0]}, {words[1]}, {words[2]} (1, 5, 15 minutes) on {many(count, 'processor')}"
        if load > BUSY * count:
            yield look("", text, "top shows who is busy; cameras cost the most")
        else:
            yield ok("", text)
    for what, do in (("io", "the disk is slow or worn: see topic disk"), ("memory", HEAVIEST)):
        for line in (machine.text(f"/proc/pressure/{what}") or "").splitlines():
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if line.startswith("full ") and float(fields.get("avg300", "0")) > STALLED:
                share = float(fields["avg300"])
                yield look(what, f"everything waited for {share:.0f} % of the last five minutes", do)


PROBES = (Probe("memory", memory), Probe("processors", processors))
