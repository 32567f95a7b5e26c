"""Modbus TCP, RTU and ASCII on any line (Modbus application protocol 1.1b3): polls with functions 1 to 4 only."""

from __future__ import annotations

from drivers._options import Options
from drivers._points import PointError, check_meaning
from drivers.modbus.address import MAX_BITS, MAX_REGISTERS, Span, locate
from drivers.modbus.device import ModbusDevice
from drivers.modbus.framing import FRAMINGS
from drivers.modbus.planning import DEFAULT_GAP, Limits
from gateway.contract import ConfigError, DeviceSpec

HIGHEST_UNIT = {"tcp": 255}  # serial line 1.02, 2.2; TCP guide 1.0b, 4.4.2.1 allows 255 for the device

__all__ = ["ModbusDevice", "make"]


def make(spec: DeviceSpec) -> ModbusDevice:
    """Build the driver of one device; ConfigError with one sentence ``key: what; fix`` for each mistake."""
    problems = Options(spec).finish()
    framing = str(spec.options.get("framing", "rtu" if spec.line_kind == "serial" else "tcp"))
    if framing not in FRAMINGS:
        known = ", ".join(sorted(FRAMINGS))
        problems.append(f"framing: {framing!r} does not exist; use one of {known}")
    unit = _unit(spec.address, HIGHEST_UNIT.get(framing, 247), problems)
    spans: dict[str, Span] = {}
    for name, point in spec.points.items():
        try:
            spans[name] = locate(point)
            check_meaning(point, spec.points)
            if point.write:
                from drivers.modbus.writing import check_writable  # a device that is only read needs none

                check_writable(point, spans[name])
        except PointError as error:
            problems.append(f"points.{name}.{error.key}: {error}")
    if not spec.points:
        problems.append("points: a Modbus device needs at least one point, or a profile that has them")
    if problems:
        raise ConfigError(*problems)
    return ModbusDevice(spec.points, spans, _limits(spec), FRAMINGS[framing](unit))


def _unit(address: str | int, highest: int, problems: list[str]) -> int:
    text = str(address).strip()
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if number == 0:
        problems.append("address: 0 is the broadcast address, which no device answers; write 1 to 247")
    elif not 1 <= number <= highest:
        problems.append(f"address: {address!r} is no Modbus address; write a number from 1 to {highest}")
    return number


def _limits(spec: DeviceSpec) -> Limits:
    most = spec.options.get("max_read")
    gap = spec.options.get("gap", DEFAULT_GAP)
    return Limits(
        registers=min(most or MAX_REGISTERS, MAX_REGISTERS),
        bits=min(most or MAX_BITS, MAX_BITS),
        gap=gap,
    )
