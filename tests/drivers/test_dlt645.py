"""DL/T 645: addresses, identifiers, values, blocks, long answers, refusals, and nothing but reading."""

import ast
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from drivers import dlt645
from drivers.dlt645.frame import READS, SENT, _built, parse, question, time_for_all
from gateway.contract import ConfigError, DeviceError, DeviceSilentError, DeviceSpec, LineKind, Point, PointValue
from tests.meters.slaves import DltMeter, Wire, digits, sealed

ADDRESS = "202312345678"
ENERGY = {"at": "00-01-00-00", "type": "bcd", "length": 4, "scale": 0.01, "unit": "kWh"}
VOLTS = {"type": "bcd", "length": 2, "scale": 0.1}


def make(points: dict[str, dict], address: str | int = ADDRESS, **options):
    made = {name: Point(name=name, **point) for name, point in points.items()}
    return dlt645.make(DeviceSpec("d", "dlt645", address, LineKind.SERIAL, made, options))


async def read(meter: DltMeter, points: dict[str, dict], device=None, **options) -> dict[str, PointValue]:
    device = device or make(points, meter.address, **options)
    return dict(await device.read(Wire(meter.hear), frozenset(points)))


def phases(at: str = "0201{}00") -> dict[str, dict]:
    return {f"v{number}": {"at": at.format(f"0{number}"), **VOLTS} for number in (1, 2, 3)}


@pytest.fixture
def meter() -> DltMeter:
    singles = {f"02010{number}00": digits(2200 + number, 2) for number in (1, 2, 3)}
    block = b"".join(singles.values())
    return DltMeter(ADDRESS, {"00010000": digits(12345678, 4), **singles, "0201FF00": block})


async def test_a_value_and_the_wake_up_bytes(meter):
    wire = Wire(meter.hear)
    values = await make({"e": ENERGY}).read(wire, frozenset({"e"}))
    assert values == {"e": PointValue(123456.78)}
    asked = sealed(bytes.fromhex("68 78 56 34 12 23 20 68 11 04 33 33 34 33"))
    assert wire.questions == [b"\xfe" * 4 + asked]
    await make({"e": ENERGY}, wake=0).read(wire, frozenset({"e"}))
    assert wire.questions[1][0] == 0x68


@pytest.mark.parametrize("wake", range(14))
async def test_any_number_of_wake_up_bytes_in_the_answer(meter, wake):
    meter.wake = wake
    assert await read(meter, {"e": ENERGY}) == {"e": PointValue(123456.78)}


@pytest.mark.parametrize("number", [123456, -123456, -1, 0, 799999, -799999])
async def test_signs(number):
    meter = DltMeter(ADDRESS, {"02030000": digits(number, 3, signed=True)})
    point = {"at": "02030000", "type": "sbcd", "length": 3, "scale": 0.0001}
    assert await read(meter, {"p": point}) == {"p": PointValue(round(number / 10000, 4))}


@pytest.mark.parametrize("data", ["ffffffff", "ff000000", "000000ff", "0a000000", "000000a0", "aaaaaaaa", "eeeeeeee"])
@pytest.mark.parametrize("kind", ["bcd", "sbcd"])
async def test_filled_values_are_bad(data, kind):
    meter = DltMeter(ADDRESS, {"00010000": bytes.fromhex(data)})
    if (data, kind) == ("000000a0", "sbcd"):  # a sign and the digits 2 and 0
        expected = PointValue(-200000.0)
    else:
        expected = PointValue(None, "bad", "not_available")
    assert await read(meter, {"e": {**ENERGY, "type": kind}}) == {"e": expected}


async def test_texts_bits_and_bools():
    meter = DltMeter(ADDRESS, {"04000501": b"\x10\x80", "04000402": bytes.fromhex("785634122320")})
    points = {
        "status": {"at": "04000501", "type": "bits", "length": 2},
        "low": {"at": "04000501", "type": "bool", "bit": 4},
        "high": {"at": "04000501", "type": "bool", "bit": 15, "invert": True},
        "plate": {"at": "04-00-04-02", "type": "string", "length": 6},
    }
    values = await read(meter, points)
    assert {name: value.value for name, value in values.items()} == {
        "status": 0x8010, "low": True, "high": False, "plate": "202312345678",
    }  # fmt: skip
    assert len(meter.asked) == 2


async def test_values_of_one_block_are_joined(meter):
    values = await read(meter, phases())
    assert [values[name].value for name in ("v1", "v2", "v3")] == [220.1, 220.2, 220.3]
    assert meter.asked == [(0x11, "0201FF00")]
    meter.asked.clear()
    await read(meter, phases(), blocks=False)
    assert [ident for _, ident in meter.asked] == ["02010100", "02010200", "02010300"]


async def test_a_place_inside_a_block(meter):
    points = {"second": {"at": "0201FF00+2", **VOLTS}, "third": {"at": "02-01-FF-00+4", **VOLTS}}
    values = await read(meter, points)
    assert [value.value for value in values.values()] == [220.2, 220.3]
    assert len(meter.asked) == 1


@pytest.mark.parametrize("broken", ["refused", "short", "long"])
async def test_without_a_block_the_values_are_read_one_by_one_for_good(meter, broken):
    whole = meter.data.pop("0201FF00")
    if broken == "short":
        meter.data["0201FF00"] = whole[:2]
    if broken == "long":
        meter.data["0201FF00"] = whole  # a longer block is none to refuse
    device = make(phases())
    values = await read(meter, phases(), device)
    assert [value.value for value in values.values()] == [220.1, 220.2, 220.3]
    meter.asked.clear()
    await read(meter, phases(), device)
    assert len(meter.asked) == (1 if broken == "long" else 3)


async def test_a_block_that_is_ignored_is_given_up_after_two_silences(meter):
    meter.deaf.add("0201FF00")
    points = {"e": ENERGY, **phases()}
    device = make(points)
    reads = [await read(meter, points, device) for _ in range(5)]
    assert all(values["e"].value == 123456.78 for values in reads)
    assert reads[0]["v1"] == PointValue(None, "bad", "timeout")
    assert [reads[-1][name].value for name in ("v1", "v2", "v3")] == [220.1, 220.2, 220.3]


async def test_an_identifier_that_the_meter_lacks_is_asked_less_and_less(meter):
    points = {"e": ENERGY, "x": {**ENERGY, "at": "00020000"}}
    device = make(points)
    for _ in range(100):
        values = await read(meter, points, device)
        assert values == {"e": PointValue(123456.78), "x": PointValue(None, "bad", "no_such_data")}
    asked = [ident for _, ident in meter.asked]
    assert asked.count("00010000") == 100
    assert asked.count("00020000") == 7  # pauses of 1, 2, 4, 8, 16, 32 reads between


async def test_when_nothing_is_there_the_error_says_so(meter):
    points = {"x": {**ENERGY, "at": "00020000"}}
    device = make(points)
    for _ in range(4):
        with pytest.raises(DeviceError, match=r"error word 02 \(no such data\)") as caught:
            await read(meter, points, device)
        assert caught.value.reason == "no_such_data"
    assert len(meter.asked) == 4


@pytest.mark.parametrize(
    ("word", "meaning", "reason"),
    [(4, "password wrong or not authorised", "refused"), (0x41, "another error, too many tariffs", "refused")],
)
async def test_error_words(meter, word, meaning, reason):
    meter.word = word
    with pytest.raises(DeviceError, match=meaning) as caught:
        await read(meter, {"e": ENERGY})
    assert caught.value.reason == reason


@pytest.mark.parametrize("edition", [2007, 1997])
async def test_long_answers_are_followed(edition):
    ident = "0001FF00" if edition == 2007 else "901F"
    data = b"".join(digits(number, 4) for number in range(1, 9))
    meter = DltMeter(ADDRESS, {ident: data}, edition=edition)
    meter.pieces = 7
    points = {f"p{at}": {"at": f"{ident}+{4 * at}", "type": "bcd", "length": 4} for at in range(8)}
    values = await read(meter, points)
    assert [values[f"p{at}"].value for at in range(8)] == list(range(1, 9))
    assert [control & 3 for control, _ in meter.asked] == [1, 2, 2, 2, 2]


async def test_a_meter_that_never_ends_is_left():
    class Endless(DltMeter):
        def hear(self, sent: bytes) -> bytes:
            self.data = {"00010000": b"\x01" * 1000}
            return super().hear(sent)

    meter = Endless(ADDRESS, {})
    meter.pieces = 1
    point = {"at": "00010000+100", "type": "bcd", "length": 4}
    with pytest.raises(DeviceError, match="bytes"):
        await read(meter, {"p": point})
    assert len(meter.asked) == 33


async def test_a_value_of_another_length_is_no_value():
    meter = DltMeter(ADDRESS, {"00010000": digits(12, 5)})
    with pytest.raises(DeviceError, match="5 bytes, the profile expects 4"):
        await read(meter, {"e": ENERGY})


async def test_the_1997_edition_has_its_own_questions():
    meter = DltMeter("000000000414", {"9010": digits(958015, 4)}, edition=1997)
    device = make({"e": {**ENERGY, "at": "9010"}}, "000000000414", wake=0)
    wire = Wire(meter.hear)
    assert await device.read(wire, frozenset({"e"})) == {"e": PointValue(9580.15)}
    assert wire.questions == [bytes.fromhex("68 14 04 00 00 00 00 68 01 02 43 C3 F1 16")]


@pytest.mark.parametrize("edition", [2007, 1997])
async def test_the_address_is_found(edition):
    meter = DltMeter(ADDRESS, {"9010": digits(1, 4)}, edition=edition)
    assert await dlt645.find_address(Wire(meter.hear), edition=edition) == ADDRESS


async def test_two_meters_at_once_are_no_address():
    one, two = DltMeter(ADDRESS, {}), DltMeter("111111111111", {})
    wire = Wire(one.hear, two.hear)
    wire.spoil = lambda _question, answer: [bytes(a & b for a, b in zip(answer[:22], answer[22:], strict=True))]
    with pytest.raises(DeviceError, match="two devices") as caught:
        await dlt645.find_address(wire)
    assert caught.value.reason == "damaged"
    with pytest.raises(DeviceSilentError):
        await dlt645.find_address(Wire())


# ------------------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("AAAAAAAAAAAA", "12 digits"),
        ("999999999999", "broadcast"),
        ("161", 'write "000000000161"'),
        (161, 'write "000000000161"'),
        ("2023123456789", "12 digits"),
        ("20231234567x", "12 digits"),
        ("٢٠٢٣١٢٣٤٥٦٧٨", "12 digits"),
    ],
)
def test_addresses_that_are_none(address, said):
    with pytest.raises(ConfigError, match=f"^address: .*{said}"):
        make({"e": ENERGY}, address)


def test_a_number_of_twelve_digits_is_an_address():
    make({"e": ENERGY}, 202312345678)


@pytest.mark.parametrize(
    ("point", "key"),
    [
        ({**ENERGY, "at": "holding:0"}, "at"),
        ({**ENERGY, "at": "000100"}, "at"),
        ({**ENERGY, "at": "00010000+x"}, "at"),
        ({**ENERGY, "type": "uint16"}, "type"),
        ({**ENERGY, "length": None}, "length"),
        ({**ENERGY, "length": 9}, "length"),
        ({**ENERGY, "write": True}, "write"),
        ({**ENERGY, "order": "DCBA"}, "order"),
        ({**ENERGY, "bit": 3}, "bit"),
        ({"at": "04000501", "type": "bool"}, "bit"),
        ({"at": "04000501", "type": "bool", "bit": 15, "length": 1}, "bit"),
        ({**ENERGY, "scale": 0}, "scale"),
    ],
)
def test_points_that_cannot_be_read(point, key):
    with pytest.raises(ConfigError, match=rf"^points\.p\.{key}: "):
        make({"p": point})


def test_editions_do_not_mix_and_options_are_checked():
    with pytest.raises(ConfigError, match="do not go into one meter"):
        make({"a": ENERGY, "b": {**ENERGY, "at": "9010"}})
    with pytest.raises(ConfigError, match=r'options\.wakeup: .*"wake"'):
        make({"a": ENERGY}, wakeup=3)


# ------------------------------------------------------------------------------------------------ nothing but reading


def test_only_reading_can_be_asked():
    assert {0x11, 0x12, 0x13, 0x01, 0x02} == READS
    for control in set(range(256)) - READS:
        with pytest.raises(ValueError, match="does not read"):
            question(control, ADDRESS)


def test_nothing_leaves_but_questions_and_the_time():
    """No way out for what writes (04H, 14H), freezes (16H), clears (10H, 19H to 1BH) or cuts a supply (1CH)."""
    assert {0x11, 0x12, 0x13, 0x01, 0x02, 0x08} == SENT
    for control in set(range(256)) - SENT:
        with pytest.raises(ValueError, match="never sent"):
            _built(control, ADDRESS, b"")


CHINA = timezone(timedelta(hours=8))


@pytest.mark.parametrize("point", [ENERGY, {**ENERGY, "at": "9010"}], ids=["2007", "1997"])
async def test_the_time_for_all(point):
    """Seconds first, the year last, by the standard; to 99…, and without waiting for anybody."""
    meters = [DltMeter(ADDRESS, {}), DltMeter("000000000414", {}, edition=1997)]
    wire = Wire(*(meter.hear for meter in meters))
    device = make({"e": point}, set_clock=True)
    await device.set_clocks(wire, datetime(2026, 11, 22, 3, 8, 5, tzinfo=CHINA))
    (sent,) = wire.questions
    assert sent == b"\xfe" * 4 + sealed(bytes.fromhex("68 99 99 99 99 99 99 68 08 06 38 3B 36 55 44 59"))
    assert [meter.told for meter in meters] == ["261122030805"] * 2
    assert wire.chunks == []
    assert [meter.forbidden for meter in meters] == [0, 0]


def test_the_time_is_told_to_the_nearest_second():
    told = parse(time_for_all(datetime(2026, 12, 31, 23, 59, 59, 600_000, tzinfo=CHINA))).data
    assert bytes(reversed(told)).hex() == "270101000000"


def test_the_time_is_opt_in():
    assert not make({"e": ENERGY}).sets_clock
    assert make({"e": ENERGY}, set_clock=True).sets_clock
    with pytest.raises(ConfigError, match=r"options\.set_clock: 'yes' does not fit; write true or false"):
        make({"e": ENERGY}, set_clock="yes")


@pytest.mark.parametrize("name", ["dlt645", "cjt188"])
def test_every_byte_sent_is_built_by_that_function(name):
    """One place writes to the pipe, and what it is given comes from ``question``."""
    root = Path(dlt645.__file__).parents[1]
    writes, exchanges = 0, 0
    for path in [root / "_meters.py", *(root / name).glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "write" and getattr(node.value, "id", "") == "pipe":
                what = ast.unparse(node.value)
                assert path.name == "_meters.py" or (path.parent.name, path.name) == ("dlt645", "meter.py"), what
                writes += 1
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "exchange":
                exchanges += 1
        if path.name != "_meters.py":
            source = path.read_text("utf-8")
            assert source.count(" exchange(") == source.count("+ question("), path
            assert source.count("pipe.write(") == source.count("pipe.write(self._wake + time_for_all("), path
    assert writes == (2 if name == "dlt645" else 1)
    assert exchanges >= 2
