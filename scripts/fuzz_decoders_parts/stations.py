"""Stations that call us, for the fuzzer: read like any device that talks by itself, with checksums written anew.

What a station said lasts, and a lost message changes what holds: here it is each message that is believed, and not the
values in the end, that must have had a right checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway.contract import DeviceError, DeviceSilentError, Pipe, PointValue

NOON = datetime(2026, 11, 22, 12)  # noqa: DTZ001 - stations tell local time
KEPT = 16384
Sound = Callable[[bytes, bytes], bool]  # is this frame of this stream sound
UNHEARD = PointValue(None, "bad", "not_heard")


class Calling:
    """A station's driver as a Driver: one read takes everything that comes until silence."""

    def __init__(self, station: Any, sound: Sound) -> None:  # noqa: ANN401 - any station
        self._station, self._sound, self._stream = station, sound, b""
        self._known: set[bytes] = set()
        self._ears = station.ears()
        self._reads = 0

    async def read(self, pipe: Pipe, points: frozenset[str]) -> Mapping[str, PointValue]:
        """Hear; DeviceError when nothing of it counts."""
        self._reads += 1
        now, values = NOON + timedelta(hours=self._reads), {}
        heard = False
        while True:
            try:
                data = await pipe.read()
            except DeviceSilentError:
                break
            self._stream = (self._stream + data)[-KEPT:]
            for call in self._ears.feed(data):
                if not call.fault and call.frame not in self._known:
                    assert self._sound(call.frame, self._stream), f"believes {call.frame.hex(' ')}"
                    self._known = {*list(self._known)[:64], call.frame}
                if call.station == self._station.station:
                    said = self._station.hear(call, now, 3600.0 * self._reads)
                    assert isinstance(said.reply, bytes)
                    if said.fault is None:
                        heard = True
                        values.update(said.values)
        if not heard:
            raise DeviceError("nothing of it counts")
        return {name: values.get(name, UNHEARD) for name in points}


def sound_hj212(frame: bytes, stream: bytes) -> bool:
    """Whether this data segment stood there with its own CRC behind it."""
    register = 0xFFFF
    for byte in frame:
        register = _step(register, byte)
    return frame + b"%04X" % register in stream or frame + b"%04x" % register in stream


def seal_hj212(frame: bytes) -> bytes:
    """Make length and CRC right."""
    segment = frame.rstrip(b"\r\n")[6:-4]
    register = 0xFFFF
    for byte in segment:
        register = _step(register, byte)
    return b"##%04d" % min(len(segment), 9999) + segment + b"%04X\r\n" % register


def _step(register: int, byte: int) -> int:
    register = register >> 8 ^ byte
    for _ in range(8):
        register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
    return register


def sound_gb26875(frame: bytes, stream: bytes) -> bool:
    """Whether this frame stood there and its sum is right."""
    whole = frame.startswith(b"@@") and frame.endswith(b"##") and frame in stream
    return whole and frame[-3] == sum(frame[2:-3]) % 256


def seal_gb26875(frame: bytes) -> bytes:
    """Make length and sum right."""
    if len(frame) < 30:
        return frame
    unit = frame[27:-3]
    body = frame[2:24] + (len(unit) % 65536).to_bytes(2, "little") + frame[26:27] + unit
    return b"@@" + body + bytes((sum(body) % 256,)) + b"##"


STATIONS: Mapping[str, tuple[Sound, Callable[[bytes], bytes]]] = {
    "hj212": (sound_hj212, seal_hj212),
    "gb26875": (sound_gb26875, seal_gb26875),
}
