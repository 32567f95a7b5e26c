"""Searches of a line in memory: clashes, noise, echoes, late answers, several meters behind one wildcard, time."""

import tomllib

import pytest

from gateway.contract import LinkError
from gateway.scan.found import Found
from gateway.scan.paste import Surroundings, device_name, line_name, toml
from gateway.settings import DeviceSettings, LineSettings, SerialSettings
from tests.meters.slaves import CjtMeter, DltMeter, modbus_ear, water
from tests.modbus_farm import Slave
from tests.scan.crowd import Hear, MbusMeter, only_reads, sealed
from tests.scan.sites import (
    B2400,
    B9600,
    ELECTRIC,
    OTHER,
    WATER,
    climate,
    electric,
    level,
    run,
    search_of,
    shortened,
    told,
    unshortened,
)  # fmt: skip
from tests.scan.still import StillWire


async def test_two_units_with_one_address_are_told_apart_from_noise() -> None:
    one, other = Slave({0: 100, 4: 1}), Slave({0: 23, 4: 2})
    bus = StillWire((B9600, modbus_ear(2, one)), (B9600, modbus_ear(2, other)), (B9600, modbus_ear(6, level())))
    search = await run(search_of(bus, bauds=(9600,), protocols=("modbus",)))
    assert list(told(search)) == [6]
    assert [clash.sentence for clash in search.clashes] == [
        "unit 2 at 9600 8N1: something answers, but every answer is garbled"
    ]
    assert "two devices have this address" in search.clashes[0].fix


async def test_two_units_whose_answers_only_sometimes_collide() -> None:
    bus = StillWire((B9600, modbus_ear(2, level())))
    answers = iter(range(10**6))
    bus.spoil = lambda _question, answer: [answer[:-1] + b"\x55" if answer and next(answers) % 3 == 1 else answer]
    search = await run(search_of(bus, bauds=(9600,), protocols=("modbus",)))
    (found,) = search.found
    assert found.address == 2
    assert "probably two devices have the address 2" in found.remarks[0]


async def test_noise_now_and_then_is_no_device() -> None:
    bus = StillWire((B9600, modbus_ear(2, level())))
    count = iter(range(10**6))
    bus.spoil = lambda _question, answer: [answer or (b"\x00\x7f\x13\x80" if next(count) % 5 == 0 else b"")]
    search = await run(search_of(bus, bauds=(9600,), protocols=("modbus", "dlt645")))
    assert list(told(search)) == [2]
    assert search.clashes == []
    assert search.found[0].remarks == []


async def test_an_adapter_that_echoes_does_not_answer_for_everybody() -> None:
    bus = StillWire((B9600, modbus_ear(4, climate())))
    bus.spoil = lambda question, answer: [question, answer]
    search = await run(search_of(bus, bauds=(9600,), protocols=("modbus", "dlt645", "cjt188", "mbus")))
    assert list(told(search)) == [4]
    assert search.clashes == []


async def test_a_unit_that_refuses_is_found_and_one_with_inputs_only_too() -> None:
    refusing, inputs = Slave(), Slave({1: 305, 2: 546})
    refusing.exception = 1
    answers = modbus_ear(8, inputs)
    bus = StillWire((B9600, modbus_ear(1, refusing)), (B9600, lambda sent: answers(sent) if sent[1] == 4 else b""))
    search = await run(search_of(bus, bauds=(9600,), protocols=("modbus",)))
    assert {address: profile for address, (_, profile, _) in told(search).items()} == {1: None, 8: "xy-md02"}


async def test_of_profiles_that_fit_alike_the_one_that_reads_most_comes_first() -> None:
    board, inputs = Slave(bits=dict.fromkeys(range(8), False)), Slave(bits=dict.fromkeys(range(8), False))
    inputs.refused = {1: 1}
    bus = StillWire((B9600, modbus_ear(6, board)), (B9600, modbus_ear(7, inputs)))
    search = await run(search_of(bus, bauds=(9600,), protocols=("modbus",)))
    assert {address: profile for address, (_, profile, _) in told(search).items()} == {
        6: "waveshare-relay-8in8out",
        7: "dry-contact-8",
    }


async def test_a_late_answer_finds_its_own_unit() -> None:
    """Unit 3 answers once when the next unit was asked already."""
    bus = StillWire((B9600, modbus_ear(3, level())), (B9600, modbus_ear(7, climate())))
    late: list[bytes] = []

    def spoil(_question: bytes, answer: bytes) -> list[bytes]:
        if answer[:1] == b"\x03" and not late:
            late.append(answer)
            return []
        return [late[0], answer] if len(late) == 1 and not late.append(b"") else [answer]

    bus.spoil = spoil
    search = await run(search_of(bus, bauds=(9600,), protocols=("modbus",)))
    assert set(told(search)) == {3, 7}


async def test_meters_that_answer_one_wildcard_are_taken_apart_by_their_digits() -> None:
    meters = [electric(ELECTRIC), electric(OTHER), electric("202312340001")]
    ears = [(B2400, shortened(meter)) for meter in meters]
    bus = StillWire(*ears)
    search = await run(search_of(bus, bauds=(2400,), protocols=("dlt645",)))
    assert set(told(search)) == {ELECTRIC, OTHER, "202312340001"}
    assert search.clashes == []
    assert all(only_reads(question) for _, question in bus.heard)


@pytest.mark.parametrize(("often", "found"), [(1, {ELECTRIC, "202312340001"}), (99, {"202312340001"})])
async def test_who_garbled_a_wildcard_is_looked_for_again(often: int, found: set[str]) -> None:
    """One of two meters does not answer to its shortened address, once or always: it is found, or missed aloud."""
    bus = StillWire((B2400, shortened(electric(ELECTRIC))), (B2400, shortened(electric("202312340001"))))
    ignored: list[bytes] = []

    def spoil(question: bytes, answer: bytes) -> list[bytes]:
        to = question.lstrip(b"\xfe")[1:7]
        if to == bytes.fromhex("78AAAAAAAAAA") and len(ignored) < often:
            ignored.append(question)
            return []
        return [answer]

    bus.spoil = spoil
    search = await run(search_of(bus, bauds=(2400,), protocols=("dlt645",)))
    assert set(told(search)) == found
    assert [clash.sentence for clash in search.clashes] == [
        "the answers to the wildcard of DL/T 645-2007 were garbled at 2400 8E1, but only one meter was found"
        for _ in range(2 - len(found))
    ]


async def test_meters_that_know_no_shortened_address_are_named_as_a_clash() -> None:
    bus = StillWire((B2400, unshortened(electric(ELECTRIC))), (B2400, unshortened(electric(OTHER))))
    search = await run(search_of(bus, bauds=(2400,), protocols=("dlt645",)))
    assert search.found == []
    (clash,) = search.clashes
    assert clash.sentence.startswith("several DL/T 645-2007 meters answer at once at 2400 8E1")


async def test_water_meters_at_once_are_named_as_a_clash() -> None:
    taps = [CjtMeter(address, {"901F": water(total)}) for address, total in ((WATER, 12345), ("78330011223399", 777))]
    bus = StillWire(*((B2400, tap.hear) for tap in taps))
    search = await run(search_of(bus, bauds=(2400,), protocols=("cjt188",)))
    assert search.found == []
    (clash,) = search.clashes
    assert "CJ/T 188 meters" in clash.sentence


async def test_one_mbus_meter_and_several_of_them() -> None:
    pytest.importorskip("meterbus")
    one = MbusMeter(1, "70112345")
    bus = StillWire((B2400, one.hear))
    alone = await run(search_of(bus, protocols=("mbus",)))
    assert told(alone) == {"7011234593150207": ("mbus", "mbus-water-meter", 2400)}
    several = [one, MbusMeter(1, "70112399", volume=17), MbusMeter(0, "20000001", volume=5)]
    bus = StillWire(*((B2400, meter.hear) for meter in several))
    search = await run(search_of(bus, protocols=("mbus",)))
    assert set(told(search)) == {"7011234593150207", "7011239993150207", "2000000193150207"}
    assert all(only_reads(question) for _, question in bus.heard)


@pytest.mark.parametrize(
    ("wanted", "most"),
    [({"bauds": (9600,)}, 30.0), ({}, 75.0)],
)
async def test_a_quick_search_of_32_units_takes_seconds_to_a_minute(wanted: dict[str, object], most: float) -> None:
    """In counted time: bytes at their speed, waits as long as they are."""
    bus = StillWire((B9600, modbus_ear(3, level())), (B9600, modbus_ear(17, climate())))
    search = search_of(bus, units=range(1, 33), **wanted)
    began = bus.now
    expected = search.expected
    await run(search)
    assert set(told(search)) == {3, 17}
    assert bus.now - began < most
    assert 0.5 * expected < bus.now - began < 2 * expected + 10


async def test_a_speed_that_the_adapter_refuses_is_said_and_passed_over() -> None:
    bus = StillWire((B9600, modbus_ear(3, level())))

    def refuse(serial: SerialSettings | None) -> None:
        if serial and serial.baud == 19200:
            raise LinkError("/dev/x does not take 19200 8N1", "settings")

    bus.refuses = refuse
    search = await run(search_of(bus, bauds=(19200, 9600), protocols=("modbus", "dlt645")))
    assert list(told(search)) == [3]
    assert set(search.remarks) == {"/dev/x does not take 19200 8N1"}
    assert search.complete


async def test_the_same_address_at_two_speeds_is_written_but_not_twice_in_force() -> None:
    bus = StillWire((B9600, modbus_ear(3, level())), (B2400, modbus_ear(3, climate())))
    search = await run(search_of(bus, bauds=(9600, 2400), protocols=("modbus",)))
    text = toml(search.found, Surroundings(LineSettings(name="pit", serial="/dev/x"), is_new_line=True))
    assert len(tomllib.loads(text)["device"]) == 1
    assert "has this address already, at another speed" in text


async def test_progress_counts_down() -> None:
    bus, seen = StillWire((B9600, modbus_ear(3, level()))), []
    search = search_of(bus, bauds=(9600,))
    search._report = seen.append
    expected = search.expected
    await run(search)
    assert [one.step for one in seen] == sorted(one.step for one in seen)
    assert seen[0].left == pytest.approx(expected, rel=0.2)
    assert seen[-1].left < 5
    assert all(0 <= one.done <= 1 for one in seen)


@pytest.mark.parametrize("foreseen", [0.4, 0.0], ids=["told beforehand", "learned"])
async def test_the_time_left_counts_the_wait_for_a_turn(foreseen: float) -> None:
    """A line that polls meanwhile: each question waits 0.4 s, whether that could be foreseen or not."""
    bus = StillWire((B9600, modbus_ear(3, level())))
    bus.turn = 0.4
    search = search_of(bus, units=range(1, 33), bauds=(9600,), wait=foreseen)
    began, left = bus.now, []
    search._report = lambda one: left.append((bus.now, one.left))
    await run(search)
    whole = bus.now - began
    if foreseen:
        assert search_of(bus, wait=0.4, units=range(1, 33), bauds=(9600,)).expected + search.each_device == (
            pytest.approx(whole, rel=0.3)
        )
    assert len(left) > 30
    for at, foretold in left:
        if at - began > whole / 3:
            assert foretold == pytest.approx(began + whole - at, abs=(0.25 if foreseen else 0.4) * whole)


async def test_meters_that_refuse_the_other_editions_question_cost_no_search_of_their_own() -> None:
    def refusing(meter: DltMeter) -> Hear:
        hear = shortened(meter)

        def listen(sent: bytes) -> bytes:
            frame = sent.lstrip(b"\xfe")
            if len(frame) > 9 and frame[8] == 0x01 and frame[1:7] == b"\xaa" * 6:
                return sealed(b"\x68" + bytes.fromhex(meter.address)[::-1] + b"\x68\xc1\x01\x34")
            return hear(sent)

        return listen

    bus = StillWire((B2400, refusing(electric(ELECTRIC))), (B2400, refusing(electric(OTHER))))
    search = await run(search_of(bus, bauds=(2400,), protocols=("dlt645",)))
    assert {found.address: found.options["edition"] for found in search.found} == {ELECTRIC: 2007, OTHER: 2007}
    assert search.clashes == []
    assert sum(b"\x68\x01\x02\x43\xc3" in sent for _, sent in bus.heard) == 3, "the wildcard, and no hundred more"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ({"serial": "/dev/ttyUSB0"}, "ttyusb0"),
        ({"serial": "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A10JPQ-if00-port0"}, "ft232r-a10jpq"),
        ({"serial": "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"}, "line-1a86"),
        ({"serial": "/home/linli/ports/riser"}, "riser"),
        ({"tcp": "192.168.10.20:502"}, "tcp-192-168-10-20"),
        ({"tcp": "192.168.10.20:4001"}, "tcp-192-168-10-20-4001"),
        ({"udp": "[fe80::1]:502"}, "udp-fe80-1"),
    ],
)
def test_a_line_is_named_after_its_port(line: dict[str, str], name: str) -> None:
    settings = LineSettings(name="new", **line)
    assert line_name(settings) == name
    assert LineSettings(name=line_name(settings), **line).name == name


def test_a_name_is_never_too_long() -> None:
    found = Found("modbus", 247, None)
    assert device_name(found, "a" * 64, ()) == "modb" + ("-" + "a" * 64 + "-247")[-60:]
    DeviceSettings(name=device_name(found, "a" * 64, ()), line="a", profile="b")
