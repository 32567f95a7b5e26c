"""Whatever happens to a configuration file, it becomes a plan or a refusal in plain words, never a traceback."""

import re
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.contract import ConfigError
from gateway.plan import load_plan

HERE = Path(__file__).parent
COMMUNITY = (HERE / "community.toml").read_text(encoding="utf-8")
LEVEL = (HERE / "level.toml").read_text(encoding="utf-8")
EXAMPLE = HERE.parents[2] / "shared" / "linli.example.toml"
TEXTS = [COMMUNITY, *([EXAMPLE.read_text(encoding="utf-8").replace("qdy30a", "level")] if EXAMPLE.is_file() else [])]
LITERALS = [
    "1", "-1", "0", "1.5", "true", '""', '"x"', "[]", "{}", "[[]]", "[1, 2]", "{ a = 1 }", "nan", "-inf", "1979-05-27",
    "07:32:00", '"5s"', '"1MiB"', "9223372036854775808", '"0.0.0.0:1"', '"../x"', '"\\u0000"', '"é"', "[true]", "[[1]]",
    '"rtsp://[::1"', '"mqtt://a:b:c"', '"10.0.0.0/8"', '[{}]', '{ write = 1 }', '[{ write = "a.b", value = [] }]',
]  # fmt: skip
STOP = re.compile(r"pydantic|Traceback|Input should|NoneType")


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 6)):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[at])
            case 2:
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                key = lines[at].split("=")[0]
                lines[at] = f"{key}= {draw(st.sampled_from(LITERALS))}"
            case 4:
                where = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:where] + draw(st.text(max_size=3)) + lines[at][where + 1 :]
            case 5:
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case _:
                lines[at] = lines[at].replace("[", "[[", 1) if "[[" not in lines[at] else lines[at].replace("[[", "[")
        lines = lines or [""]
    return "\n".join(lines)


def outcome(text: str, profile: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "devices").mkdir()
        (place / "devices" / "level.toml").write_bytes(profile.encode("utf-8", "surrogatepass"))
        path = place / "linli.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            plan = load_plan(path)
        except ConfigError as error:
            said = error.problems
            assert said
        else:
            said = plan.warnings
            assert {device.name for device in plan.devices} == {*plan.drivers, *plan.stations}
        for line in said:
            assert re.match(rf"{re.escape(folder)}/[a-z/]+\.toml:[1-9]\d*: \S", line), line
            assert "\n" not in line
            assert not STOP.search(line), line


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(TEXTS).flatmap(lambda text: damaged(text)))
def test_a_damaged_configuration_is_a_plan_or_a_refusal(text: str) -> None:
    outcome(text, LEVEL)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged(LEVEL))
def test_a_damaged_profile_is_a_plan_or_a_refusal(profile: str) -> None:
    outcome(COMMUNITY, profile)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_refusal(text: str) -> None:
    outcome(text, LEVEL)
