"""The simulated values tell the story that the demo announces."""

import itertools
import struct

from gateway.cli.demo.community import (
    CHARGING_SHED,
    GARAGE_CO,
    PUMP_PANEL,
    ROUND,
    SUMP_LEVEL,
    Community,
    charging_power,
    sump_level,
)


def seconds(upto: float) -> list[float]:
    return [step / 10 for step in range(int(upto * 10))]


def test_the_sump_alarm_is_raised_and_clears_within_twenty_seconds() -> None:
    high = [now for now in seconds(20) if sump_level(now) > 2.5]
    assert high[0] < 6
    assert high[-1] - high[0] > 3, "longer than the alarm's delay"
    assert min(sump_level(now) for now in seconds(20) if now > high[-1]) < 2.2


def test_the_level_never_jumps() -> None:
    levels = [sump_level(now) for now in seconds(2 * ROUND)]
    assert max(abs(one - other) for one, other in itertools.pairwise(levels)) < 0.03


def test_level_and_pump_belong_together() -> None:
    now = 0.0
    community = Community(lambda: now)
    for now in seconds(ROUND):
        panel, sump = community.plant_room(PUMP_PANEL), community.riser(SUMP_LEVEL)
        assert panel is not None
        assert sump is not None
        assert bool(panel.input[4]) == bool(panel.discrete[0])
        assert sump.holding[4] / 10 ** sump.holding[3] == round(sump_level(now), 2)


def test_one_sensor_is_silent_for_a_while_and_comes_back() -> None:
    now = 0.0
    community = Community(lambda: now)
    answers = []
    for now in seconds(20):  # noqa: B007 - the community reads it
        answers.append(community.riser(GARAGE_CO) is not None)
    assert answers[0]
    assert answers[-1]
    assert answers.count(False) == 50


def test_meter_speaks_float32() -> None:
    tables = Community(lambda: 3.0).plant_room(CHARGING_SHED)
    assert tables is not None
    power = struct.unpack(">f", struct.pack(">HH", tables.input[0x0C], tables.input[0x0D]))[0]
    assert abs(power - charging_power(3.0)) < 0.01


def test_every_register_fits_for_an_hour() -> None:
    now = 0.0
    community = Community(lambda: now)
    for now in range(0, 3600, 7):  # noqa: B007 - the community reads it
        for tables in [community.plant_room(unit) for unit in range(6)] + [community.riser(unit) for unit in range(7)]:
            if tables is not None:
                assert all(0 <= value <= 0xFFFF for value in (*tables.holding.values(), *tables.input.values()))
                assert set(tables.discrete.values()) <= {0, 1}


def test_unknown_units_are_not_there() -> None:
    community = Community(lambda: 0.0)
    assert community.plant_room(99) is None
    assert community.riser(1) is None
