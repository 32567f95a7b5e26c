"""Lines of text: whole lines only, the newest counts, nothing from a wrong checksum; options and points checked."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract import ConfigError, DeviceError, DeviceSilentError
from tests.drivers.spoken import Speech, hear, make, run
from tests.modbus_farm import crc16

PATTERN = r"(?:(?P<stable>ST)|US),GS,(?P<weight>[+-] *[0-9.]+)kg"
POINTS = {"weight": {"at": "weight"}, "stable": {"at": "stable", "type": "bool"}}
COLUMNS = {"a": {"at": "1"}, "b": {"at": "3", "scale": 0.1, "valid": [0, 10], "na": [999]}}


def scale(**options):
    return make("line", POINTS, pattern=PATTERN, **options)


async def weight(device, *chunks: bytes, unasked: bytes = b"") -> float:
    return (await hear(device, ["weight"], *chunks, unasked=unasked))["weight"].value


async def test_the_newest_whole_line_counts():
    said = b"34kg\r\nST,GS,+0001.00kg\r\nUS,GS,-   2.50kg\r\nST,GS,+00"
    values = await hear(scale(), POINTS, said)
    assert {name: value.value for name, value in values.items()} == {"weight": -2.5, "stable": False}


@pytest.mark.parametrize("cut", range(1, 22))
async def test_a_first_line_whose_beginning_nobody_heard_is_never_taken(cut):
    device = make("line", {"weight": {"at": "w"}}, pattern=r"[A-Z,+0]*(?P<w>[0-9.]+)(?:kg)?")
    line = b"ST,GS,+0012.34kg\r\n"
    assert await weight(device, line[-cut:] if cut <= len(line) else line, b"5.00kg\r\n", b"5.00kg\r\n") == 5.0


async def test_where_a_line_ended_the_next_begins_from_read_to_read():
    device = scale()
    pipe = Speech(b"\r\nST,GS,+0001.00kg\r\n")
    assert (await device.read(pipe, frozenset(["weight"])))["weight"].value == 1.0
    pipe.unasked = b"ST,GS,+0002.00kg\r\nST,GS,+000"
    pipe.chunks = [b"3.00kg\r\n"]
    assert (await device.read(pipe, frozenset(["weight"])))["weight"].value == 3.0


@pytest.mark.parametrize("new_pipe", [True, False])
async def test_after_a_gap_a_new_beginning_is_waited_for(new_pipe):
    """Half a line before a new connection, or before the pipe dropped bytes, never joins with what comes later."""
    device = scale()
    pipe = Speech(b"\r\nST,GS,+0001.00kg\r\nST,GS,+00")
    await device.read(pipe, frozenset(["weight"]))
    if new_pipe:
        pipe = Speech()
    else:
        pipe.unasked = b"x" * 20000
    pipe.chunks = [b"12.34kg\r\n", b"ST,GS,+0002.00kg\r\n"]
    assert (await device.read(pipe, frozenset(["weight"])))["weight"].value == 2.0


@pytest.mark.parametrize("echo", [b"", b"P\r", b"P\r\r\n"])
async def test_a_polled_device_is_asked_and_its_echo_passed_over(echo):
    device = make("line", {"n": {"at": "1"}}, separator=",", request="P\r")
    pipe = Speech()
    pipe.answer = lambda _request: echo + b"7.00\r\n"
    assert (await device.read(pipe, frozenset(["n"])))["n"].value == 7.0
    assert pipe.said == [b"P\r"]
    assert not device.free_running
    assert scale().free_running


async def test_a_value_that_begins_like_the_question_is_whole():
    device = make("line", {"n": {"at": "1"}}, separator=",", request="1")
    pipe = Speech()
    pipe.answer = lambda _request: b"12.5\r\n"
    assert (await device.read(pipe, frozenset(["n"])))["n"].value == 12.5


async def test_the_rest_of_a_late_answer_is_not_the_answer():
    device = make("line", {"weight": {"at": "w"}}, pattern=r"(?P<w>[0-9.]+)kg", request="?")
    pipe = Speech(unasked=b"100")
    pipe.answer = lambda _request: b"2.00kg\r\n5.00kg\r\n"
    assert (await device.read(pipe, frozenset(["weight"])))["weight"].value == 5.0


async def test_columns_scale_range_and_codes():
    device = make("line", COLUMNS, separator=";", terminator="\n")
    read = [await hear(device, COLUMNS, b"\n" + line) for line in (b"1;x;55\n", b" 2.5 ;x;200\n", b"-1;x;999\n")]
    assert [values["a"].value for values in read] == [1.0, 2.5, -1.0]
    assert [(values["b"].value, values["b"].reason) for values in read] == [
        (5.5, None), (None, "out_of_range"), (None, "not_available"),
    ]  # fmt: skip
    with pytest.raises(DeviceError):
        await hear(device, COLUMNS, b"\n1;2\n")


async def test_empty_and_unreadable_numbers_are_bad():
    device = make("line", COLUMNS, separator=",")
    values = await hear(device, COLUMNS, b"\r\n,x,1e5\r\n")
    assert (values["a"].reason, values["b"].reason) == ("not_available", "not_a_number")


async def test_texts_and_encodings():
    points = {"state": {"at": "s", "type": "string"}, "on": {"at": "o", "type": "bool", "invert": True}}
    device = make("line", points, pattern="(?P<s>[^,]+),(?P<o>[01])", encoding="gbk")
    values = await hear(device, points, b"\r\n", "正常 ,0\r\n".encode("gbk"))
    assert (values["state"].value, values["on"].value) == ("正常", True)
    with pytest.raises(DeviceError):
        await hear(make("line", points, pattern="(?P<s>.+),(?P<o>.)"), points, b"\r\n\xff\xfe,1\r\n")


def summed(kind: str, body: bytes) -> bytes:
    total = 0
    for byte in body:
        total = total ^ byte if kind == "xor" else total + byte & 0xFF
    digits = crc16(body).hex() if kind == "crc16" else f"{total:02X}"
    return b"$" + body + b"*" + digits.encode() + b"\r\n"


@pytest.mark.parametrize("kind", ["xor", "sum8", "crc16"])
async def test_checksums(kind):
    device = scale(checksum=kind, begin="$")
    good = summed(kind, b"ST,GS,+0012.34kg")
    assert await weight(device, b"\r\n", good) == 12.34
    with pytest.raises(DeviceError) as failed:
        await weight(device, b"\r\n", good.replace(b"12.34", b"13.34"))
    assert failed.value.reason == "crc"


async def test_why_nothing_good_came():
    with pytest.raises(DeviceSilentError):
        await weight(scale())
    with pytest.raises(DeviceError, match="no message") as failed:
        await weight(scale(), b"\x80" * 5000)
    assert failed.value.reason == "damaged"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "either pattern or separator"),
        ({"pattern": PATTERN, "separator": ","}, "either pattern or separator"),
        ({"pattern": "("}, "no regular expression"),
        ({"pattern": "x"}, "no named group"),
        ({"separator": 5}, "options.separator"),
        ({"separator": ",", "encoding": "ebcdic"}, "options.encoding"),
        ({"separator": ",", "request": "°"}, "cannot be written in ascii"),
        ({"separator": ",", "seperator": ";"}, 'did you mean "separator"'),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(ConfigError, match=said):
        make("line", {"a": {"at": "1"}}, **options)


@pytest.mark.parametrize(
    ("point", "options", "said"),
    [
        ({"at": "mass"}, {"pattern": PATTERN}, "no group 'mass'; it has stable, weight"),
        ({"at": "0"}, {"separator": ","}, "no column"),
        ({"at": "1", "type": "bits"}, {"separator": ","}, "does not fit"),
        ({"at": "1", "decimals": "x"}, {"separator": ","}, "no use for decimals"),
    ],
)
def test_wrong_points_are_named(point, options, said):
    with pytest.raises(ConfigError, match=said):
        make("line", {"a": point}, **options)


GOOD = summed("crc16", b"ST,GS,+0012.34kg")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_damaged_line_with_a_checksum_never_yields_a_value(before, at, flip):
    spoilt = bytearray(GOOD)
    spoilt[at] ^= flip
    if bytes(spoilt).lower() == GOOD.lower() and spoilt[:19] == GOOD[:19]:
        return  # the digits of a checksum may be capital letters
    with pytest.raises(DeviceError):
        run(weight(scale(checksum="crc16", begin="$"), before, b"\r\n", bytes(spoilt)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=80) | st.text("STUG,+-.0123kg\r\n", max_size=80).map(str.encode), max_size=8))
def test_any_bytes_make_a_device_error_or_nothing(chunks):
    device = scale()
    with contextlib.suppress(DeviceError):
        run(hear(device, POINTS, *chunks, unasked=b"".join(chunks[:3])))
    assert len(device._ear._rest) <= 512


@pytest.mark.parametrize(
    "options", [{"pattern": "(?P<w>[0-9]+)"}, {"separator": ",", "checksum": "xor"}, {"pattern": "(?P<w>.*)x"}]
)
async def test_what_a_device_said_stands_in_no_sentence(options):
    """A reader of plates on a serial port: errors go to the log, plates do not."""
    device = make("line", {"weight": {"at": "w" if "pattern" in options else "1"}}, encoding="utf-8", **options)
    with pytest.raises(DeviceError) as caught:
        await hear(device, ["weight"], "\r\n沪A12345\r\n沪A12345*00\r\n\xff沪A12345\r\n".encode())
    assert "A12345" not in f"{caught.value} {caught.value.reason}"
