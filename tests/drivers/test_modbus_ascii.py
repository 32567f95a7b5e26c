"""Modbus ASCII: the standard's lines, damage, echo, late and foreign answers."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus import make
from gateway.contract import DeviceError, DeviceSilentError, DeviceSpec, LineKind, Point
from tests.drivers.spoken import Speech
from tests.modbus_farm import Slave

POINTS = {"a": Point(name="a", at="holding:0"), "b": Point(name="b", at="holding:1")}


def line(body: bytes) -> bytes:
    return b":" + (body + bytes((-sum(body) & 0xFF,))).hex().upper().encode() + b"\r\n"


def device(unit: int = 1):
    return make(DeviceSpec("d", "modbus", unit, LineKind.SERIAL, POINTS, {"framing": "ascii"}))


class Far(Speech):
    """A slave that speaks ASCII; ``spoil`` turns (question, true answer) into what arrives."""

    def __init__(self, spoil=lambda _question, answer: answer) -> None:
        super().__init__()
        self.slave = Slave({0: 100, 1: 101})

        def answer(question: bytes) -> bytes:
            body = bytes.fromhex(question[1:-2].decode())
            assert sum(body) & 0xFF == 0
            return spoil(question, line(body[:1] + (self.slave.answer(body[1:-1]) or b"")))

        self.answer = answer


async def read(far: Speech) -> list:
    values = await device().read(far, frozenset(POINTS))
    return [values[name].value for name in sorted(values)]


async def test_the_standards_line():
    far = Far()
    assert await read(far) == [100, 101]
    assert far.said == [b":010300000002FA\r\n"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda question, answer: question + answer,
        lambda _question, answer: b"\x00\xff\r\n" + answer,
        lambda _question, answer: answer[:7] + answer,
        lambda _question, answer: line(b"\x02\x03\x04\x00\x01\x00\x02") + answer,
        lambda _question, answer: line(b"\x01\x03\x02\x00\x01") + answer,
        lambda _question, answer: answer.lower(),
    ],
)
async def test_echo_noise_and_other_answers_are_passed_over(spoil):
    assert await read(Far(spoil)) == [100, 101]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _question, _answer: b"", "timeout"),
        (lambda question, _answer: question, "timeout"),
        (lambda _question, answer: answer[:-1], "damaged"),
        (lambda _question, answer: answer[1:], "damaged"),
        (lambda _question, answer: answer.replace(b"64", b"65"), "crc"),
        (lambda _question, answer: answer.replace(b"0", b"O"), "crc"),
        (lambda _question, _answer: line(b"\x01\x83\x04"), "device_failure"),
    ],
)
async def test_why_nothing_good_came(spoil, reason):
    with pytest.raises(DeviceError) as failed:
        await read(Far(spoil))
    assert failed.value.reason == reason


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(":0123456789ABCDEF\r\n", max_size=60).map(str.encode))
def test_any_bytes_make_a_device_error_or_nothing(data):
    async def attempt() -> None:
        with suppress(DeviceError):
            await read(Far(lambda _question, _answer: data))

    asyncio.run(attempt())


GOOD = line(b"\x01\x03\x04\x00\x64\x00\x65")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_damaged_byte_never_yields_a_wrong_value(at, flip):
    spoilt = bytearray(GOOD)
    spoilt[at] ^= flip

    async def attempt() -> None:
        with suppress(DeviceError, DeviceSilentError):
            assert await read(Far(lambda _question, _answer: bytes(spoilt))) == [100, 101]

    asyncio.run(attempt())
