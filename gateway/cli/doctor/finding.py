"""What the doctor finds: a verdict, where, what, and what to do; and a probe, which looks for it."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from gateway.cli.doctor.machine import Machine

Verdict = Literal["wrong", "look", "unseen", "ok"]
VERDICTS: tuple[Verdict, ...] = ("wrong", "look", "unseen", "ok")  # the order in which they are told


class Finding(NamedTuple):
    """One thing that was looked at; ``do`` is "" when there is nothing to do."""

    verdict: Verdict
    where: str
    what: str
    do: str = ""


class Probe(NamedTuple):
    """Something to look at: ``what`` is shown meanwhile, after ``seconds`` it is no longer waited for."""

    what: str
    look: "Callable[[Machine], Iterable[Finding]]"
    seconds: float = 5.0


def ok(where: str, what: str) -> Finding:
    """It is as it should be."""
    return Finding("ok", where, what)


def look(where: str, what: str, do: str) -> Finding:
    """Somebody should look at it: it works, but is odd, or will not work for ever."""
    return Finding("look", where, what, do)


def wrong(where: str, what: str, do: str) -> Finding:
    """It does not work, or will not after the next power cut."""
    return Finding("wrong", where, what, do)


def unseen(where: str, what: str, do: str = "") -> Finding:
    """It could not be looked at, which says nothing about it."""
    return Finding("unseen", where, what, do)


def parted(where: str, sentence: str, do: str, verdict: Verdict = "wrong") -> Finding:
    """Make a finding of a part's own sentence, which gives its advice behind the last semicolon; else ``do`` is it."""
    what, semicolon, advice = sentence.rpartition("; ")
    return Finding(verdict, where, what, advice) if semicolon else Finding(verdict, where, sentence, do)
