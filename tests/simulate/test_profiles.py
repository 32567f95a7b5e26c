"""Every device profile, simulated and read by its driver: what is shown is what was meant."""

import itertools

import pytest

from tests.simulate.bench import DEVICES, Face, pair, read, same, spec_of

CALLERS = ("gb26875", "hj212")  # they have tests of their own
PROFILES = sorted(path.stem for path in DEVICES.glob("*.toml") if not path.stem.startswith(CALLERS))


@pytest.mark.parametrize("profile", PROFILES)
async def test_the_driver_reads_what_the_slave_means(profile):
    spec = spec_of(profile)
    coded = {name for name, point in spec.points.items() if point.na}
    for seed, now in ((0, 0.0), (1, 100.0), (2, 5000.0)):
        driver, slave = pair(spec, seed)
        face = Face(slave, now)
        values = await read(driver, face, spec.points)
        shown = slave.values.at(now).shown()
        wrong = {name: (value, shown[name]) for name, value in values.items() if not same(value, shown[name])}
        assert wrong == {}
        for name, point in spec.points.items():
            if point.valid is not None:
                assert point.valid[0] - 1e-6 <= shown[name] <= point.valid[1] + 1e-6
        assert shown == pair(spec, seed)[1].values.at(now).shown(), "the same seed, the same values"
        good = {name: value for name, value in values.items() if value.quality == "good"}
        assert good.keys() == spec.points.keys()

    slave.values.missing = set(coded)
    values = await read(driver, Face(slave, now), spec.points)
    assert {name for name, value in values.items() if value.quality == "bad"} == coded


@pytest.mark.parametrize(
    ("profile", "good_day"),
    [
        ("apc-smart-ups", {"on-mains": True, "on-battery": False, "replace-battery": False, "fault": False}),
        ("grundfos-cim", {"alarm": False, "warning": False, "alarm-code": 0, "warning-code": 0}),
        ("neptun-smart", {"alarm-zone-1": False, "sensor-lost": False, "battery-low": False}),
        ("delta-vfd", {"error-code": 0}),
        ("weighing-scale", {"stable": True}),
    ],
)
def test_nothing_is_wrong_on_a_day_without_a_script(profile, good_day):
    for seed, now in itertools.product(range(5), (0.0, 100.0, 5000.0)):
        shown = pair(spec_of(profile), seed)[1].values.at(now).shown()
        assert {name: shown[name] for name in good_day} == good_day


def sayings(driver: str, ident: str) -> set[str]:
    """The identifiers whose answer holds this value: its own, and the block that the standard puts it into."""
    if driver != "dlt645":
        return {ident}
    if len(ident) == 4:  # 1997, table A: F for the last digit
        return {ident, ident[:3] + "F"}
    kind = ident[:4]  # 2007, tables A.1 and A.2: FF for DI1
    return {ident, f"{kind}FF00"} if kind[:2] == "00" or "0201" <= kind <= "0207" else {ident}


def cover(values: list[set[str]]) -> int:
    """The fewest identifiers of which every value has one, by trying each that answers the first value."""
    if not values:
        return 0
    return 1 + min(cover([others for others in values if asked not in others]) for asked in values[0])


@pytest.mark.parametrize("profile", [name for name in PROFILES if spec_of(name).driver != "modbus"])
async def test_no_poll_asks_more_questions_than_the_fewest_that_answer_it(profile):
    spec = spec_of(profile)
    driver, slave = pair(spec)
    face = Face(slave)
    await read(driver, face, spec.points)
    if spec.driver in ("dlt645", "cjt188"):
        values = [
            sayings(spec.driver, point.at.partition("+")[0].partition(":")[0].replace("-", "").upper())
            for point in spec.points.values()
        ]
        fewest = cover(values)
    else:  # one telegram, line or frame holds all; an M-Bus meter may have to be told to begin
        fewest = 0 if slave.period is not None else 2 if spec.driver == "mbus" else 1
    assert len(face.questions) <= fewest
