"""Devices that speak by themselves, other masters, and noise, heard before anything is asked."""

import pytest

from gateway.scan.paste import Surroundings, toml
from gateway.scan.search import QUICK
from gateway.scan.talking import judge
from gateway.settings import LineSettings
from tests.scan.sites import run, search_of, told
from tests.scan.still import StillWire

DYP = bytes.fromhex("A7FF07A1A7FF07A1A7FF07A1A7FF07")
SCALE = b"34kg\r\nST,GS,+0012.34kg\r\nST,GS,+0012.36kg\r\nST,GS"
NMEA = b"N,A*29\r\n$WIMWV,212.6,R,5.8,N,A*29\r\n$WIXDR,C,+023.0,C,TEMP,P,1.0199,B,PRESS,H,039.6,P,RH*33\r\n$WIM"
GARBAGE = bytes.fromhex("E08F1C70F3807E0CFCE08F1C70F3807E0C")


def around() -> Surroundings:
    return Surroundings(LineSettings(name="rs232-1", serial="/dev/ttyS1"), is_new_line=True)


def speaking(data: bytes, baud: int) -> StillWire:
    """Speaks at its own speed; at another one, what comes is garbage."""
    wire = StillWire()
    wire.unasked = lambda now: data if now == baud else GARBAGE
    return wire


@pytest.mark.parametrize(
    ("data", "baud", "driver", "profile"),
    [
        (DYP, 9600, "frames", "dyp-a02yyuw"),
        (SCALE, 9600, "line", "weighing-scale"),
        (NMEA, 4800, "nmea", "nmea-weather"),
    ],
)
async def test_a_talker_is_named_at_its_own_speed_and_not_asked(
    data: bytes, baud: int, driver: str, profile: str
) -> None:
    wire = speaking(data, baud)
    search = await run(search_of(wire, protocols=QUICK))
    assert told(search) == {1: (driver, profile, baud)}
    assert wire.heard == []
    assert f'profile = "{profile}"' in toml(search.found, around())


async def test_text_that_no_profile_knows_is_shown() -> None:
    wire = speaking(b"abc\r\nT=21.5;H=40\r\nT=21.6;H=40\r\nT=", 9600)
    search = await run(search_of(wire, protocols=QUICK))
    assert told(search) == {1: ("line", None, 9600)}
    assert search.found[0].remarks == ["speaks by itself: T=21.5;H=40"]
    text = toml(search.found, around())
    assert all(row.startswith("#") for row in text.partition("\n\n")[2].splitlines() if row)


async def test_another_master_ends_the_scan() -> None:
    wire = StillWire()
    wire.unasked = lambda _baud: bytes.fromhex("030300030002 35E9 0303040002 00B6 5985".replace(" ", "")) * 2
    search = await run(search_of(wire, protocols=QUICK))
    (clash,) = search.clashes
    assert clash.sentence.startswith("another master asks on this line at 9600 8N1")
    assert wire.heard == []


async def test_what_nobody_understands_is_said_so() -> None:
    wire = StillWire()
    wire.unasked = lambda _baud: GARBAGE
    search = await run(search_of(wire, protocols=QUICK))
    assert search.found == []
    assert search.clashes[0].sentence.startswith("something speaks by itself, and nobody knows what: E0 8F")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"", ""), (b"\0\xff\0", ""), (b"\0" * 50, ""), (NMEA, "nmea"), (SCALE, "text"), (DYP, "unknown"),
     (NMEA.replace(b"*29", b"*28").replace(b"*33", b"*34"), "text"),
     (bytes.fromhex("6861010000000068910833333433593333338A16"), "master"), (GARBAGE, "unknown")],
)  # fmt: skip
def test_judgements(data: bytes, kind: str) -> None:
    assert judge(data) == kind
