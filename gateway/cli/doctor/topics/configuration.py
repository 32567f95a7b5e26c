"""The configuration: what `linli check` says of it, counted."""

from collections.abc import Iterator

from gateway.cli.doctor.finding import Finding, Probe, look, ok, unseen, wrong
from gateway.cli.doctor.machine import Machine


def findings(machine: Machine) -> Iterator[Finding]:
    """Mistakes and warnings, the first of them word for word."""
    if machine.hidden:
        yield unseen("", machine.hidden, "run this with sudo, or name another with -c FILE: much else rests on it")
        return
    check = f"linli check -c {machine.config}"
    if machine.mistakes:
        rest = f" (and {len(machine.mistakes) - 1} more)" if len(machine.mistakes) > 1 else ""
        yield wrong("", f"it cannot be used: {machine.mistakes[0]}{rest}", f"all of it: {check}")
        return
    if machine.plan is None:
        return
    warnings = [*machine.plan.warnings, *machine.plan.broken_list_lines()]
    settings = machine.plan.settings
    parts = (("lines", settings.line), ("devices", settings.device), ("cameras", settings.camera))
    counts = ", ".join(f"{len(rows)} {what if len(rows) != 1 else what[:-1]}" for what, rows in parts)
    yield ok("", f"{machine.config} can be used: {counts}")
    if warnings:
        many = f"{len(warnings)} warnings, the first: " if len(warnings) > 1 else ""
        yield look("", f"{many}{warnings[0]}", check)


PROBES = (Probe("the configuration", findings),)
