"""Alarm rules: readings and camera events in, steps of the alarms' life cycles out.

A condition has three values. An input that is bad or was never read makes what depends on it unknown; ``or`` with a
true side stays true and ``and`` with a false side stays false. Unknown holds an alarm's state and stops its ``for``
timer, which starts again from nothing. ``event(camera, word)`` is true for 60 s after each such event, so an alarm on
an event alone is raised at the first, prolonged by others (and raised anew when it was acknowledged), and cleared 60 s
after the last. A camera's fault is such an event for as long as it lasts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.rules.alarm import ACTIVE, SEVERITY_NUMBERS, Alarm, AlarmData, AlarmState, Phase, Stamp, Transition
from gateway.rules.engine import Rules, utc
from gateway.rules.expression import Expression, parse
from gateway.rules.inputs import EVENT_HOLDS, Inputs
from gateway.rules.names import FAULTS, Known
from gateway.rules.nodes import Kind
from gateway.settings import AlarmSettings

__all__ = [
    "ACTIVE",
    "SEVERITY_NUMBERS",
    "AlarmData",
    "AlarmState",
    "Phase",
    "RuleProblem",
    "Rules",
    "Transition",
    "compile_rules",
]


class RuleProblem(NamedTuple):
    """What is wrong with one alarm: its index in the configuration, the key, and a sentence with the fix."""

    alarm: int
    key: str
    message: str


def compile_rules(
    alarms: Sequence[AlarmSettings],
    points: Mapping[str, frozenset[str]],
    cameras: frozenset[str],
    *,
    kinds: Mapping[str, Kind] | None = None,
    stamp: Stamp = utc,
) -> tuple[Rules, list[RuleProblem]]:
    """Parse every alarm once. ``points`` by device; ``kinds`` of ``device.point`` where known, for type checks.

    With problems, the rules that come back lack the alarms that have them.
    """
    inputs, known, problems, compiled = Inputs(), Known(points, cameras, kinds or {}), [], []
    for index, alarm in enumerate(alarms):
        when, wrong = parse(alarm.when, known, inputs)
        problems += [RuleProblem(index, "when", message) for message in wrong]
        clear: Expression | None = None
        if alarm.clear is not None:
            clear, wrong = parse(alarm.clear, known, inputs)
            problems += [RuleProblem(index, "clear", message) for message in wrong]
        passing = when is not None and any(name.partition(".")[2] not in FAULTS for name in when.events)
        if passing and alarm.for_ >= EVENT_HOLDS:
            message = (
                f"event(…) is true for {EVENT_HOLDS:g} s after an event, so a delay of {alarm.for_:g} s never ends"
            )
            problems.append(RuleProblem(index, "for", f"{message}; leave it out or make it shorter"))
        if when is not None and (clear is not None or alarm.clear is None):
            used = (when, clear) if clear else (when,)
            devices = {name.partition(".")[0] for expression in used for name in expression.points}
            seen = {name.partition(".")[0] for expression in used for name in expression.events}
            compiled.append((Alarm(alarm, when, clear), frozenset(devices), frozenset(seen)))
    rules = Rules(compiled, inputs)
    rules.stamp = stamp
    return rules, problems
