"""A plan says what will run, what will not, and refuses what cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.contract import ConfigError
from gateway.plan import load_plan

KEY = "-----BEGIN PRIVATE KEY-----\n"


def test_what_is_built_runs(community: Path) -> None:
    plan = load_plan(community)
    assert plan.path == community
    assert [device.name for device in plan.devices] == ["sump", "meter", "pump", "old", "smoke"]
    assert set(plan.drivers) == {"sump", "meter", "pump", "old"}
    assert set(plan.stations) == {"smoke"}
    assert {line.name for line in plan.settings.line} == {"rs485-1", "plant", "cast", "fire"}
    assert [camera.name for camera in plan.settings.camera] == ["gate", "tower"]
    assert {state.name for state in plan.rules.states()} == {"sump-high", "meter-silent", "smoke"}


def test_a_device_is_joined_with_its_profile(community: Path) -> None:
    sump, _, pump, old, smoke = load_plan(community).devices
    assert (sump.model, sump.every, sump.timeout) == ("Level transmitter for tests", 5.0, 1.0)
    assert sump.serial is not None
    assert (sump.serial.baud, sump.serial.format) == (2400, "8E1")
    # A point in the configuration replaces the profile's whole point of that name.
    assert (sump.spec.points["level"].at, sump.spec.points["level"].scale) == ("input:9", 1.0)
    assert sump.spec.points["temperature"].unit == "°C"
    assert sump.reports["level"].deadband == 0.01
    assert (pump.spec.options["framing"], pump.every) == ("tcp", 5.0)
    assert old.spec.options["framing"] == "ascii"
    assert smoke.timeout == 300  # it calls us: so long it may be silent


def test_warnings_name_file_line_and_key(community: Path) -> None:
    warnings = load_plan(community).warnings
    lines = community.read_text(encoding="utf-8").splitlines()
    for warning in warnings:
        place, _, rest = warning.removeprefix(f"{community}:").partition(": ")
        key = rest.partition(":")[0].split(".")[-1].partition("[")[0]
        assert key in lines[int(place) - 1], warning
    assert sum("there is no file /nowhere/" in warning for warning in warnings) == 3


def test_missing_secrets_and_certificates_stop_the_daemon_only(community: Path) -> None:
    plan = load_plan(community)
    with pytest.raises(ConfigError) as refused:
        plan.refuse_missing_files()
    text = str(refused.value)
    assert "uplink.mqtt.password_file" in text
    assert "uplink.mqtt.ca_file" in text
    assert "deny.csv" not in text  # a list that is missing empties the list, no more
    assert all(problem.startswith(f"{community}:") for problem in refused.value.problems)


def test_present_files_are_not_mentioned(community: Path, place: Path) -> None:
    text = community.read_text(encoding="utf-8").replace("/nowhere", str(place))
    community.write_text(text, encoding="utf-8")
    for name in ("broker", "ca.crt", "deny.csv"):
        (place / name).write_text(KEY)
        (place / name).chmod(0o600)
    plan = load_plan(community)
    plan.refuse_missing_files()
    assert not [warning for warning in plan.warnings if "no clips" not in warning]
    (place / "broker").chmod(0o644)
    assert any("every user of this machine can read" in warning for warning in load_plan(community).warnings)


def test_a_certificate_that_vanished_is_refused_although_the_plan_is_old(community: Path, place: Path) -> None:
    (place / "server.crt").write_text(KEY)
    (place / "server.key").write_text(KEY)
    community.write_text(
        f'[gateway]\nid = "gate-1"\n[api]\ntls_cert = "{place}/server.crt"\ntls_key = "{place}/server.key"\n'
    )
    plan = load_plan(community)
    plan.refuse_missing_files()
    (place / "server.key").unlink()
    with pytest.raises(ConfigError, match=r"api\.tls_key: there is no file"):
        plan.refuse_missing_files()


def test_profiles_beside_the_configuration_win(community: Path, place: Path) -> None:
    profile = place / "devices" / "level.toml"
    profile.write_text(profile.read_text(encoding="utf-8").replace("for tests", "of this site"), encoding="utf-8")
    assert load_plan(community).devices[0].model == "Level transmitter of this site"


def test_all_problems_come_at_once(community: Path) -> None:
    text = community.read_text(encoding="utf-8")
    for right, wrong in (
        ('timezone = "Asia/Shanghai"', 'timezone = "Mars"'),
        ("address = 3", "adress = 3"),
        ('when = "sump.level > 2.5"', 'when = "pump.sped > 2.5"'),
        ('write = "pump.speed"', 'write = "pump.sped"'),
        ('tcp = "192.0.2.1:502"', 'tcp = "192.0.2.1"'),
        ('enter = "down"', 'enter = "dwn"'),
        ("streams = [", "stream = ["),
        ('name = "smoke"\ndriver', 'name = "gate"\ndriver'),
    ):
        assert right in text
        text = text.replace(right, wrong)
    community.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_plan(community)
    keys = [problem.split(": ")[1] for problem in refused.value.problems]
    assert keys == [
        "gateway.timezone",
        "api.consumer.platform.stream",
        "line.plant.tcp",
        "device.sump.adress",
        "alarm.sump-high.when",
        "alarm.sump-high.do[1].write",
        "camera.gate.name",
        "camera.gate.vehicles.lanes.main.enter",
    ]


def test_a_broken_device_does_not_accuse_its_alarms(community: Path) -> None:
    text = community.read_text(encoding="utf-8").replace("address = 3", "adress = 3")
    community.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_plan(community)
    assert [problem.split(": ")[1] for problem in refused.value.problems] == ["device.sump.adress"]


def test_the_starting_configuration_works_as_written() -> None:
    start = Path(__file__).resolve().parents[2] / "config" / "linli.toml"
    plan = load_plan(start)
    assert (plan.warnings, plan.devices) == ((), ())


def test_the_starting_configuration_works_with_everything_uncommented(place: Path) -> None:
    start = Path(__file__).resolve().parents[2] / "config" / "linli.toml"
    keys = ("# [", "# name =", "# url =", "# at =", "# type =")
    lines = start.read_text(encoding="utf-8").splitlines()
    opened = []
    for line in lines:
        word = line.removeprefix("# ").split(" ")
        is_key = line.startswith("# ") and (line.startswith(keys) or (len(word) > 1 and word[1] == "="))
        opened.append(line.removeprefix("# ") if is_key else line)
    path = place / "linli.toml"
    path.write_text("\n".join(opened).replace('"qdy30a"', '"level"'), encoding="utf-8")
    plan = load_plan(path)
    assert [device.name for device in plan.devices] == ["sump-level", "pump-panel"]
    assert len(plan.rules.states()) == 4
    assert [camera.falling is not None for camera in plan.settings.camera] == [False, True]


def test_the_shared_example_passes_with_warnings(shared: Path, place: Path) -> None:
    path = place / "linli.toml"
    text = (shared / "linli.example.toml").read_text(encoding="utf-8")
    path.write_text(text.replace("qdy30a", "level"), encoding="utf-8")
    plan = load_plan(path)
    assert [device.name for device in plan.devices] == ["sump-level", "house-4-meter", "pump-panel", "siren"]
    assert "fire-stations" in [line.name for line in plan.settings.line]
    assert [camera.name for camera in plan.settings.camera] == ["north-gate", "tower-3-east"]


def test_a_running_daemon_pays_for_nothing_it_does_not_need(place: Path) -> None:
    path = place / "linli.toml"
    path.write_text(
        '[gateway]\nid = "gate-1"\n[[line]]\nname = "l"\ntcp = "192.0.2.1:502"\n'
        '[[device]]\nname = "sump"\nprofile = "level"\nline = "l"\n'
        '[[alarm]]\nname = "high"\nwhen = "sump.level > 2"\n'
    )
    code = (
        "import sys; from pathlib import Path; from gateway.plan import load_plan; "
        f"p = load_plan(Path({str(path)!r})); p.refuse_missing_files(); assert not p.warnings and p.devices; "
        "print([m for m in ('tree_sitter', 'rich', 'numpy', 'cv2', 'av', 'sqlite_utils', 'click', "
        "'gateway.settings.explain', 'gateway.vision') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_a_relative_state_lies_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "linli.toml").write_text('[gateway]\nid = "gate-1"\nstate = "state"\n[api]\nlisten = "127.0.0.1:0"\n')
    assert load_plan(tmp_path / "linli.toml").settings.gateway.state == tmp_path / "state"


STATION = """
[gateway]
id = "gate-1"
[[line]]
name = "stations"
listen = "0.0.0.0:5200"
allow = ["10.0.0.0/8"]
[[line]]
name = "bus"
tcp = "10.0.0.1:502"
[[device]]
name = "panel"
profile = "gb26875-station"
line = "stations"
address = 889
"""


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('line = "stations"', 'line = "bus"', "14: device.panel.line: calls us by gb26875; give it a line with listen"),
        ('profile = "gb26875-station"', 'profile = "qdy30a"', "14: device.panel.line: is asked by modbus and calls"),
        ("address = 889", 'address = "78"', "15: device.panel.address: '78' is no station; write its number"),
        ("address = 889", 'address = 889\npassword_file = "/x"', "16: device.panel.password_file: has no effect"),
        (
            "address = 889",
            'address = 889\n[[device]]\nname = "b"\nprofile = "gb26875-station"\nline = "stations"\n'
            'address = "79:03:00:00:00:00"',
            "20: device.b.address: line 15 has this station already",
        ),
        (
            'profile = "gb26875-station"',
            'driver = "gb26875"\npoints.a = { at = "device:fault", type = "bool" }',
            '11: device.panel: points: no point has at = "any:fire"',
        ),
        (
            'profile = "gb26875-station"',
            'driver = "gb26875"\npoints.a = { at = "any:fir", type = "bool" }',
            "14: device.panel.points.a.at: 'fir' is no state here; write one of run, fire, fault",
        ),
        (
            '[[device]]\nname = "panel"\nprofile = "gb26875-station"\nline = "stations"',
            '[[device]]\nname = "panel"\nprofile = "qdy30a"\ntimeout = "2m"\nline = "bus"',
            "14: device.panel.timeout: is too long for an answer",
        ),
    ],
)
def test_a_station_that_cannot_be_is_explained(place: Path, right: str, wrong: str, problem: str) -> None:
    path = place / "linli.toml"
    assert right in STATION
    path.write_text(STATION.replace(right, wrong))
    with pytest.raises(ConfigError) as refused:
        load_plan(path)
    assert any(found.startswith(f"{path}:{problem}") for found in refused.value.problems), refused.value.problems


def test_a_fire_station_that_no_alarm_watches_is_a_warning(place: Path) -> None:
    path = place / "linli.toml"
    path.write_text(STATION)
    (warning,) = load_plan(path).warnings
    assert "device.panel.name: no alarm watches panel.fire" in warning
    path.write_text(STATION + '[[alarm]]\nname = "fire"\nwhen = "panel.fire"\nseverity = "critical"\n')
    assert load_plan(path).warnings == ()
