"""Loading a configuration: strict types, places of keys, plain words for what is no TOML."""

from pathlib import Path

import pytest

from gateway.contract import ConfigError
from gateway.settings import Settings
from gateway.settings.load import load

MINIMAL = '[gateway]\nid = "gate-1"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "linli.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> tuple[str, ...]:
    path = write(folder, text)
    with pytest.raises(ConfigError) as refused:
        load(path)
    return tuple(problem.removeprefix(f"{path}:") for problem in refused.value.problems)


def test_a_gateway_alone_is_a_configuration(tmp_path: Path) -> None:
    settings = load(write(tmp_path, MINIMAL)).settings
    assert settings.gateway.id == "gate-1"
    assert settings.store.commit == 0.5
    assert settings.store.records == 2 << 30
    assert settings.api.listen == "127.0.0.1:8470"
    assert settings.uplink.mqtt is None


def test_durations_are_seconds_and_sizes_bytes(tmp_path: Path) -> None:
    text = MINIMAL + '[store]\nrecords = "1MiB"\nmedia = "1.5GiB"\ncommit = "50ms"\nkeep = { alarm = "2h" }\n'
    store = load(write(tmp_path, text)).settings.store
    assert (store.records, store.media, store.commit) == (1 << 20, 3 << 29, 0.05)
    assert store.keep.alarm == 7200
    assert store.keep.perception == 30 * 86400
    assert set(store.keep.of_media().values()) == {30 * 86400}


@pytest.mark.parametrize("key", ["commit", "records"])
def test_a_line_break_behind_a_quantity_is_told_in_plain_words(tmp_path: Path, key: str) -> None:
    text = '"5s\\n"' if key == "commit" else '"5MiB\\n"'
    (problem,) = refusal(tmp_path, f"{MINIMAL}[store]\n{key} = {text}\n")
    assert "did you mean" in problem


@pytest.mark.parametrize("value", ['"1024KiB"', '"1MiB"', '"1TiB"'])
def test_quotas_from_one_mebibyte_up_are_accepted(tmp_path: Path, value: str) -> None:
    assert load(write(tmp_path, f"{MINIMAL}[store]\nrecords = {value}\n")).settings.store.records >= 1 << 20


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('required = "true"', "true or false"),
        ("required = 1", "true or false"),
        ('window = "100"', "whole number"),
        ("window = 1.5", "whole number"),
        ("window = nan", "whole number"),
        ("user = 5", "text in quotes"),
        ("user = 1979-05-27", "date"),
        ("url = true", "text in quotes"),
        ('streams = "alarm"', "list"),
        ("streams = []", "at least 1"),
        ("ca_file = 1", "text in quotes"),
    ],
)
def test_types_are_taken_strictly(tmp_path: Path, line: str, says: str) -> None:
    key = line.split(" ")[0]
    url = "" if key == "url" else 'url = "mqtt://localhost"\n'
    (problem,) = refusal(tmp_path, f"{MINIMAL}[uplink.mqtt]\n{url}{line}\n")
    assert problem.startswith(f"{4 + bool(url)}: uplink.mqtt.{key}")
    assert says in problem


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    text = MINIMAL + (
        '[[line]]\nname = "l"\ntcp = "h:1"\n[[device]]\nname = "d"\nline = "l"\ndriver = "modbus"\n'
        'points.p = { at = "input:0", scale = inf, offset = nan }\n'
    )
    first, second = refusal(tmp_path, text)
    assert first.startswith("10: device.d.points.p.scale: is")
    assert second.startswith("10: device.d.points.p.offset: is")


PLACES = """\
top = 1
[gateway]   # comment
id = "g"    # another
state.a.b = 1
[[line]]
# comment
name = "l"
[[device]]
name = "d"
points.a = { at = "x", report = { on = "y" } }
[device.points.b]
at = "z"
"quoted key" = 1
[[device]]
name = "e"
[[device.sub]]
x = 1
[[device.sub]]
x = 2
[other]
list = [
  1,
  # between
  { a = 1, b = [
     2, 3] },
]
[deep.er.still]
k = 1
[deep]
k = 2
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("top",), 1),
        (("gateway",), 2),
        (("gateway", "id"), 3),
        (("gateway", "nothing"), 2),
        (("gateway", "state", "a", "b"), 4),
        (("line", 0), 5),
        (("line", 0, "name"), 7),
        (("device", 0, "missing"), 8),
        (("device", 0, "points", "a", "report", "on"), 10),
        (("device", 0, "points", "b"), 11),
        (("device", 0, "points", "b", "at"), 12),
        (("device", 0, "points", "b", "quoted key"), 13),
        (("device", 1, "name"), 15),
        (("device", 1, "sub", 0, "x"), 17),
        (("device", 1, "sub", 1, "x"), 19),
        (("other", "list", 0), 22),
        (("other", "list", 1, "a"), 24),
        (("other", "list", 1, "b", 1), 25),
        (("deep", "er"), 27),
        (("deep", "k"), 30),
        (("deep",), 29),
        (("nowhere",), 1),
    ],
)
def test_every_key_has_its_line(tmp_path: Path, keys: tuple[str | int, ...], line: int) -> None:
    from gateway.settings.document import Document

    path = write(tmp_path, PLACES)
    assert Document.read(path).line(keys) == line


def test_where_names_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    loaded = load(path)
    assert loaded.where("gateway", "id") == f"{path}:2"
    assert loaded.where("gateway", "site") == f"{path}:1"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a = hello", 1, "needs straight quotes"),
        ('a = "x', 1, "quote"),
        ("a = 1\nb = 2\na = 2\nc = 1", 3, "first in line 1"),
        ("a = 1\na = [\n1,\n]\nc = 1", 2, "first in line 1"),
        ("[x]\n[x]\n", 2, "first in line 1"),
        ("[[device]]\n[device]\n", 2, "two brackets, [[device]]"),
        ("a = [1,\n\n", 1, "not closed before the file ends"),
        ("a = [1,\n[b]\nx = 1", 1, "not closed"),
        ("a = [\n1\n2\n]", 1, "lacks a comma"),
        ("a = { b = 1", 1, "not closed"),
        ("a = { b = 1,\n}", 1, "one line"),
        ("a 1", 1, "key = value"),
        ("a: 1", 1, "expected ="),
        ('a = "c:\\d"', 1, "twice"),
        ("a = 1 b = 2", 1, "two keys"),
        ("a = 5s", 1, "quotes"),
        ("[x\na = 1", 1, "not closed"),
        ('a = """x\nb = 1', 1, "never closed"),
        ("\ufeffa = 1", 1, "byte order mark"),
        ("a = True", 1, "small letters"),
        ('a = "x\x01"', 1, "control character"),
        ("a = “x”", 1, "typographic"),
        ("a =\nb = 1", 1, "nothing after the ="),
        ("a=" + "[" * 3000, 1, "deeply"),
        ("a=" + "1" * 5000, 1, "digits"),
        ("x = 1\r\ny = z\r\n", 2, "quotes"),
    ],
)
def test_what_is_no_toml_is_explained(tmp_path: Path, text: str, line: int, says: str) -> None:
    (problem,) = refusal(tmp_path, text)
    assert problem.startswith(f"{line}: ")
    assert says in problem
    assert "column" not in problem


@pytest.mark.parametrize("text", ["[x]\npassword = hunter2", "password = 1hunter2", 'password = "hunter2'])
def test_what_may_be_a_secret_is_not_repeated(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in "".join(refusal(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none.toml", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(ConfigError) as refused:
            load(path)
        assert says in str(refused.value)
        assert str(refused.value).startswith(f"{path}:1: ")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[gateway]\nsite = "M\xfcnchen"\n')
    with pytest.raises(ConfigError, match=r"latin\.toml:2: .*UTF-8"):
        load(latin)


def test_the_example_is_sound(shared: Path) -> None:
    settings = load(shared / "linli.example.toml").settings
    assert isinstance(settings, Settings)
    assert [line.kind.value for line in settings.line] == ["serial", "tcp", "listen"]
    assert settings.device[2].points["motor-current"].report.at_least == 600
