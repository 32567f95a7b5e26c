"""The gate of a search: whatever is handed to it, only reads pass."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import cjt188, dlt645
from gateway.scan.modbus import Spot, question
from gateway.scan.reads import is_read
from gateway.scan.wire import ReadOnly, WriteRefusedError
from tests.meters.slaves import Wire
from tests.modbus_farm import crc16
from tests.scan.crowd import only_reads, sealed


def rtu(body: bytes) -> bytes:
    return body + crc16(body)


@pytest.mark.parametrize("framing", ["rtu", "ascii", "tcp"])
def test_of_modbus_only_functions_1_to_4(framing: str) -> None:
    passed = [function for function in range(256) if is_read(question(framing, 17, Spot(function, 3, 2)))]
    assert passed == [1, 2, 3, 4]


def test_of_meters_only_the_reading_controls() -> None:
    controls = [bytes([control]) for control in range(256)]
    dlt = [at for at in controls if is_read(b"\xfe\xfe" + sealed(b"\x68" + b"\xaa" * 6 + b"\x68" + at + b"\0"))]
    assert dlt == [b"\x01", b"\x02", b"\x11", b"\x12", b"\x13"]
    cjt = [at for at in controls if is_read(sealed(b"\x68\x10" + b"\xaa" * 7 + at + b"\x03\x1f\x90\0"))]
    assert cjt == [b"\x01"]
    short = [at for at in range(256) if is_read(bytes([0x10, at, 1, (at + 1) & 0xFF, 0x16]))]
    assert short == [0x40, 0x5B, 0x7B]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xfe", rtu(b"\x01\x03\0\0\0\x01")[:-1], rtu(b"\x01\x10\0\0\0\x01\x02\0\0"), b":0106000000\r\n",
        rtu(b"\x01\x03\0\0\0\x01") * 2, bytes.fromhex("000100000006010600000001"), b"$PUBX,40*00\r\n",
        bytes.fromhex("68030368530150A416"), bytes.fromhex("68999999999999680800 7916".replace(" ", "")),
    ],
)  # fmt: skip
async def test_refused(data: bytes) -> None:
    wire = Wire()
    with pytest.raises(WriteRefusedError):
        await ReadOnly(wire).write(data)
    assert wire.questions == []


def test_what_devices_say_is_no_question_of_ours() -> None:
    answers = [frame for frame, said in (*dlt645.VECTORS, *cjt188.VECTORS) if int(str(said["control"])) & 0x80]
    assert len(answers) == 4
    assert not any(is_read(frame) for frame in answers)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=24), how=st.sampled_from(["raw", "crc", "sum", "wake"]))
def test_anything_at_all(body: bytes, how: str) -> None:
    data = {"raw": body, "crc": rtu(body), "sum": sealed(b"\x68" + body), "wake": b"\xfe" * 4 + sealed(b"\x68" + body)}[
        how
    ]
    if is_read(data):
        assert only_reads(data)
