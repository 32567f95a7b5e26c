"""Whatever a line delivers: only DeviceError, never a hang, never a good value from a damaged frame."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import cjt188, dlt645
from drivers._meters import _surely
from gateway.contract import DeviceError, DeviceSpec, LineKind, Point, PointValue
from tests.meters.slaves import CjtMeter, DltMeter, Wire, digits, water

ELECTRIC, WATER = "202312345678", "78330011223344"
PIECES = st.lists(st.binary(max_size=60), max_size=6)


def electric(edition: int = 2007):
    if edition == 2007:
        data = {
            "00010000": digits(12345678, 4), "02010100": digits(2201, 2), "02010200": digits(2202, 2),
            "0201FF00": digits(2201, 2) + digits(2202, 2), "02030000": digits(-1234, 3, signed=True),
        }  # fmt: skip
        points = {
            "energy": Point("energy", "00010000", "bcd", length=4, scale=0.01),
            "v1": Point("v1", "02010100", "bcd", length=2, scale=0.1),
            "v2": Point("v2", "02010200", "bcd", length=2, scale=0.1),
            "power": Point("power", "02030000", "sbcd", length=3, scale=0.1),
        }
    else:
        data = {"9010": digits(12345678, 4), "B611": digits(221, 2)}
        points = {
            "energy": Point("energy", "9010", "bcd", length=4, scale=0.01),
            "v1": Point("v1", "B611", "bcd", length=2),
        }
    made = dlt645.make(DeviceSpec("d", "dlt645", ELECTRIC, LineKind.SERIAL, points))
    return made, frozenset(points), DltMeter(ELECTRIC, data, edition=edition)


def tap(_edition: int = 0):
    points = {
        "volume": Point("volume", "901F:total", "bcd", scale=0.01, unit="m³"),
        "settled": Point("settled", "901F:settled", "bcd", scale=0.01, unit="m³"),
        "clock": Point("clock", "901F:clock", "string"),
        "valve": Point("valve", "901F:valve", "string"),
    }
    made = cjt188.make(DeviceSpec("d", "cjt188", WATER, LineKind.SERIAL, points))
    return made, frozenset(points), CjtMeter(WATER, {"901F": water()})


SITES = [
    pytest.param(electric, 2007, id="2007"),
    pytest.param(electric, 1997, id="1997"),
    pytest.param(tap, 0, id="188"),
]


async def outcome(device, wire: Wire, names: frozenset[str]) -> dict[str, PointValue]:
    try:
        values = dict(await device.read(wire, names))
    except DeviceError:
        return {}
    assert values.keys() == names
    assert all(
        (value.value is None) == (value.quality == "bad") == (value.reason is not None) for value in values.values()
    )
    return values


@pytest.mark.parametrize(("site", "edition"), SITES)
@settings(max_examples=150, deadline=None)
@given(pieces=PIECES)
async def test_anything_at_all_is_no_value(site, edition, pieces):
    device, names, _ = site(edition)
    wire = Wire()
    wire.spoil = lambda _question, _answer: list(pieces)
    values = await outcome(device, wire, names)
    assert not any(value.quality == "good" for value in values.values())


@pytest.mark.parametrize(("site", "edition"), SITES)
@settings(max_examples=300, deadline=None)
@given(
    at=st.integers(0, 80), wrong=st.integers(1, 255), before=st.binary(max_size=12), cut=st.integers(0, 80),
    how=st.sampled_from(["flip", "cut", "insert", "lose", "double"]),
)  # fmt: skip
async def test_one_mistake_never_makes_a_wrong_value(site, edition, at, wrong, before, cut, how):
    device, names, slave = site(edition)
    truth = await outcome(device, Wire(slave.hear), names)
    wire = Wire(slave.hear)

    def spoil(_question: bytes, answer: bytes) -> list[bytes]:
        place = at % max(1, len(answer))
        broken = {
            "flip": answer[:place] + bytes([answer[place] ^ wrong]) + answer[place + 1 :],
            "cut": answer[:place],
            "insert": answer[:place] + bytes([wrong]) + answer[place:],
            "lose": answer[:place] + answer[place + 1 :],
            "double": answer + answer,
        }[how]
        whole = before + broken
        return [whole[: cut % (len(whole) + 1)], whole[cut % (len(whole) + 1) :]]

    wire.spoil = spoil
    values = await outcome(device, wire, names)
    for name, value in values.items():
        assert value.quality == "bad" or value == truth[name], (name, value)


@pytest.mark.parametrize(("site", "edition"), SITES)
@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=60), control=st.integers(0, 255))
async def test_sound_frames_with_any_content(site, edition, body, control):
    """The checksum holds, and the content is whatever a strange meter may say."""
    device, names, slave = site(edition)
    wire = Wire(slave.hear)
    wire.spoil = lambda _question, _answer: [slave._say(control, body), slave._say(control | 0x80, body)]
    await outcome(device, wire, names)


@pytest.mark.parametrize("seed", [645, 188, 2007])
@pytest.mark.parametrize(("site", "edition"), SITES)
async def test_five_per_cent_of_all_bytes_wrong_for_an_hour(site, edition, seed):
    """A read every second; a byte sum alone would let some damaged values pass."""
    chance = random.Random(seed)
    device, names, slave = site(edition)
    truth = await outcome(device, Wire(slave.hear), names)

    def spoil(_question: bytes, answer: bytes) -> list[bytes]:
        return [bytes(chance.randrange(256) if chance.random() < 0.05 else byte for byte in answer)]

    wire = Wire(slave.hear)
    wire.spoil = spoil
    good = wrong = 0
    for _ in range(3600):
        for name, value in (await outcome(device, wire, names)).items():
            good += value.quality == "good"
            wrong += value.quality == "good" and value != truth[name]
    assert good > 300
    assert wrong == 0


@pytest.mark.parametrize(("site", "edition"), SITES)
@settings(max_examples=60, deadline=None)
@given(pieces=PIECES)
async def test_nothing_but_reading_is_ever_sent(site, edition, pieces):
    device, names, slave = site(edition)
    wire = Wire(slave.hear)
    wire.spoil = lambda _question, answer: [*pieces, answer]
    await outcome(device, wire, names)
    for sent in wire.questions:
        frame = sent.lstrip(b"\xfe")
        assert frame[8 if site is electric else 9] in {0x11, 0x12, 0x01, 0x02}
        assert b"\xaa" * 6 not in frame


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([5, 5], 5),
        ([5, 6], None),
        ([5, 9, 5], 5),
        ([5, 999, 6], 6),
        ([5, 0, 6], 5),
        (["a", "b", "c"], None),
        (["a", "b", "b"], "b"),
        ([True, False], None),
        ([5, None, 6], None),
        ([None, None], None),
    ],
)
def test_what_several_looks_make_sure(looks, said):
    made = [PointValue(look) if look is not None else PointValue(None, "bad", "not_available") for look in looks]
    surely = _surely(made)
    assert (surely.value if surely else None) == said
    assert (surely is None) == (said is None and looks != [None, None])


async def test_after_a_damaged_answer_a_value_that_moves_is_looked_at_three_times_for_a_while():
    device, _names, meter = electric()
    wire = Wire(meter.hear)
    volts = iter(range(2200, 2400))

    def move(question: bytes, answer: bytes) -> list[bytes]:
        meter.data["00010000"] = digits(next(volts), 4)
        return [answer]

    wire.spoil = move
    only = frozenset({"energy"})
    await device.read(wire, only)
    assert len(wire.questions) == 1
    wire.spoil = lambda _question, answer: [answer[:-3]]
    with pytest.raises(DeviceError):
        await device.read(wire, only)
    wire.spoil = move
    wire.questions.clear()
    value = (await device.read(wire, only))["energy"]
    assert (len(wire.questions), value.quality) == (3, "good")
    for _ in range(10):
        await device.read(wire, only)
    wire.questions.clear()
    await device.read(wire, only)
    assert len(wire.questions) == 1
