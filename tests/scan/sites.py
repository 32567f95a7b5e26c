"""Devices and searches that several tests share."""

from pathlib import Path

from gateway.scan.fingerprint import sheets
from gateway.scan.search import QUICK, Search, Wanted
from gateway.settings.profiles import Profiles
from tests.meters.slaves import DltMeter, digits
from tests.modbus_farm import Slave
from tests.scan.crowd import Hear, of_edition, sealed
from tests.scan.still import StillWire

DEVICES = Path(__file__).resolve().parents[2] / "config/devices"
B9600, B2400 = 9600, 2400
SHEETS = sheets(Profiles([DEVICES]))
ELECTRIC, OTHER, WATER = "202312345678", "202312349978", "78330011223344"


def level() -> Slave:
    return Slave({3: 2, 4: 182})


def climate() -> Slave:
    return Slave({0: 558, 1: 235})


def electric(address: str = ELECTRIC) -> DltMeter:
    energies = [digits(number, 4) for number in (1234567, 200000, 300000, 400000, 334567)]
    return DltMeter(
        address,
        {
            "0001FF00": b"".join(energies), "00010000": energies[0], "00020000": digits(0, 4),
            "02010100": digits(2205, 2), "02020100": digits(456, 3), "02030000": digits(1004, 3),
            "02060000": digits(999, 2), "02800002": digits(4998, 2),
        },
    )  # fmt: skip


def shortened(meter: DltMeter) -> Hear:
    """A meter that takes its address with AA for the high digits."""
    hear = of_edition(meter)

    def listen(sent: bytes) -> bytes:
        frame = bytearray(sent.lstrip(b"\xfe"))
        to = bytes(frame[6:0:-1]).hex()
        if len(frame) > 11 and "aa" in to and meter.address.endswith(to.replace("aa", "")):
            frame[1:7] = bytes.fromhex(meter.address)[::-1]
            return hear(sealed(bytes(frame[:-2])))
        return hear(sent)

    return listen


def unshortened(meter: DltMeter) -> Hear:
    """A meter that knows its own address and the wildcard, and nothing between."""
    hear = of_edition(meter)

    def listen(sent: bytes) -> bytes:
        to = sent.lstrip(b"\xfe")[6:0:-1].hex()
        return hear(sent) if to in (meter.address, 12 * "a") else b""

    return listen


def search_of(wire: StillWire, wait: float = 0.0, **wanted: object) -> Search:
    given = {"units": tuple(range(1, 9)), "protocols": QUICK, **wanted}
    return Search(wire, wire, Wanted(**given), SHEETS, wait=wait)


async def run(search: Search) -> Search:
    try:
        await search.run()
    finally:
        search._wire.close()
    return search


def told(search: Search) -> dict[object, tuple[str, str | None, int]]:
    """Address: driver, best profile, speed."""
    return {
        found.address: (
            found.driver,
            found.candidates[0].profile if found.candidates else None,
            found.serial.baud if found.serial else 0,
        )
        for found in search.found
    }
