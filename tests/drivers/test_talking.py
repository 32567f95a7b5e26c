"""Devices on real pseudo-terminals, through line and source: values are fresh, silence and garbage are told apart."""

import asyncio
import itertools
import struct
import tomllib
from pathlib import Path

import pytest

from gateway.contract import ConfigError
from gateway.plan import load_plan
from gateway.settings import Profile
from tests.drivers.spoken import FarSide, Stage

ROOT = Path(__file__).resolve().parents[2]


def profile(name: str) -> Profile:
    return Profile.model_validate(tomllib.loads((ROOT / f"config/devices/{name}.toml").read_text("utf-8")))


def distance(millimetres: int) -> bytes:
    body = b"\xff" + struct.pack(">H", millimetres)
    return body + bytes((sum(body) & 0xFF,))


def sentence(body: str) -> bytes:
    total = 0
    for character in body.encode():
        total ^= character
    return f"${body}*{total:02X}\r\n".encode()


async def talk(far: FarSide, said, pause: float = 0.01) -> None:
    for piece in said:
        far.say(piece)
        await asyncio.sleep(pause)


def good(stage: Stage, point: str) -> list:
    return [reading[point].value for reading in stage.readings if reading[point].quality == "good"]


async def test_a_distance_sensor_that_talks_faster_than_it_is_read():
    stage = Stage(FarSide(), profile("dyp-a02yyuw"), every="60ms")
    newest, late = 0, []

    def said():
        nonlocal newest
        for newest in itertools.count(100):
            yield distance(newest)[:2]
            yield distance(newest)[2:]

    def enough() -> bool:
        values = good(stage, "distance")
        if len(values) > len(late):
            late.append(newest - round(1000 * values[-1]))
        return len(values) >= 10

    await stage.until(enough, talk(stage.far, said(), 0.003))
    values = good(stage, "distance")
    assert stage.states == ["starting", "online"]
    assert values == sorted(set(values))
    # It says some ten values between two reads: what piled up is not read out one by one.
    assert max(late) <= 5


async def test_what_speaks_by_itself_is_waited_for_however_quick_it_was():
    """What the line learns of those that are asked says nothing about when a device speaks next."""
    stage = Stage(FarSide(), profile("dyp-a02yyuw"), every="10ms", timeout="5s")

    async def speech() -> None:
        await talk(stage.far, map(distance, range(300, 340)))
        await talk(stage.far, map(distance, range(400, 404)), 0.4)

    await stage.until(lambda: max(good(stage, "distance"), default=0) >= 0.4, speech())
    assert stage.states == ["starting", "online"]
    assert len(good(stage, "distance")) == len(stage.readings)


async def test_a_weather_station_with_two_sentences():
    stage = Stage(FarSide(), profile("nmea-weather"), every="50ms")
    said = itertools.cycle(
        [b"14.8,R,9.9,M,A*00\r\n", sentence("WIMWV,90.0,R,3.5,M,A"), sentence("WIXDR,C,21.5,C,,H,40,P,,P,1.01,B,")]
    )
    await stage.until(lambda: len(stage.readings) >= 5, talk(stage.far, said))
    assert {name: value.value for name, value in stage.readings[-1].items()} == {
        "wind-speed": 3.5, "wind-direction": 90.0, "temperature": 21.5, "humidity": 40.0, "pressure": 1010.0,
    }  # fmt: skip
    assert stage.states == ["starting", "online"]


async def test_a_scale_whose_lines_come_in_pieces():
    stage = Stage(FarSide(), profile("weighing-scale"), every="20ms")
    text = "".join(f"ST,GS,+{number:07.2f}kg\r\n" for number in range(1, 100)).encode()
    pieces = (text[at : at + 7] for at in range(0, len(text), 7))
    await stage.until(lambda: len(good(stage, "weight")) >= 8, talk(stage.far, pieces, 0.004))
    assert all(value == int(value) for value in good(stage, "weight"))
    assert all(reading["stable"].value is True for reading in stage.readings)


@pytest.mark.parametrize(("noise", "reason"), [(b"", "timeout"), (b"\x81\x92\xa3", "damaged")])
async def test_silence_and_garbage_have_their_own_reasons(noise, reason):
    stage = Stage(FarSide(), profile("dyp-a02yyuw"), every="50ms", timeout="100ms")
    await stage.until(lambda: bool(stage.readings), talk(stage.far, itertools.repeat(noise), 0.05))
    assert stage.readings[0]["distance"].reason == reason


async def test_a_meter_is_read_over_a_real_port():
    pytest.importorskip("meterbus")
    from tests.drivers.test_mbus import ENERGY, VOLUME, Meter, telegram

    far = FarSide()
    meter = Meter(telegram(ENERGY + b"\x1f", address=5), telegram(VOLUME, address=5), address=5, echo=True)
    far.answer = meter.answer
    stage = Stage(far, profile("mbus-heat-meter"), address=5, every="100ms", serial={"baud": 2400, "format": "8N1"})
    await stage.until(lambda: len(stage.readings) >= 2)
    assert stage.readings[-1]["energy"].value == 37351.0
    assert stage.readings[-1]["volume"].value == 1234.567
    assert stage.states[:2] == ["starting", "degraded"]  # this meter says nothing of the other points


SITE = """
[gateway]
id = "gate-1"
state = "{state}"
[[line]]
name = "port"
serial = "/dev/null"
[[device]]
name = "depth"
line = "port"
profile = "dyp-a02yyuw"
[[device]]
name = "meter"
line = "port"
profile = "qdy30a"
address = 2
"""


def test_what_speaks_by_itself_stands_alone_on_its_line(tmp_path: Path):
    path = tmp_path / "linli.toml"
    path.write_text(SITE.format(state=tmp_path))
    with pytest.raises(ConfigError) as refused:
        load_plan(path)
    assert refused.value.problems == (
        f"{path}:10: device.depth.line: speaks by itself and disturbs meter on the same line; "
        "give it a line of its own",
    )
    path.write_text(SITE.format(state=tmp_path).partition('[[device]]\nname = "meter"')[0])
    assert [device.name for device in load_plan(path).devices] == ["depth"]
