"""Options of a device: taken by the driver, and every mistake named."""

from pathlib import Path

import pytest

from drivers._options import Options
from gateway.contract import ConfigError, DeviceSpec, LineKind
from gateway.plan import load_plan


def options(**given) -> Options:
    return Options(DeviceSpec("d", "x", 1, LineKind.SERIAL, {}, {"framing": "rtu", **given}))


def test_what_is_given_is_taken_and_defaults_hold():
    taken = options(wake=2, blocks=False, order="low")
    assert taken.number("wake", 4, 0, 32) == 2
    assert taken.flag("blocks", default=True) is False
    assert taken.word("order", "learn", ("learn", "low")) == "low"
    assert taken.number("other", 7, 0, 9) == 7
    assert taken.finish() == []


@pytest.mark.parametrize("wrong", [-1, 33, "4", 4.0, True, None, [4]])
def test_a_number_is_a_whole_number_in_its_range(wrong):
    taken = options(wake=wrong)
    assert taken.number("wake", 4, 0, 32) == 4
    assert len(taken.finish()) == 1


def test_flags_and_words_and_unknown_keys():
    taken = options(blocks=1, order=["low"], weak=3)
    taken.flag("blocks", default=True)
    taken.word("order", "learn", ("learn", "low"))
    taken.number("wake", 4, 0, 32)
    keys = [problem.partition(": ")[0] for problem in taken.finish()]
    assert keys == ["options.blocks", "options.order", "options.weak"]
    assert 'did you mean "wake"?' in taken.finish()[-1]


def test_a_wrong_option_is_named_with_its_line(tmp_path: Path):
    path = tmp_path / "linli.toml"
    path.write_text(
        f'[gateway]\nid = "gate-1"\nstate = "{tmp_path}"\n[[line]]\nname = "bus"\nserial = "/dev/null"\n'
        '[[device]]\nname = "a"\nline = "bus"\nprofile = "qdy30a"\naddress = 3\noptions = { wake = 4 }\n'
    )
    with pytest.raises(ConfigError) as refused:
        load_plan(path)
    assert refused.value.problems[0].startswith(f"{path}:12: ")
    assert "there is no such option" in str(refused.value)


def test_a_wrong_option_of_a_profile_is_named_in_the_profile(tmp_path: Path):
    profile = tmp_path / "devices" / "mine.toml"
    profile.parent.mkdir()
    profile.write_text(
        'driver = "dlt645"\nmodel = "mine"\noptions = { wake = 99 }\n'
        '[points.energy]\nat = "00-01-00-00"\ntype = "bcd"\nlength = 4\n'
    )
    path = tmp_path / "linli.toml"
    path.write_text(
        f'[gateway]\nid = "gate-1"\nstate = "{tmp_path}"\n[[line]]\nname = "bus"\nserial = "/dev/null"\n'
        '[[device]]\nname = "a"\nline = "bus"\nprofile = "mine"\naddress = "202312345678"\n'
    )
    with pytest.raises(ConfigError) as refused:
        load_plan(path)
    assert refused.value.problems == (f"{profile}:3: options.wake: 99 does not fit; write a whole number from 0 to 32",)
