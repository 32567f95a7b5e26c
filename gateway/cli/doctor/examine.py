"""Runs all probes one after the other, each in a thread of its own: none can keep the others waiting or end them."""

import pkgutil
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from gateway.cli.doctor import topics
from gateway.cli.doctor.finding import Finding, Probe, unseen
from gateway.cli.doctor.machine import Machine

PACKAGE = Path(__file__).parents[2]
LONGEST = 200  # characters of an error that are shown


class Found(NamedTuple):
    """A finding and the topic that it belongs to."""

    topic: str
    finding: Finding


def all_topics() -> dict[str, tuple[Probe, ...]]:
    """The probes of every module in ``topics``, by its name: a new file is a new topic, with no list to add it to."""
    names = sorted(module.name for module in pkgutil.iter_modules(topics.__path__))
    return {name.replace("_", "-"): import_module(f"{topics.__name__}.{name}").PROBES for name in names}


def examine(
    machine: Machine, probes: Mapping[str, Sequence[Probe]], progress: Callable[[str], None] = lambda _what: None
) -> list[Found]:
    """Let every probe look; one that fails, or takes too long, is a finding of its own."""
    found: list[Found] = []
    with _deaths() as died:
        for topic, several in probes.items():
            for probe in several:
                progress(probe.what)
                found += [Found(topic, finding) for finding in _tried(probe, machine, died)]
    return found


class _Trial(threading.Thread):
    """One probe at work. It may be left behind hanging, so the program does not wait for it at its end."""

    def __init__(self, probe: Probe, machine: Machine) -> None:
        super().__init__(name=f"probe {probe.what}", daemon=True)
        self.found: list[Finding] = []
        self.finished = False
        self._probe, self._machine = probe, machine

    def run(self) -> None:
        for finding in self._probe.look(self._machine):
            self.found.append(finding)
        self.finished = True


def _tried(probe: Probe, machine: Machine, died: Mapping[threading.Thread, BaseException]) -> list[Finding]:
    trial = _Trial(probe, machine)
    trial.start()
    trial.join(probe.seconds)
    finished, hangs = trial.finished, trial.is_alive()
    found = list(trial.found)
    if finished:
        return found
    if hangs:
        what = f"looking at it did not end within {probe.seconds:g} s and was given up"
        return [*found, unseen(probe.what, what, "look at it by hand; what hangs here may hang the gateway, too")]
    error = died.get(trial)
    told = "for a reason that is not known" if error is None else _told(error)
    advice = "a defect of the doctor, not of this machine: report it"
    return [*found, unseen(probe.what, f"this probe failed itself: {told}", advice)]


def _told(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    where = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {error}"[:LONGEST] + where


@contextmanager
def _deaths() -> Iterator[Mapping[threading.Thread, BaseException]]:
    """Collect what ends threads, instead of printing it."""
    died: dict[threading.Thread, BaseException] = {}

    def note(args: threading.ExceptHookArgs) -> None:
        if args.thread is not None and args.exc_value is not None:
            died[args.thread] = args.exc_value

    before, threading.excepthook = threading.excepthook, note
    try:
        yield died
    finally:
        threading.excepthook = before
