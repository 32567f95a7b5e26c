"""The store: whether its database is sound, how full it is, and what was set aside as damaged."""

import os
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.doctor.finding import Finding, Probe, Verdict, look, ok, unseen, wrong
from gateway.cli.doctor.machine import Machine
from gateway.cli.output import size
from gateway.contract import LinliError
from gateway.words import many

WHOLE = 16 << 20  # bytes of a database that is read whole; a larger one at its ends only
NEARLY_FULL = 0.9
LONG_LOG = 128 << 20  # bytes: so long a log was not taken into the database for long


def sound(machine: Machine) -> Iterator[Finding]:
    """What `linli verify` finds: of a small database everything, of a large one its schema, ends and tables."""
    from gateway.store.inspection import inspect
    from gateway.store.wreck import DATABASE

    if machine.state is None:
        return
    path = machine.state / DATABASE
    verify = f"linli verify {machine.state}"
    try:
        big = path.stat().st_size
    except PermissionError:
        yield unseen(str(path), "the store may not be read by this user", f"run this with sudo, or: sudo {verify}")
        return
    except OSError:
        yield _none(machine.state)
        return
    try:
        report = inspect(machine.state, ends=big > WHOLE)
    except LinliError as error:
        verdict: Verdict = "wrong" if "NOT SOUND" in str(error) else "unseen"
        yield Finding(verdict, str(path), str(error).removeprefix(f"{path}: "), f"sudo {verify}")
        return
    if not report.sound and set(report.counts) == {"unreadable"} and not os.access(machine.state, os.W_OK):
        yield unseen(str(path), report.findings[0], f"run this with sudo, or: sudo {verify}")
    elif not report.sound:
        rest = f" (and {report.counts.total() - 1} more)" if report.counts.total() > 1 else ""
        yield wrong(str(path), f"it is not sound: {report.findings[0]}{rest}", f"all of it: sudo {verify}")
    elif big > WHOLE:
        what = f"{size(big)}: schema, tables, and the first and last records are sound; the rest was not read"
        yield Finding("ok", str(path), what, f"to read all of it: sudo {verify}")
    else:
        count = sum(stream["records"] for stream in report.streams.values())
        yield ok(str(path), f"sound and complete: {many(count, 'record')}, {size(big)}")


def _none(state: Path) -> Finding:
    if state.is_dir():
        return ok(str(state), "there is no store yet; the gateway makes it at its first start")
    do = "nothing before the first start; else correct [gateway] state, or connect the disk that it is on"
    return look(str(state), "the state directory is not there", do)


def full(machine: Machine) -> Iterator[Finding]:
    """How full it is, and its write-ahead log."""
    from gateway.store.wreck import DATABASE

    if machine.state is None:
        return
    if machine.status is not None:
        store = machine.status["store"]
        rows = (("records", store["bytes"], store["quota"]),
                ("media", store.get("media_bytes", 0), store.get("media_quota", 0)))  # fmt: skip
        for what, used, quota in rows:
            text = f"{what} take {size(used)} of {size(quota)}"
            if quota and used >= NEARLY_FULL * quota:
                yield look("", f"{text}: the oldest go soon, whatever keep says", f"raise [store] {what}")
            elif quota:
                yield ok("", text)
    try:
        log = (machine.state / f"{DATABASE}-wal").stat().st_size
    except OSError:
        return
    if log > LONG_LOG:
        do = "see whether something reads it for long (a linli verify?); else restart the gateway"
        yield look(str(machine.state), f"the write-ahead log has grown to {size(log)}", do)


def leftovers(machine: Machine) -> Iterator[Finding]:
    """Databases that were set aside as damaged."""
    from gateway.store.wreck import asides

    if machine.state is None:
        return
    try:
        found = asides(machine.state)
        for path in found:
            what = (
                f"a damaged database of {size(path.stat().st_size)} was set aside; what could be read of it came back"
            )
            do = "keep it until nobody misses anything, then delete it; more than one: replace the card or disk"
            yield look(str(path), what, do)
    except PermissionError:
        yield unseen(str(machine.state), "whether something was set aside as damaged", "run this with sudo")


PROBES = (Probe("the store", sound, 60.0), Probe("the store's size", full), Probe("leftovers", leftovers))
