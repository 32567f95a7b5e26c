"""What a configuration says of the GA/T 1400 uplink: mistakes, warnings, files, its position in the store."""

from pathlib import Path

import pytest

from gateway.cli.probe import _view_library
from gateway.contract import ConfigError
from gateway.plan import load_plan
from gateway.settings.core import Gat1400Settings, UplinkSettings
from tests.uplink.gat1400_platform import PASSWORD, ViewLibrary
from tests.uplink.gat1400_site import settings

HEAD = """[gateway]
id = "gate-1"

[[camera]]
name = "north-gate"
url = "rtsp://10.0.0.2/1"
purpose = "vehicle gate"
[camera.vehicles]
lanes = [{ name = "main", line = [[0, 10], [10, 10]], enter = "down" }]

[[camera]]
name = "tower"
url = "rtsp://10.0.0.3/1"
purpose = "falling objects"
[camera.falling]

[uplink.gat1400]
device_id = "31011500001200000001"
"""
CAMERA = '[uplink.gat1400.camera.north-gate]\ndevice_id = "31011500001190000001"\n'


def write(folder: Path, text: str, camera: str = CAMERA) -> Path:
    (folder / "password").write_text("s3cr3t")
    (folder / "password").chmod(0o600)
    file = folder / "linli.toml"
    file.write_text(f'{HEAD}password_file = "{folder}/password"\n{text}{camera}')
    return file


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('url = "https://v.example"\n', ""),
        ('url = "http://127.0.0.1:80"\n', ""),
        ('url = "http://v.example/base"\ninsecure = true\n', ""),
        ('url = "https://v.example"\ninsecure = true\n', "insecure: has no effect with https"),
        ('url = "http://localhost"\nca_file = "/dev/null"\n', "ca_file: has no effect with http"),
        ('url = "https://v.example"\nca_file = "/nowhere/ca"\n', "ca_file: there is no file"),
    ],
)
def test_warnings(tmp_path: Path, text: str, warning: str) -> None:
    warnings = [line for line in load_plan(write(tmp_path, text)).warnings if "gat1400" in line]
    assert [warning in line for line in warnings] == ([True] if warning else [])


@pytest.mark.parametrize(
    ("text", "camera", "part"),
    [
        ('url = "http://v.example"\n', CAMERA, "url: is not encrypted"),
        ('url = "https://v.example?x"\n', CAMERA, "url: has a query"),
        ('url = "https://v.example"\nkey_file = "/x"\n', CAMERA, "key_file: needs cert_file"),
        ('url = "https://v.example"\n', CAMERA.replace("north", "west"), 'there is no camera "west-gate"'),
        ('url = "https://v.example"\n', CAMERA.replace("north-gate", "tower"), "looks for no vehicles"),
        ('url = "https://v.example"\n', CAMERA.replace("1190", "1200"), "has this code already"),
        ('url = "https://v.example"\n', CAMERA + "lanes = { side = 1 }\n", 'has no lane "side"'),
        ('url = "https://v.example"\n', "camera = {}\n", "camera"),
        ('url = "https://v.example"\nuser = "a:b"\n', CAMERA, "user: "),
    ],
)
def test_errors(tmp_path: Path, text: str, camera: str, part: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_plan(write(tmp_path, text, camera))
    (problem,) = refused.value.problems
    assert part in problem


def test_the_daemon_does_not_start_without_the_password(tmp_path: Path) -> None:
    file = write(tmp_path, 'url = "https://v.example"\n')
    (tmp_path / "password").unlink()
    with pytest.raises(ConfigError, match="password_file"):
        load_plan(file).refuse_missing_files()


def test_everybody_may_not_read_the_password(tmp_path: Path) -> None:
    file = write(tmp_path, 'url = "https://v.example"\n')
    (tmp_path / "password").chmod(0o644)
    assert any("every user of this machine can read" in line for line in load_plan(file).warnings)


def test_its_position_is_one_in_perception(tmp_path: Path) -> None:
    made = settings(tmp_path, 1, required=True)
    assert isinstance(made, Gat1400Settings)
    assert UplinkSettings(gat1400=made).consumers() == [("gat1400", ("perception",), True)]
    assert UplinkSettings().gat1400 is None


@pytest.mark.parametrize(
    ("password", "good", "says"),
    [(PASSWORD, True, "registers this gateway"), ("wrong", False, "check user and password_file")],
)
async def test_a_probe_registers_and_takes_its_leave(tmp_path: Path, password: str, good: bool, says: str) -> None:
    async with ViewLibrary() as library:
        found = await _view_library(settings(tmp_path, library.port, password=password))
    assert (found.kind, found.name, found.ok) == ("uplink", "gat1400", good)
    assert says in found.sentence
    assert (library.registrations, library.unregistrations) == ((1, 1) if good else (0, 0))
    assert library.wrong == []


async def test_a_probe_of_nothing(tmp_path: Path) -> None:
    made = settings(tmp_path, 1)
    assert "nothing listens" in (await _view_library(made)).sentence
    made.password_file.unlink()
    assert "cannot be read" in (await _view_library(made)).sentence
