"""What a detector of vehicles adds where its pack is there: where to look for plates, and what drove there."""

from collections.abc import Sequence
from typing import Any

from gateway.vision.appearance import UNKNOWN
from gateway.vision.capture import Frame
from gateway.vision.evidence import Pixels
from gateway.vision.guest import Guest
from gateway.vision.selftest import MISFITS
from gateway.vision.shapes import Box, Spot, around
from gateway.vision.vehicles import FoundVehicle

SURE = 0.7  # score below which a find does not name the type; below it cars seen from close by are called buses
THERE = 0.45  # score from which something that drives is there
MOVES = 0.2  # share of a vehicle's box that has to move
COVERED = 0.6  # share of a moving region inside vehicles from which it needs no look of its own
AIR = 0.12  # around a vehicle's box
# What a plate's class (appearance.class_of) leaves possible. Light lorries wear blue; motorcycles yellow or blue.
FITTING = {
    "small": frozenset({"car", "truck", "motorcycle"}),
    "large": frozenset({"bus", "truck", "motorcycle"}),
    UNKNOWN: frozenset({"car", "bus", "truck", "motorcycle"}),
}
Glance = tuple[Frame, Box, Spot]  # a frame, the region to look at, and a spot of the vehicle that is meant
WITHOUT_PLATE = frozenset({"car", "bus", "truck", "motorcycle", "bicycle"})


class Kinds:
    """Asks the detector of vehicles; every answer is the one without it when there is none, or when it fails."""

    def __init__(self, guest: Guest | None = None) -> None:
        self._guest = guest

    @property
    def able(self) -> bool:
        """Whether there is a detector that works."""
        return self._guest is not None and self._guest.model is not None

    def find(self, picture: Pixels, region: Box, least: float = THERE) -> list[FoundVehicle]:
        """What drives in a region of a BGR picture; nothing without a detector."""
        guest = self._guest
        model: Any = guest.model if guest is not None else None
        if guest is None or model is None or region.area <= 0:
            return []
        try:
            found: list[FoundVehicle] = model.find(picture, region, least)
        except MISFITS as error:
            guest.failed(model, error)
            return []
        return found

    def candidates(self, picture: Pixels, wide: Box, moving: Sequence[Box]) -> list[Box]:
        """Where in ``wide`` to look for plates: at the vehicles that move, and at what moves and is in none of them."""
        vehicles = [
            one.box.grown(AIR).meets(wide)
            for one in self.find(picture, wide)
            if any(one.box.meets(box).area > MOVES * one.box.area for box in moving)
        ]
        if not vehicles:
            return [wide]
        rest = [box for box in moving if max(box.meets(one).area for one in vehicles) < COVERED * box.area]
        return [*vehicles, *([around(rest).grown(AIR).meets(wide)] if rest else [])]

    def own(self, picture: Pixels, region: Box, spot: Spot) -> FoundVehicle | None:
        """The vehicle at a spot, such as its plate's middle; None when none is found there."""
        there = [one for one in self.find(picture, region) if one.box.holds(spot)]
        return max(there, key=lambda one: one.score, default=None)

    def name(self, looks: Sequence[Glance], plate: str = UNKNOWN, *, plated: bool = True) -> str:
        """Name the type by looks at one vehicle; ``plate`` is the class of its plate.

        ``plate`` itself when the detector is not sure, two looks differ, or it says what cannot wear such a plate.
        """
        fitting = FITTING.get(plate, frozenset()) if plated else WITHOUT_PLATE
        found = [self.own(frame.bgr, region, spot) for frame, region, spot in looks] if self.able else []
        names = {one.label if one.score >= SURE else "" for one in found if one is not None}
        return names.pop() if len(names) == 1 and names & fitting else plate
