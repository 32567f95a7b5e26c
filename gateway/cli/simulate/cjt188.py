"""Simulated water, gas and heat meters of CJ/T 188-2004: current and month totals, both orders of the identifier."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from gateway.cli.simulate.checks import digits
from gateway.cli.simulate.dlt645 import sealed
from gateway.cli.simulate.gauge import Grid, Moment, Values
from gateway.cli.simulate.slave import Asked
from gateway.contract import DeviceSpec, Point, Scalar

ANYONE = 0xAA
HEAT = range(0x20, 0x30)
MONTHS = range(0xD120, 0xD12C)
# Code of the unit byte, by unit.
UNIT_CODES = {
    "Wh": 0x02, "kWh": 0x05, "MWh": 0x08, "J": 0x01, "kJ": 0x0B, "MJ": 0x0E, "GJ": 0x11, "W": 0x14, "kW": 0x17,
    "MW": 0x1A, "L": 0x29, "m³": 0x2C, "m3": 0x2C, "L/h": 0x32, "m³/h": 0x35, "m3/h": 0x35,
}  # fmt: skip
# What 901F holds behind its serial number: name, bytes, whether a unit byte follows and which without a point.
WATER = (("total", 4, "m³"), ("settled", 4, "m³"), ("clock", 7, ""), ("status", 2, ""))
HEAT_2004 = (
    ("settled", 4, "kWh"), ("energy", 4, "kWh"), ("power", 4, "kW"), ("flow", 4, "m³/h"), ("volume", 4, "m³"),
    ("supply", 3, ""), ("return", 3, ""), ("hours", 3, ""), ("clock", 7, ""), ("status", 2, ""),
)  # fmt: skip
VALVE_BITS = {"open": 0, "closed": 1, "abnormal": 3}
BATTERY_LOW = 0x04
BEGAN = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)
IN_STATUS = ("status", "valve", "battery-low")
Data = Callable[[str], bytes | None]


class CjtMeter:
    """The meter itself. ``data``: what follows the serial number, by identifier (901F). ``order``: low, high, any."""

    def __init__(
        self, address: str, data: Mapping[str, bytes] | Data, *, type_: int = 0x10, order: str = "any"
    ) -> None:
        self.address = address
        self.data = data
        self.type = type_
        self.order = order
        self.refusal = b""
        self.asked: list[bytes] = []
        self.forbidden = 0  # questions that were no reads

    def hear(self, sent: bytes) -> bytes:
        """Answer one question as it stood on the wire, or b"" when it is for somebody else."""
        frame = sent[max(sent.find(b"\x68"), 0) :]
        frame = frame[: 13 + frame[10]] if len(frame) > 10 else frame
        if len(frame) < 13 or frame[0] != 0x68 or sealed(frame[:-2]) != frame or frame[1] not in (self.type, ANYONE):
            return b""
        own = bytes.fromhex(self.address)[::-1]
        if any(asked not in (there, ANYONE) for asked, there in zip(frame[2:9], own, strict=True)):
            return b""
        if frame[9] == 0x03:  # read address
            return self._say(0x83, frame[11:14])
        if frame[9] != 0x01 or len(frame) != 16:
            self.forbidden += 1
            return b""
        return self._read(frame[11:13], frame[13:14])

    def _read(self, said: bytes, serial: bytes) -> bytes:
        self.asked.append(said)
        del self.asked[:-1000]
        low, high = self._find(said[::-1]), self._find(said)
        data = low if low is not None else high
        if data is None or (self.order != "any" and (low is not None) != (self.order == "low")):
            return b""
        return self._say(0xC1, self.refusal) if self.refusal else self._say(0x81, said + serial + data)

    def _find(self, ident: bytes) -> bytes | None:
        word = ident.hex().upper()
        return self.data(word) if callable(self.data) else self.data.get(word)

    def _say(self, control: int, data: bytes) -> bytes:
        to = bytes.fromhex(self.address)[::-1]
        return b"\xfe\xfe" + sealed(bytes((0x68, self.type)) + to + bytes((control, len(data))) + data)


class CjtSlave(Asked):
    """A meter whose data are the points of a device."""

    busy_code: int | None = 1

    def __init__(self, spec: DeviceSpec, values: Values) -> None:
        super().__init__(values)
        self._points = spec.points
        self._names = {point.at.strip().upper(): name for name, point in spec.points.items()}
        kind = int(spec.options.get("meter_type", 0x10))
        order = str(spec.options.get("di_order", "any"))
        self._layout = HEAT_2004 if kind in HEAT else WATER
        self._now: Moment | None = None
        self.meter = CjtMeter(str(spec.address), self._data, type_=kind, order="any" if order == "learn" else order)

    def hear(self, question: bytes, now: Moment) -> bytes:
        """See ``Slave``."""
        self._now = now
        self.meter.refusal = b"\0" + bytes((self.refusal, 0)) if self.refusal is not None else b""
        return self.meter.hear(question)

    def _data(self, ident: str) -> bytes | None:
        if ident == "901F":
            return b"".join(self._field(ident, *field) for field in self._layout)
        if int(ident, 16) in MONTHS and self._name(ident, "total"):
            return self._field(ident, "total", 4, "m³")
        return None

    def _name(self, ident: str, field: str) -> str | None:
        return self._names.get(f"{ident}:{field}".upper())

    def _raw(self, ident: str, field: str) -> Scalar | None:
        name = self._name(ident, field)
        return self._now.raw(name) if name is not None and self._now is not None else 0

    def _field(self, ident: str, field: str, size: int, unit: str) -> bytes:
        if field == "status":
            return self._status(ident)
        raw = self._raw(ident, field)
        if field == "clock":
            if raw is None:
                return b"\xff" * size
            text = str(raw) if isinstance(raw, str) else f"{BEGAN:%Y-%m-%d %H:%M:%S}"
            return bytes.fromhex("".join(filter(str.isdecimal, text)))[::-1]
        data = b"\xff" * size if raw is None else digits(int(raw), size)
        if not unit:
            return data
        name = self._name(ident, field)
        return data + bytes((UNIT_CODES[self._points[name].unit if name else unit],))

    def _status(self, ident: str) -> bytes:
        if any(self._raw(ident, field) is None for field in IN_STATUS):
            return b"\xff\xff"
        word = int(self._raw(ident, "status") or 0)
        word |= VALVE_BITS.get(str(self._raw(ident, "valve")), 0)
        word |= BATTERY_LOW if self._raw(ident, "battery-low") else 0
        return word.to_bytes(2, "little")


def text(point: Point, now: float) -> str:
    """What a text of such a meter says by itself: its clock, or its valve."""
    if point.at.partition(":")[2].strip().lower() == "valve":
        return "open"
    return f"{BEGAN + timedelta(seconds=int(now)):%Y-%m-%d %H:%M:%S}"


def grid(point: Point, _spec: DeviceSpec) -> Grid:
    """The raw values that a point can have."""
    if point.type == "bits":
        return Grid(0, 0xFFFE)
    field = point.at.partition(":")[2].strip()
    return Grid(0, 999_999 if field in ("supply", "return", "hours") else 99_999_999)
