"""The `linli` command itself: its list, its speed in imports, and tokens."""

import hashlib
import json
import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner

from gateway.cli import COMMANDS, linli
from gateway.cli.output import Line, Table, Word, duration, plain, since, size, value
from gateway.settings import ConsumerSettings


def test_help_lists_every_command_without_importing_any() -> None:
    code = (
        "import sys; from gateway.cli import linli\n"
        "try: linli(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.startswith('gateway.') or m.split('.')[0] in "
        "('rich', 'pydantic', 'msgspec', 'asyncio')))"
    )
    *text, modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.splitlines()
    assert modules == "['gateway.cli']"
    assert all(any(line.strip().startswith(name) for line in text) for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help(name: str) -> None:
    done = CliRunner().invoke(linli, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert "Usage:" in done.output


@pytest.mark.parametrize("module", ["status", "devices", "alarms", "records"])
def test_asking_is_light(module: str) -> None:
    code = (
        f"import sys, gateway.cli.{module}; "
        "heavy = 'rich pydantic asyncio sqlite3 starlette gateway.settings'.split(); "
        "print([m for m in heavy if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_an_unknown_command_names_the_nearest() -> None:
    done = CliRunner().invoke(linli, ["statsu"])
    assert done.exit_code == 2
    assert 'Did you mean "status"?' in done.output


def test_version() -> None:
    assert CliRunner().invoke(linli, ["--version"]).output.startswith("linli, version ")


# ---- tokens


def test_a_new_token_and_its_block() -> None:
    text = CliRunner().invoke(linli, ["token", "new", "district-platform"]).output
    token = text.split("\n\n")[1]
    (consumer,) = tomllib.loads(text[text.index("[[api.consumer]]") :])["api"]["consumer"]
    assert len(token) >= 43, "256 bits"
    assert consumer["token_sha256"] == hashlib.sha256(token.encode()).hexdigest()
    assert ConsumerSettings.model_validate(consumer).name == "district-platform"


def test_a_token_with_options_as_json() -> None:
    options = ["token", "new", "desk", "--required", "--stream", "alarm", "--stream", "disposal", "--json"]
    made = json.loads(CliRunner().invoke(linli, options).output)
    (consumer,) = tomllib.loads(made["toml"])["api"]["consumer"]
    assert consumer == {
        "name": "desk", "token_sha256": made["token_sha256"], "required": True, "streams": ["alarm", "disposal"],
    }  # fmt: skip
    assert json.loads(CliRunner().invoke(linli, options).output)["token"] != made["token"]


@pytest.mark.parametrize("name", ["Platform", "1st", 'x"y', ""])
def test_a_name_that_the_configuration_would_refuse(name: str) -> None:
    done = CliRunner().invoke(linli, ["token", "new", name])
    assert done.exit_code == 2
    assert "district-platform" in done.output


# ---- words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-5, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (7800, "2 h 10 min"),
     (86400, "1 d"), (97200, "1 d 3 h")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_since_is_seen_from_the_gateways_time() -> None:
    assert since("2026-11-21T08:00:00+08:00", "2026-11-21T02:10:00+00:00") == "21 Nov 08:00 (2 h 10 min)"
    assert since(None, "2026-11-21T02:10:00+00:00") == ""


@pytest.mark.parametrize(("count", "text"), [(5, "5 B"), (2048, "2.0 KiB"), (3 << 20, "3.0 MiB"), (2 << 30, "2.0 GiB")])
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("point", "text"),
    [
        ({"value": 1.8200000524520874, "unit": "m", "quality": "good"}, "1.82 m"),
        ({"value": 7, "unit": "", "quality": "good"}, "7"),
        ({"value": True, "unit": "", "quality": "good"}, "on"),
        ({"value": 5, "unit": "A", "quality": "uncertain"}, "5 A ?"),
        ({"value": None, "unit": "A", "quality": "bad", "reason": "crc"}, "bad (crc)"),
    ],
)
def test_values(point: dict[str, object], text: str) -> None:
    assert value(point) == text


def test_columns_align_under_chinese_and_hostile_text() -> None:
    table = Table(("name", "state"), [["水位", Word("on", "good")], ["ab\x1b[2J\n", "off"]])
    assert plain(table) == ["NAME     STATE", "水位     on", "ab�[2J�  off"]
    assert plain(Line(["a", Word("b\r", "bad")], 2)) == ["  a b�"]
