"""Prints what the doctor found: the worst first, each with where, what, and what to do."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gateway import __version__
from gateway.cli.doctor.examine import Found
from gateway.cli.doctor.finding import VERDICTS, Verdict
from gateway.cli.doctor.machine import Machine
from gateway.cli.output import Block, Cell, Line, Table, Tone, Word, moment

WORDS: dict[Verdict, str] = {"wrong": "wrong", "look": "to look at", "unseen": "not seen", "ok": "ok"}
TONES: dict[Verdict, Tone] = {"wrong": "bad", "look": "warn", "unseen": "dim", "ok": "good"}


def is_well(found: Sequence[Found]) -> bool:
    """Whether nothing is wrong; what is to be looked at, or could not be seen, does not count."""
    return all(each.finding.verdict != "wrong" for each in found)


def as_data(machine: Machine, found: Sequence[Found]) -> dict[str, Any]:
    """Everything for programs."""
    return {
        "ok": is_well(found),
        "version": __version__,
        "time": machine.clock.rfc3339(machine.clock.wall()),
        "gateway": _gateway(machine),
        "running": machine.running,
        "counts": {verdict: _counts(found)[verdict] for verdict in VERDICTS},
        "findings": [{"topic": topic, **finding._asdict()} for topic, finding in _sorted(found)],
    }


def as_blocks(machine: Machine, found: Sequence[Found]) -> list[Block]:
    """Everything for people."""
    counts = _counts(found)
    rows: list[list[Cell]] = []
    for topic, finding in _sorted(found):
        verdict = finding.verdict
        rows.append([Word(WORDS[verdict], TONES[verdict]), topic, _sentence(finding.where, finding.what)])
        if finding.do:
            rows.append(["", "", Word(f"do: {finding.do}", "dim" if verdict in ("ok", "unseen") else "")])
    time = moment(machine.clock.rfc3339(machine.clock.wall()))
    sums = ", ".join(f"{counts[verdict]} {WORDS[verdict]}" for verdict in VERDICTS if counts[verdict])
    return [
        Line([Word(_gateway(machine) or "this machine", "strong"), Word(f"linli {__version__}, {time}", "dim")]),
        Table(("finding", "topic", "what"), rows),
        Line([Word(sums, "good" if is_well(found) else "bad")]),
    ]


def _sentence(where: str, what: str) -> str:
    return f"{where}: {what}" if where else what


def _gateway(machine: Machine) -> str:
    if machine.status is not None:
        return str(machine.status["gateway"])
    return machine.plan.settings.gateway.id if machine.plan is not None else ""


def _counts(found: Sequence[Found]) -> Counter[Verdict]:
    return Counter(each.finding.verdict for each in found)


def _sorted(found: Sequence[Found]) -> list[Found]:
    return sorted(found, key=lambda each: VERDICTS.index(each.finding.verdict))
