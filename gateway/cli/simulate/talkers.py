"""Simulated devices that speak by themselves or by one request: NMEA 0183, lines of text, binary frames."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from gateway.cli.simulate.checks import BY_NAME, Check, exclusive_or
from gateway.cli.simulate.gauge import Grid, Moment, Values, grid_of
from gateway.cli.simulate.spoken import places_of, speak
from gateway.contract import ConfigError, DeviceSpec, Point, Scalar

EVERY_SECOND, TEN_A_SECOND = 1.0, 0.1
KNOT, KILOMETRE_AN_HOUR = 1852 / 3600, 1 / 3.6


class Talker(ABC):
    """What all of them have in common: a message, given when asked for, or every ``period`` seconds."""

    refusal: int | None = None
    busy_code: int | None = None
    checked = False

    def __init__(self, values: Values, request: bytes, period: float) -> None:
        self.values = values
        self._request = request
        self.period: float | None = None if request else period

    def hear(self, question: bytes, now: Moment) -> bytes:
        """See ``Slave``."""
        return self.message(now) if self._request and self._request in question else b""

    def say(self, now: Moment) -> bytes:
        """See ``Slave``."""
        return b"" if self._request else self.message(now)

    @abstractmethod
    def message(self, now: Moment) -> bytes:
        """What it says."""

    def break_check(self, answer: bytes) -> bytes:
        """See ``Slave``."""
        return answer


class Shown(NamedTuple):
    """A field of a sentence (from 1), how many SI units one of it is, and its decimals."""

    field: int
    factor: float = 1.0
    places: int = 1


# Each sentence with its fixed fields, and what a point of it is.
SENTENCES: dict[str, tuple[list[str], dict[str, Shown]]] = {
    "MWV": (["", "R", "", "N", "A"], {"angle": Shown(1), "speed": Shown(3, KNOT)}),
    "MWD": (["", "T", "", "M", "", "N", "", "M"],
            {"direction": Shown(1), "direction-magnetic": Shown(3), "speed": Shown(7)}),
    "HDT": (["", "T"], {"heading": Shown(1)}),
    "HDM": (["", "M"], {"heading": Shown(1)}),
    "HDG": (["", "", "", "", ""], {"heading": Shown(1)}),
    "MTW": (["", "C"], {"temperature": Shown(1)}),
    "MTA": (["", "C"], {"temperature": Shown(1)}),
    "MMB": (["", "I", "", "B"], {"pressure": Shown(3, 100000, 4)}),
    "MHU": (["", "", "", "C"], {"humidity": Shown(1), "dew-point": Shown(3)}),
    "MDA": (["", "I", "", "B", "", "C", "", "C", "", "", "", "C", "", "T", "", "M", "", "N", "", "M"],
            {"pressure": Shown(3, 100000, 4), "temperature": Shown(5), "water-temperature": Shown(7),
             "humidity": Shown(9), "dew-point": Shown(11), "direction": Shown(13), "speed": Shown(19)}),
    "DPT": (["", "0.0", ""], {"depth": Shown(1)}),
    "DBT": (["", "f", "", "M", "", "F"], {"depth": Shown(3)}),
    "VHW": (["", "T", "", "M", "", "N", "", "K"], {"heading": Shown(1), "speed": Shown(7, KILOMETRE_AN_HOUR)}),
    "RMC": (["082530", "A", "3114.00", "N", "12129.00", "E", "", "", "211126", "", ""],
            {"speed": Shown(7, KNOT), "course": Shown(8)}),
}  # fmt: skip
# Unit, SI units in one, and decimals, by the type of a transducer.
TRANSDUCERS = {
    "C": ("C", 1.0, 1), "H": ("P", 1.0, 1), "P": ("B", 100000.0, 4), "A": ("D", 1.0, 1), "D": ("M", 1.0, 2),
    "S": ("M", 1.0, 1),
}  # fmt: skip


class NmeaSlave(Talker):
    """A station that sends every sentence its points stand in, once a second."""

    checked = True

    def __init__(self, spec: DeviceSpec, values: Values) -> None:
        super().__init__(values, b"", EVERY_SECOND)
        self._talker = "WI" if spec.address == 1 else str(spec.address)
        self._points = spec.points

    def message(self, now: Moment) -> bytes:
        """See ``Talker``."""
        sentences: dict[str, list[str]] = {}
        transducers: list[str] = []
        for name, point in self._points.items():
            formatter, what, *more = (*point.at.split("."), "")
            raw = now.raw(name)
            if formatter == "XDR":
                unit, _, places = TRANSDUCERS.get(what, ("", 1.0, 1))
                transducers += [what, _text(raw, point, places), unit, more[0]]
                continue
            fixed, shown = SENTENCES.get(formatter, ([], {}))
            fields = sentences.setdefault(".".join((formatter, *more)), [*fixed])
            if formatter == "MWV" and more[0]:
                fields[1] = more[0]
            place = shown[what] if what in shown else Shown(int(what))
            fields += [""] * (place.field - len(fields))
            fields[place.field - 1] = _text(raw, point, place.places)
        if transducers:
            sentences["XDR"] = transducers
        return b"".join(self._sealed(key[:3], fields) for key, fields in sentences.items())

    def break_check(self, answer: bytes) -> bytes:
        """See ``Slave``: every sentence's."""
        lines = answer.split(b"\r\n")
        return b"\r\n".join(line[:-1] + (b"0" if line[-1:] != b"0" else b"1") if line else line for line in lines)

    def _sealed(self, formatter: str, fields: list[str]) -> bytes:
        body = ",".join((f"{self._talker}{formatter}", *fields)).encode()
        return b"$" + body + b"*" + exclusive_or(body).hex().upper().encode() + b"\r\n"


def _text(raw: Scalar | None, point: Point, places: int) -> str:
    if raw is None:
        return ""
    _, factor, _ = nmea_place(point)
    return f"{float(raw) / factor:.{places}f}"


def nmea_place(point: Point) -> tuple[int, float, int]:
    """Field, SI units in one of it, decimals."""
    formatter, what, *_ = (*point.at.split("."), "")
    if formatter == "XDR":
        _, factor, places = TRANSDUCERS.get(what, ("", 1.0, 1))
        return 0, factor, places
    shown = SENTENCES.get(formatter, ([], {}))[1].get(what)
    return shown if shown is not None else Shown(int(what))


def nmea_grid(point: Point, _spec: DeviceSpec) -> Grid:
    """The raw values that a point can have."""
    _, factor, places = nmea_place(point)
    step = factor / 10**places
    return Grid(-99_999 * step, 99_999 * step, step)


class LineSlave(Talker):
    """A device that writes a line of text."""

    def __init__(self, spec: DeviceSpec, values: Values) -> None:
        encoding = str(spec.options.get("encoding", "ascii"))
        end = str(spec.options.get("terminator", "\r\n")).encode(encoding)
        super().__init__(values, str(spec.options.get("request", "")).encode(encoding), EVERY_SECOND)
        self._spec = spec
        self._encoding = encoding
        self._begin = str(spec.options.get("begin", "")).encode(encoding)
        self._end = end
        self._check: Check = BY_NAME[str(spec.options.get("checksum", "none"))]
        self._mark = str(spec.options.get("mark", "*")).encode(encoding)
        self.checked = self._check(b"") != b""
        text = speak(spec, {name: values.raw(name, 0.0) for name in spec.points})
        if text is None:
            raise ConfigError("the simulator finds no line that this pattern matches; write it with plain groups")

    def message(self, now: Moment) -> bytes:
        """See ``Talker``."""
        raws: dict[str, Scalar | None] = {}
        for name, point in self._spec.points.items():
            raw = now.raw(name)
            raws[name] = point.na[0] if raw is None and point.na else raw
        text = speak(self._spec, raws)
        if text is None:
            return b""
        body = text.encode(self._encoding)
        if self.checked:
            body += self._mark + self._check(body).hex().upper().encode()
        return self._begin + body + self._end

    def break_check(self, answer: bytes) -> bytes:
        """See ``Slave``."""
        at = len(answer) - len(self._end) - 1
        return answer[:at] + (b"0" if answer[at : at + 1] != b"0" else b"1") + answer[at + 1 :]


FORMATS = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q", "float32": ">f",
    "float64": ">d",
}  # fmt: skip


class FrameSlave(Talker):
    """A device that sends frames of one length."""

    def __init__(self, spec: DeviceSpec, values: Values) -> None:
        super().__init__(values, bytes.fromhex(str(spec.options.get("request", ""))), TEN_A_SECOND)
        self._points: Mapping[str, Point] = spec.points
        self._header = bytes.fromhex(str(spec.options["header"]))
        self._length = int(spec.options["length"])
        self._check: Check = BY_NAME[str(spec.options["checksum"])]
        self._begin = int(spec.options.get("checksum_from", 0))
        self.checked = self._check(b"") != b""

    def message(self, now: Moment) -> bytes:
        """See ``Talker``."""
        end = self._length - len(self._check(b""))
        frame = bytearray(self._header.ljust(end, b"\0"))
        for name, point in self._points.items():
            raw = now.raw(name)
            if raw is None:
                raw = point.na[0] if point.na else 0
            data = _bytes_of(point, raw)
            if point.order == "DCBA":
                data = data[::-1]
            for at, byte in enumerate(data, int(point.at)):
                frame[at] |= byte
        return bytes(frame) + self._check(bytes(frame[self._begin : end]))

    def break_check(self, answer: bytes) -> bytes:
        """See ``Slave``."""
        return answer[:-1] + bytes((answer[-1] ^ 0x5A,))


def _bytes_of(point: Point, raw: Scalar) -> bytes:
    if point.type in FORMATS:
        return struct.pack(FORMATS[point.type], raw if point.type.startswith("float") else int(raw))
    size = point.length or 1
    if point.type == "bool":
        return bytes((int(bool(raw)) << (point.bit or 0),))
    if point.type == "string":
        return str(raw).encode()[:size].ljust(size, b"\0")
    return bytes.fromhex(f"{int(raw):0{2 * size}d}") if point.type == "bcd" else int(raw).to_bytes(size, "big")


def frame_grid(point: Point, _spec: DeviceSpec) -> Grid:
    """The raw values that a point can have."""
    if point.type == "bits":
        return Grid(0, 256 ** (point.length or 1) - 1)
    return grid_of(point, 2 * (point.length or 1))


def line_grid(point: Point, spec: DeviceSpec) -> Grid:
    """The raw values that a point can have: numbers of as many decimals as the pattern has room for."""
    step = 10.0 ** -places_of(spec, point.at)
    return Grid(-9999, 9999, step) if point.type not in ("bool", "string") else Grid(0, 1)
