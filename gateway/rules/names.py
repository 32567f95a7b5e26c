"""What an expression may name, and what to say about a name that is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.rules.nodes import Kind
from gateway.settings.nearest import did_you_mean

KEYWORDS = frozenset({"and", "or", "not", "true", "false"})
# What cameras tell: any vehicle's passage, one on the allow or the deny list, against the one way, the same way again,
# in while in, out while out, one that stands where none may, a falling object.
SEEN = ("passage", "allow", "deny", "wrong-way", "repeat", "already-in", "already-out", "dwell", "fall")
# What is wrong with a camera itself, for as long as it is: reasons of its state record, and the state ``offline``.
FAULTS = ("moved", "covered", "dark", "frozen", "spider", "overload", "masks", "offline")
EVENTS = (*SEEN, *FAULTS)


@dataclass(frozen=True, slots=True)
class Known:
    """What an expression may name: points by device, cameras, and the kinds of ``device.point`` as far as known."""

    points: Mapping[str, frozenset[str]]
    cameras: frozenset[str]
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def complaint(self, text: str) -> str:
        """Why ``text`` is no point, with the nearest that is one."""
        device, _, point = text.partition(".")
        points = self.points.get(device)
        if hint := self.minus(text):
            return hint
        if text.lower() in KEYWORDS:
            return f': write "{text.lower()}" in lower case'
        if text.count(".") != 1:
            return ": a point is written device.point"
        if text != text.lower():
            return ": names of devices and points are written in lower case"
        if points is None:
            return f': no device "{device}"; {did_you_mean(device, self.points, what="devices")}'
        return f': device "{device}" has no point "{point}"; {did_you_mean(point, points, what="points")}'

    def minus(self, text: str) -> str:
        """A hint when ``text`` is a known point with a minus stuck to it, or "" when it is not."""
        for at, character in enumerate(text):
            device, _, point = text[:at].partition(".")
            if character == "-" and point in self.points.get(device, ()):
                return f": a minus needs a space on both sides: {text[:at]} - {text[at + 1 :]}".rstrip()
        return ""
