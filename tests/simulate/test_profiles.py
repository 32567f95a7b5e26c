"""Every device profile, simulated and read by its driver: what is shown is what was meant."""

import pytest

from tests.simulate.bench import DEVICES, Face, pair, read, same, spec_of

PROFILES = sorted(path.stem for path in DEVICES.glob("*.toml"))


@pytest.mark.parametrize("profile", PROFILES)
async def test_the_driver_reads_what_the_slave_means(profile):
    spec = spec_of(profile)
    for seed, now in ((0, 0.0), (1, 100.0), (2, 5000.0)):
        driver, slave = pair(spec, seed)
        face = Face(slave, now)
        values = await read(driver, face, spec.points)
        shown = slave.values.at(now).shown()
        wrong = {name: (value, shown[name]) for name, value in values.items() if not same(value, shown[name])}
        assert wrong == {}
        good = {name: value for name, value in values.items() if value.quality == "good"}
        assert good.keys() == spec.points.keys()


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_point_that_is_not_available_is_never_good_and_wrong(profile):
    spec = spec_of(profile)
    driver, slave = pair(spec)
    coded = {name for name, point in spec.points.items() if point.na}
    slave.values.missing = set(coded)
    values = await read(driver, Face(slave), spec.points)
    assert {name for name, value in values.items() if value.quality == "bad"} == coded


@pytest.mark.parametrize("profile", PROFILES)
def test_values_move_the_same_way_twice_and_stay_valid(profile):
    spec = spec_of(profile)
    _, first = pair(spec, 4)
    _, second = pair(spec, 4)
    for now in (0.0, 33.3, 86400.0):
        shown = first.values.at(now).shown()
        assert shown == second.values.at(now).shown()
        for name, point in spec.points.items():
            if point.valid is not None:
                assert point.valid[0] - 1e-6 <= shown[name] <= point.valid[1] + 1e-6
