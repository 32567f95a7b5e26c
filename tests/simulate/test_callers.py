"""Stations that call: what they say is heard by the drivers as it is meant, and what the gateway replies is heard."""

from datetime import datetime, timedelta, timezone

import pytest

from tests.simulate.bench import pair, same, spec_from, spec_of

WALL = datetime(2026, 11, 22, 8, 25, 30, 120_000, tzinfo=timezone(timedelta(hours=8)))
MN = "010000A8900016F000169DC0"


def told(driver, slave, now: float, spoil=lambda data: data) -> tuple[dict, bytes, list]:
    """What a station's message of this moment becomes: values, replies, faults."""
    values, replies, faults = {}, b"", []
    for call in driver.ears().feed(spoil(slave.say(slave.values.at(now)))):
        heard = driver.hear(call, WALL, now)
        values.update(heard.values)
        replies += heard.reply
        faults += [heard.fault.reason] if heard.fault else []
    return values, replies, faults


@pytest.mark.parametrize("profile", ["hj212-water", "hj212-dust-noise"])
def test_an_environment_station_is_heard(profile: str) -> None:
    spec = spec_of(profile, MN)
    driver, slave = pair(spec)
    slave._wall = lambda: WALL
    values, replies, faults = told(driver, slave, 7.0)
    shown = slave.values.at(7.0).shown()
    assert values.keys() == spec.points.keys()
    assert [name for name, value in values.items() if value.quality != "good" or not same(value, shown[name])] == []
    assert (faults, slave.hear(replies, slave.values.at(7.0)), slave.confirmed) == ([], b"", 1)
    slave.values.missing = set(spec.points)
    slave._wall = datetime.now
    values, _, _ = told(driver, slave, 8.0)
    assert {value.reason for value in values.values()} == {"device_fault"}
    slave.values.missing.clear()
    assert "crc" in told(driver, slave, 9.0, slave.break_check)[2]


def test_a_fire_station_is_heard() -> None:
    spec = spec_of("gb26875-station", "790300000000")
    driver, slave = pair(spec)
    values, replies, faults = told(driver, slave, 0.0)
    assert (faults, replies[:2]) == ([], b"@@")
    assert {name: value.value for name, value in values.items() if spec.points[name].at.startswith("any:")} == {
        "fire": False, "fault": False,
    }  # fmt: skip
    slave.values.gauges["fire"].script = (0.0, True)
    values, _, _ = told(driver, slave, 2.0)
    shown = slave.values.at(2.0).shown()
    assert {name: values[name].value for name in ("fire", "fires", "fire-at")} == {
        "fire": True, "fires": 1, "fire-at": "1/1/1/1",
    }  # fmt: skip
    assert (shown["fire"], shown["fires"], shown["fire-at"]) == (True, 1, "1/1/1/1")
    assert "crc" in told(driver, slave, 4.0, slave.break_check)[2]
    slave.values.gauges["fire"].script = None
    for now in (6.0, 8.0, 10.0):
        told(driver, slave, now)
    assert driver.held()["fire"].value is False


def test_named_components_systems_and_values() -> None:
    points = {
        "fire": {"at": "any:fire", "type": "bool"},
        "kitchen": {"at": "component:1/1/10/2:fire", "type": "bool"},
        "pump": {"at": "system:11/3:fault", "type": "bool"},
        "pressure": {"at": "analogue:1/1/2/300/3"},
    }
    spec = spec_from("gb26875", points, "790300000000")
    driver, slave = pair(spec)
    slave.values.gauges["kitchen"].script = (0.0, True)
    slave.values.gauges["pump"].script = (0.0, True)
    values, _, faults = told(driver, slave, 1.0)
    assert faults == []
    assert (values["kitchen"].value, values["fire"].value, values["pump"].value) == (True, True, True)
    assert values["pressure"].quality == "good"
