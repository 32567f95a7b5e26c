"""One environment station: its packets to values with their marks and times, and the answers that it wants."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from drivers._decimals import text_finisher
from drivers.hj212.packet import Packet, PacketEars, build
from drivers.hj212.place import Place
from gateway.contract import DeviceError, Point, PointValue
from gateway.links.calls import Call, Heard

REMEMBERED = 64
RESENT_WITHIN = 60.0  # the standard: three times more, ten seconds apart
ASKS_TIME, SET_TIME, ANSWER_NOTICE, ANSWER_DATA = "1013", "1012", "9013", "9014"
ITS_ANSWERS = frozenset({"9011", "9012"})
GATEWAY = "91"  # ST: system interaction
WANTS_ANSWER, VERSION_2017 = 1, 4
CLOCK_SET_EVERY = timedelta(hours=1).total_seconds()
# Marks of a value: what is not N counts as little as its mark says.
MARKS: dict[str, tuple[str, str]] = {
    "F": ("bad", "stopped"),
    "M": ("uncertain", "maintenance"),
    "S": ("uncertain", "set_by_hand"),
    "D": ("bad", "device_fault"),
    "C": ("bad", "calibration"),
    "T": ("uncertain", "over_range"),
    "B": ("bad", "link_fault"),
}
FAULTS = {
    "crc": "a packet has a wrong checksum",
    "cut": "a packet is cut short by the next",
    "length": "a packet has no end",
}
QN_DIGITS, TIME_DIGITS = 17, 14
NOTHING: Mapping[str, PointValue] = {}


class EnvironmentStation:
    """A StationDriver. Its values are measurements: none holds longer than the message that brought it."""

    def __init__(
        self, station: str, points: Mapping[str, Point], places: Mapping[str, Place], *, set_clock: bool
    ) -> None:
        self.station = station
        self.password: str | None = None
        self.urgent: frozenset[str] = frozenset()
        self._set_clock = set_clock
        self._clock_set = float("-inf")
        self._names: dict[Place, list[str]] = {}
        for name, place in places.items():
            self._names.setdefault(place, []).append(name)
        self._read: dict[str, Callable[[str], PointValue]] = {
            name: PointValue if point.type == "string" else text_finisher(point) for name, point in points.items()
        }
        self._recent: OrderedDict[bytes, float] = OrderedDict()
        self._split: tuple[str, str, datetime | None] | None = None

    def ears(self) -> PacketEars:
        """Begin to hear a connection."""
        return PacketEars()

    def hear(self, call: Call, now: datetime | None, monotonic: float) -> Heard:
        """Take one packet; what is damaged, or has the wrong password, is not answered and counts for nothing."""
        if call.fault:
            sentence = f"{FAULTS[call.fault]}; check the link and how the station counts lengths"
            return Heard(fault=DeviceError(sentence, call.fault))
        packet = Packet.parse(call.frame)
        if self.password is not None and not hmac.compare_digest(self.password.encode(), packet.get("PW").encode()):
            sentence = "it sends another password (PW) than password_file holds; make them the same"
            return Heard(fault=DeviceError(sentence, "password"))
        clock = _time(packet.get("QN"), QN_DIGITS)
        reply = self._reply(packet, clock, now, monotonic)
        command = packet.get("CN")
        if command == ASKS_TIME or command in ITS_ANSWERS or self._is_repeated(call.frame, monotonic):
            return Heard(reply, clock=clock)
        values, unnamed = self._values(packet)
        time = self._data_time(packet)
        told = {} if time is None else dict.fromkeys(values, time)
        return Heard(reply, values, told, unnamed=tuple(unnamed), clock=clock)

    def held(self) -> Mapping[str, PointValue]:
        """Nothing holds."""
        return NOTHING

    def doubt(self) -> None:
        """Nothing holds, so there is nothing to doubt."""

    def _values(self, packet: Packet) -> tuple[dict[str, PointValue], list[str]]:
        values: dict[str, PointValue] = {}
        unnamed: list[str] = []
        command = packet.get("CN")
        for group in packet.groups:
            marks = {key[: -len("-Flag")].lower(): mark for key, mark in group.items() if key.endswith("-Flag")}
            for key, text in group.items():
                factor, dash, field = key.rpartition("-")
                if not dash or field in ("Flag", "SampleTime"):
                    continue
                names = self._names.get(Place(command, factor.lower(), field.lower()))
                if names is None:
                    unnamed.append(f"{key} of CN {command}")
                    continue
                mark = marks.get(factor.lower(), "N")
                values.update({name: _marked(self._read[name](text), mark) for name in names})
        if not packet.groups and command not in ("", ANSWER_DATA):
            unnamed.append(f"CN {command} without data")
        return values, unnamed

    def _data_time(self, packet: Packet) -> datetime | None:
        """The time of the data; of numbered packets only the first may have it."""
        text = next((group["DataTime"] for group in packet.groups if "DataTime" in group), "")
        time = _time(text, TIME_DIGITS)
        this = (packet.get("CN"), packet.get("PNUM"))
        if time is None and packet.get("PNO") not in ("", "1") and self._split and self._split[:2] == this:
            return self._split[2]
        self._split = (*this, time)
        return time

    def _reply(self, packet: Packet, clock: datetime | None, now: datetime | None, monotonic: float) -> bytes:
        command = packet.get("CN")
        if command in ITS_ANSWERS:
            return b""
        reply = b""
        if packet.flag & WANTS_ANSWER:
            reply = self._say(packet, ANSWER_NOTICE if command == ASKS_TIME else ANSWER_DATA, packet.get("QN"), "")
        asked = command == ASKS_TIME
        wrong = clock is not None and now is not None and abs(clock - now.replace(tzinfo=None)) > timedelta(seconds=60)
        due = monotonic - self._clock_set >= CLOCK_SET_EVERY
        if self._set_clock and now is not None and (asked or (wrong and due)):
            self._clock_set = monotonic
            stamp = now.strftime("%Y%m%d%H%M%S")
            number = stamp + f"{now.microsecond // 1000:03}"
            reply += self._say(
                packet, SET_TIME, number, f"SystemTime={stamp}", station=packet.get("ST"), wants_answer=True
            )
        return reply

    def _say(
        self,
        packet: Packet,
        command: str,
        number: str,
        content: str,
        *,
        station: str = GATEWAY,
        wants_answer: bool = False,
    ) -> bytes:
        head = [f"QN={number}"] if number else []
        head += [f"ST={station}", f"CN={command}", f"PW={packet.get('PW')}", f"MN={packet.get('MN')}"]
        if "Flag" in packet.head:
            version = packet.flag & VERSION_2017
            head.append(f"Flag={version | (WANTS_ANSWER if wants_answer else 0)}")
        return build(";".join((*head, f"CP=&&{content}&&")))

    def _is_repeated(self, segment: bytes, monotonic: float) -> bool:
        """Whether this very packet was taken already and its answer got lost."""
        while self._recent and next(iter(self._recent.values())) < monotonic - RESENT_WITHIN:
            self._recent.popitem(last=False)
        digest = hashlib.blake2b(segment, digest_size=16).digest()
        if digest in self._recent:
            return True
        self._recent[digest] = monotonic
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return False


def _marked(value: PointValue, mark: str) -> PointValue:
    """Lower a value's quality as its mark says; a bad mark tells more than what is wrong with the number."""
    mark = mark.upper()
    if mark in ("N", ""):
        return value
    quality, reason = MARKS.get(mark, ("uncertain", "unknown_mark"))
    if quality == "bad":
        return PointValue(None, "bad", reason)
    return value if value.quality == "bad" else PointValue(value.value, "uncertain", reason)


def _time(text: str, digits: int) -> datetime | None:
    if len(text) not in (digits, TIME_DIGITS) or not (text.isascii() and text.isdecimal()):
        return None
    try:
        time = datetime.strptime(text[:TIME_DIGITS], "%Y%m%d%H%M%S")  # noqa: DTZ007 - the station's own clock
    except ValueError:
        return None
    return time.replace(microsecond=int(text[TIME_DIGITS:] or 0) * 1000)
