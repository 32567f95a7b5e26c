"""What an alarm has cameras keep, and what they have to remember for it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.daemon.clips import ask_for_clips, seconds_before
from gateway.plan import load_plan
from gateway.settings import AlarmSettings

ALARM = AlarmSettings.model_validate(
    {
        "name": "sump-high",
        "when": "sump-level.level > 2.5",
        "do": [
            {"clip": "north-gate", "before": "10s", "after": "5s"},
            {"clip": "north-gate", "before": "4s"},
            {"clip": "yard", "before": "0s"},
        ],
    }
)


class Asked:
    """A camera that notes what it is asked for."""

    def __init__(self, name: str, able: bool = True) -> None:
        self.name, self._able, self.purpose = name, able, "the yard"
        self.asked: list[tuple[float, float, str]] = []

    def clip(self, before: float, after: float, record: str) -> bool:
        self.asked.append((before, after, record))
        return self._able


def step(kind: str) -> Any:
    return SimpleNamespace(kind=kind, alarm=ALARM, state=SimpleNamespace(name=ALARM.name, occurrence="the record"))


def test_a_camera_remembers_as_long_as_the_longest_clip_before_an_alarm() -> None:
    assert seconds_before([ALARM], "north-gate") == 10.0
    assert seconds_before([ALARM], "yard") > 0.0
    assert seconds_before([ALARM], "tower") == 0.0


def test_clips_are_asked_for_when_the_alarm_is_raised_and_only_then(caplog: pytest.LogCaptureFixture) -> None:
    gate, yard = Asked("north-gate"), Asked("yard", able=False)
    cameras: Any = [gate, yard]
    lost = []
    for kind in ("tested", "acknowledged", "cleared", "raised"):
        lost += ask_for_clips(cameras, SystemClock("UTC"), step(kind))
    assert gate.asked == [(10.0, 5.0, "the record"), (4.0, 10.0, "the record")]
    assert len(yard.asked) == 1
    assert "alarm sump-high has no clip: camera yard" in caplog.text
    (draft,) = lost
    assert (draft.type, draft.source, draft.extra) == ("linli.media.lost.v1", "yard", {"purpose": "the yard"})
    assert (draft.data["record"], draft.data["reason"]) == ("the record", "refused")


CONFIGURATION = """
[gateway]
id = "gw-test"
state = "state"
[store]
[api]
[[camera]]
name = "gate"
url = "gate.mp4"
purpose = "vehicle gate"
{leave}
[camera.vehicles]
clip = {{ before = "5s" }}
[[alarm]]
name = "stranger"
when = "event(gate, deny)"
do = [{{ clip = "gate" }}]
"""


@pytest.mark.parametrize("leave", ["", 'unblurred = "seen from above"'])
def test_a_clip_without_leave_is_a_warning_with_its_fix(leave: str, tmp_path: Path) -> None:
    path = tmp_path / "linli.toml"
    path.write_text(CONFIGURATION.format(leave=leave))
    warnings = [line for line in load_plan(path).warnings if "clip" in line]
    assert len(warnings) == (0 if leave else 2)
    for line in warnings:
        assert line.startswith(f"{path}:")
        assert 'unblurred = "' in line
