"""The simulated community: what its devices would measure at a given second, as the registers of real models."""

import math
import struct
from collections.abc import Callable

from gateway.cli.simulate.modbus import Tables

# The sump fills until the pump starts, empties, and rests: one round of seconds, beginning part of the way up.
ROUND, STARTS_AT, PUMP_ON, PUMP_OFF = 24.0, 3.0, 10.0, 16.0
LOW, FILLS, EMPTIES = 1.7, 0.12, 0.2  # m, m/s, m/s
SILENCE = (4.0, 9.0)  # seconds of every minute, from its first answer, in which the CO sensor says nothing
ENERGY_BEFORE = 1834.2  # kWh on the feeder's meter when the demo starts

PUMP_PANEL, LIFT, CHARGING_SHED, LOBBY_METER = 1, 2, 3, 4
SUMP_LEVEL, CLIMATE, GARAGE_CO = 3, 4, 5


class Community:
    """All devices, driven by one clock that is passed in (seconds since the demo began)."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._heard_co: float | None = None

    def plant_room(self, unit: int) -> Tables | None:
        """The Modbus TCP units."""
        now = self._elapsed()
        if unit == PUMP_PANEL:
            current = 11.8 + 0.3 * math.sin(now * 5) if pump_runs(now) else 0.0
            return Tables(discrete={0: int(pump_runs(now)), 1: 0}, input={4: round(current * 10)})
        if unit == LIFT:
            floor = 1 + round(16 * (1 + math.sin(now / 7)))
            door = int(math.sin(now / 3) > 0.6)
            return Tables(discrete={0: 1 - door, 1: door, 2: 0}, input={0: floor})
        if unit == CHARGING_SHED:
            return sdm120(now, charging_power(now), ENERGY_BEFORE)
        if unit == LOBBY_METER:
            return sdm120(now, 640 + 90 * math.sin(now / 11), 402.7)
        return None

    def riser(self, unit: int) -> Tables | None:
        """The RTU units on the RS-485 line."""
        now = self._elapsed()
        if unit == SUMP_LEVEL:
            # QDY30A: address, baud code, unit code, decimals, level, zero, range.
            return Tables(holding=dict(enumerate((unit, 3, 1, 2, round(sump_level(now) * 100), 0, 500))))
        if unit == CLIMATE:
            temperature, humidity = 18.4 + 0.6 * math.sin(now / 9), 61 + 4 * math.sin(now / 13)
            return Tables(input={1: signed(round(temperature * 10)), 2: round(humidity * 10)})
        if unit == GARAGE_CO:
            # From its first answer: however slowly the daemon starts, the sensor is heard before it falls silent.
            self._heard_co = now if self._heard_co is None else self._heard_co
            if SILENCE[0] <= (now - self._heard_co) % 60 < SILENCE[1]:
                return None
            return Tables(holding={6: round((5 + 3 * math.sin(now / 8)) * 10)})
        return None


def sump_level(now: float) -> float:
    """Metres of water in the sump."""
    at = (now + STARTS_AT) % ROUND
    if at < PUMP_ON:
        return LOW + FILLS * at
    return max(LOW, LOW + FILLS * PUMP_ON - EMPTIES * (at - PUMP_ON))


def pump_runs(now: float) -> bool:
    """Whether the sump pump runs."""
    return PUMP_ON <= (now + STARTS_AT) % ROUND < PUMP_OFF


def charging_power(now: float) -> float:
    """Watts on the feeder of the charging shed: three to nine e-bikes at about 480 W."""
    bikes = 6 + round(3 * math.sin(now / 17))
    return bikes * 480 + 25 * math.sin(now * 3)


def sdm120(now: float, power: float, energy: float) -> Tables:
    """The input registers of an Eastron SDM120: float32, high word first; 0 where the map is empty."""
    voltage = 226 + 2 * math.sin(now / 5)
    factor = 0.97
    values = {
        0x00: voltage,
        0x06: power / voltage / factor,
        0x0C: power,
        0x12: power / factor,
        0x18: math.sqrt((power / factor) ** 2 - power**2),
        0x1E: factor,
        0x46: 50 + 0.02 * math.sin(now / 4),
        0x48: energy + power * now / 3_600_000,
        0x4A: 0.0,
        0x156: energy + power * now / 3_600_000,
    }
    registers = dict.fromkeys([*range(0x5A), *range(0x156, 0x15A)], 0)
    for address, value in values.items():
        registers[address], registers[address + 1] = struct.unpack(">HH", struct.pack(">f", value))
    return Tables(input=registers)


def signed(value: int) -> int:
    """A signed 16-bit number as the register that carries it."""
    return value & 0xFFFF
