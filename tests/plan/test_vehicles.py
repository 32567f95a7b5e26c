"""What a configuration says of gates, areas and lists, judged as a whole."""

import shutil
from pathlib import Path

import pytest

from gateway.contract import ConfigError
from gateway.plan import load_plan
from gateway.vision.packs import FACES, Choice, choose

MODELS = Path(__file__).resolve().parents[2] / "models"
LEAVE = 'unblurred = "a yard without people"\n[camera.v'
HEAD = """[gateway]
id = "test-gate"
state = "state"
[[line]]
name = "plant"
tcp = "127.0.0.1:1502"
[[device]]
name = "barrier"
driver = "modbus"
line = "plant"
address = 1
every = "1s"
[device.points.open]
at = "coil:0"
type = "bool"
write = true
[device.points.state]
at = "coil:1"
type = "bool"
"""
LANES = 'lanes = [{ name = "main", line = [[0, 10], [100, 10]], enter = "down" }]\n'


def camera(name: str, text: str) -> str:
    return f'[[camera]]\nname = "{name}"\nurl = "rtsp://x/1"\npurpose = "gate"\n[camera.vehicles]\n{text}\n'


def told(tmp_path: Path, *cameras: str) -> tuple[tuple[str, ...], list[str]]:
    """Errors, or else warnings, of a configuration with these cameras."""
    path = tmp_path / "linli.toml"
    path.write_text(HEAD + "".join(cameras), encoding="utf-8")
    try:
        plan = load_plan(path)
    except ConfigError as error:
        return error.problems, []
    return (), [*plan.warnings, *plan.broken_list_lines()]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('open = { write = "barrier.open", value = true }', "for a moment"),
        ('open = { write = "barrier.open", value = true, for = "1s", until = "cleared" }', "until and for"),
        ('open = { write = "barrier.state", value = true, for = "1s" }', "may not be written"),
        ('open = { write = "barier.open", value = true, for = "1s" }', 'did you mean "barrier"'),
        ('open = { write = "barrier.open", value = 3, for = "1s", else = 0 }', "switched with true or false"),
        ("spaces = 3\ncharging = 4", "more than spaces"),
        ('zones = [{ name = "a", area = [[0, 0], [1, 0]] }]', "three"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, why: str) -> None:
    errors, _ = told(tmp_path, camera("north", LANES + text))
    assert len(errors) == 1
    assert why in errors[0]


def test_gates_of_one_area_agree(tmp_path: Path) -> None:
    north, south = camera("north", LANES + 'area = "yard"\nspaces = 5'), camera("south", LANES + 'area = "yard"')
    assert told(tmp_path, north, south) == ((), [])
    (error,), _ = told(tmp_path, north, camera("south", LANES + 'area = "yard"\nspaces = 6'))
    assert 'the area "yard" 5' in error


def test_what_cannot_work_is_said(tmp_path: Path) -> None:
    opens = 'open = { write = "barrier.open", value = true, for = "1s" }'
    _, warnings = told(tmp_path, camera("north", f"spaces = 5\n{opens}"))
    assert [("without lanes" in each, "never opens" in each) for each in warnings] == [(True, False), (False, True)]


def test_pictures_that_outlive_their_records_are_said(tmp_path: Path) -> None:
    def warned(keep: str, *cameras: str) -> bool:
        return any("erased by plate" in each for each in told(tmp_path, f"[store]\nkeep = {{ {keep} }}\n", *cameras)[1])

    assert warned('media = "90d"', camera("north", ""))
    assert not warned('media = "90d"')
    assert not warned('media = "90d", vehicle_media = "30d"', camera("north", ""))
    assert not warned('media = "30d"', camera("north", ""))


def test_where_everybody_would_count_as_on_no_list_is_said(tmp_path: Path) -> None:
    (tmp_path / "allow.csv").write_text("plate\n")
    listed = camera("north", f'lists = {{ allow = "{tmp_path / "allow.csv"}" }}')
    for keep, cameras, times in (("7d", (listed, camera("south", "")), 1), ("7d", (listed,), 0), ("", (listed,), 0)):
        store = f'[store]\nkeep = {{ unlisted_vehicles = "{keep}" }}\n' if keep else ""
        _, warnings = told(tmp_path, store, *cameras)
        assert sum("residents too" in each for each in warnings) == times


def test_a_gate_whose_deny_list_is_not_there_is_said_to_stay_shut(tmp_path: Path) -> None:
    for name in ("allow", "deny"):
        (tmp_path / f"{name}.csv").write_text("plate\n")
    opens = 'open = { write = "barrier.open", value = true, for = "1s" }'
    lists = f'lists = {{ allow = "{tmp_path / "allow.csv"}", deny = "{tmp_path / "deny.csv"}" }}'
    assert told(tmp_path, camera("north", f"{opens}\n{lists}")) == ((), [])
    (tmp_path / "deny.csv").unlink()
    _, warnings = told(tmp_path, camera("north", f"{opens}\n{lists}"))
    assert sum("opens for nobody" in each for each in warnings) == 1
    _, warnings = told(tmp_path, camera("north", lists))
    assert not any("opens for nobody" in each for each in warnings)


def test_broken_lines_of_a_list_are_named(tmp_path: Path) -> None:
    path = tmp_path / "allow.csv"
    path.write_text("plate,from\n沪A12345,2026-01-01\n沪A1O345,\n沪A12345,soon\n", encoding="utf-8")
    lists = f'lists = {{ allow = "{path}" }}'
    _, warnings = told(tmp_path, camera("north", lists), camera("south", lists))
    assert [each.partition(": ")[0] for each in warnings] == [f"{path}:3", f"{path}:4"]
    assert not any("沪" in each.partition("expected")[0] for each in warnings)


COUNTED = LANES + 'spaces = 9\npassback = "refuse"\n'
OPENS = 'open = { write = "barrier.open", value = true, for = "1s" }\nlists = { allow = "allow.csv" }\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (COUNTED + OPENS, False),
        (COUNTED, True),
        (LANES + 'passback = "refuse"\n' + OPENS, True),
        ('spaces = 9\npassback = "refuse"\n' + OPENS, True),
    ],
)
def test_a_refusal_that_refuses_nothing_is_said(tmp_path: Path, text: str, said: bool) -> None:
    (tmp_path / "allow.csv").write_text("plate\n沪A12345\n", encoding="utf-8")
    errors, warnings = told(tmp_path, camera("north", text))
    assert not errors
    assert any("refuses nothing" in warning for warning in warnings) == said


def test_an_alarm_hears_of_who_is_in_already(tmp_path: Path) -> None:
    alarm = '[[alarm]]\nname = "twice"\nseverity = "warning"\nwhen = "event(north, {})"\n'
    for event in ("already-in", "already-out"):
        assert not told(tmp_path, camera("north", LANES + "spaces = 9\n"), alarm.format(event))[0]
    assert told(tmp_path, camera("north", LANES), alarm.format("alredy-in"))[0]


def test_a_clip_needs_leave_or_a_model_that_finds_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "models"
    shutil.copytree(MODELS / "face-detector", made / "face-detector", ignore=shutil.ignore_patterns("files"))
    monkeypatch.setenv("LINLI_MODELS", str(made))
    clip = camera("north", LANES + 'clip = { before = "5s" }\n')

    def warned() -> bool:
        return any("no clips" in warning for warning in told(tmp_path, clip)[1])

    assert warned()
    assert not any("no clips" in warning for warning in told(tmp_path, clip.replace("[camera.v", LEAVE))[1])
    (made / "face-detector" / "files").mkdir()
    (made / "face-detector" / "files" / "centerface.onnx").write_bytes(b"its check is another's work")
    assert warned()
    choose(made, FACES, Choice("face-detector", ""))
    assert not warned()
    (made / "in-use.json").write_text("{")
    assert warned()
