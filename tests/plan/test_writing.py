"""What `linli check` says of points that may be written, and of alarms that write them."""

import re
from pathlib import Path

import pytest

from gateway.contract import ConfigError
from gateway.plan import load_plan

HEAD = """
[gateway]
id = "test-gate"
[[line]]
name = "plant"
tcp = "192.0.2.1:502"
[[device]]
name = "tank"
driver = "modbus"
line = "plant"
points.level = { at = "holding:0" }
"""
SIREN = """
[[device]]
name = "siren"
driver = "modbus"
line = "plant"
address = 2
points.output = { at = "coil:0", type = "bool", write = true }
points.volume = { at = "holding:1", scale = 0.5, valid = [0, 100], unit = "dB", write = true }
points.mode = { at = "holding:2", enum = { 0 = "off", 1 = "on" }, write = true }
points.seen = { at = "holding:3" }
"""
PROFILE = """
driver = "modbus"
model = "Relay board for tests"
[points.one]
at = "coil:0"
type = "bool"
write = true
[points.two]
at = "coil:1"
type = "bool"
write = true
[points.three]
at = "coil:2"
type = "bool"
report = { on = "change", at_least = "10m" }
[points.temperature]
at = "input:0"
[[vector]]
source = "synthetic"
registers = { "coil:0" = [1, 0, 0], "input:0" = [21] }
expect = { one = true, two = false, three = false, temperature = 21 }
"""


def planned(folder: Path, text: str):
    (folder / "devices").mkdir(parents=True)
    (folder / "devices" / "relay-board.toml").write_text(PROFILE, encoding="utf-8")
    path = folder / "linli.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return load_plan(path)


def alarm(*do: str) -> str:
    return f'{SIREN}[[alarm]]\nname = "high"\nwhen = "tank.level > 5"\ndo = [{", ".join(do)}]\n'


@pytest.mark.parametrize(
    ("do", "key", "words"),
    [
        ('{ write = "siren.output", value = 1 }', "value", "true or false"),
        ('{ write = "siren.seen", value = 1 }', "write", "may not be written; add write = true"),
        ('{ write = "siren.volume", value = 101 }', "value", "expected 0 to 100 dB"),
        ('{ write = "siren.volume", value = 10.2 }', "value", "nearest that it can be is 10 dB"),
        ('{ write = "siren.volume", value = 10, until = "cleared", else = -1 }', "else", "write 0 to 100 dB"),
        ('{ write = "siren.volume", value = 10, until = "cleared" }', "until", "also needs else"),
        ('{ write = "siren.volume", value = 10, else = 0 }', "else", "add until"),
        ('{ write = "siren.mode", value = "onn" }', "value", 'did you mean "on"?'),
        ('{ write = "siren.output", value = true, until = "never" }', "until", "cleared"),
    ],
)
def test_what_an_alarm_cannot_write_is_told_with_its_place(tmp_path: Path, do: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        planned(tmp_path, alarm(do))
    (problem,) = refused.value.problems
    assert f"alarm.high.do[1].{key}: " in problem
    assert words in problem
    line = int(problem.removeprefix(f"{tmp_path / 'linli.toml'}:").partition(":")[0])
    assert "do = [" in (tmp_path / "linli.toml").read_text().splitlines()[line - 1]


def test_what_an_alarm_can_write(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        alarm(
            '{ write = "siren.output", value = true, until = "acknowledged" }',
            '{ write = "siren.volume", value = 80.5, until = "cleared", else = 0 }',
            '{ write = "siren.mode", value = "on" }',
        ),
    )
    assert plan.warnings == ()
    first, second, _ = plan.settings.alarm[0].do
    assert (first.after, second.after) == (False, 0)


@pytest.mark.parametrize("asked", ['write = ["three"]', "points.three = { write = true }", "points.three.write = true"])
def test_how_a_point_of_a_profile_is_written_anew_can_be_pasted(tmp_path: Path, asked: str) -> None:
    device = '[[device]]\nname = "d"\nline = "plant"\naddress = 9\nprofile = "relay-board"\n'
    with pytest.raises(ConfigError) as refused:
        planned(tmp_path / "asked", device + asked + "\n")
    (problem,) = refused.value.problems
    _, found, anew = problem.partition("points.three = {")
    assert found, problem
    _tank, plan = planned(tmp_path / "pasted", f"{device}{found}{anew}\n").devices
    three = plan.spec.points["three"]
    assert (three.at, three.type, three.write) == ("coil:2", "bool", True)
    assert plan.reports["three"].at_least == 600


def test_a_point_that_is_no_profiles_is_told_as_before(tmp_path: Path) -> None:
    device = '[[device]]\nname = "d"\nline = "plant"\nprofile = "{}"\npoints.four = {{ write = true }}\n'
    for profile in ("relay-board", "no-such-board"):
        with pytest.raises(ConfigError) as refused:
            planned(tmp_path / profile, device.format(profile))
        assert any("points.four.at: is missing; expected where the driver" in one for one in refused.value.problems)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ('driver = "modbus"\npoints.p = { at = "holding:0", write = true }', "without valid"),
        ('driver = "modbus"\npoints.p = { at = "input:0", valid = [0, 1], write = true }', "input can only be read"),
        ('driver = "dlt645"\naddress = "000000000001"\npoints.p = { at = "00010000", type = "bcd", length = 4, '
         'scale = 0.01, valid = [0, 1], write = true }', "a meter is only ever read"),
        ('profile = "relay-board"\nwrite = ["one", "five"]', 'its profile has no point "five"'),
        ('profile = "relay-board"\nwrite = ["temperature"]', "does not say that temperature can be written"),
        ('profile = "relay-board"\nwrite = ["p"]\npoints.p = { at = "coil:3", type = "bool" }', "put write = true"),
    ],
)  # fmt: skip
def test_a_point_that_cannot_be_written_is_told(tmp_path: Path, device: str, words: str) -> None:
    address = "" if "address" in device else "address = 9\n"
    with pytest.raises(ConfigError) as refused:
        planned(tmp_path, f'[[device]]\nname = "d"\nline = "plant"\n{address}{device}\n')
    assert words in refused.value.problems[0]


def test_what_a_profile_can_do_is_not_yet_allowed(tmp_path: Path) -> None:
    board = '[[device]]\nname = "d{0}"\nline = "plant"\naddress = 1{0}\nprofile = "relay-board"\n'
    plan = planned(tmp_path, board.format(0) + board.format(1) + 'write = ["two"]\n')
    allowed = {
        device.name: [name for name, point in device.spec.points.items() if point.write] for device in plan.devices
    }
    assert allowed == {"tank": [], "d0": [], "d1": ["two"]}


def test_the_guides_example_works_as_written(tmp_path: Path) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "writes.md").read_text(encoding="utf-8")
    devices, actions = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    others = "".join(
        f'[[device]]\nname = "{name}"\ndriver = "modbus"\nline = "plant-room"\naddress = {number}\npoints.{point} = '
        f"{{ at = {at}, write = true }}\n"
        for number, (name, point, at) in enumerate(
            (
                ("fan", "speed", '"holding:0", valid = [0, 100]'),
                ("valve", "closed", '"coil:0", type = "bool"'),
                ("barrier", "open", '"coil:0", type = "bool"'),
            ),
            20,
        )
    )
    line = '[[line]]\nname = "plant-room"\ntcp = "192.0.2.2:502"\n'
    relays = devices.replace('profile = "relay-board"', 'profile = "relay-board"\naddress = 9')
    plan = planned(tmp_path, f'{line}{relays}{others}[[alarm]]\nname = "high"\nwhen = "tank.level > 5"\n{actions}')
    assert [action.until for action in plan.settings.alarm[0].do] == ["acknowledged", "cleared", None, None]
    assert plan.settings.alarm[0].do[-1].for_ == 1.0
