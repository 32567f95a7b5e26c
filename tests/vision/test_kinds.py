"""What a detector of vehicles adds: it names what it is sure of, narrows the search, and never takes anything away."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gateway.vision.evidence import Pixels
from gateway.vision.kinds import Kinds
from gateway.vision.privacy import Veil
from gateway.vision.shapes import Box
from gateway.vision.vehicles import FoundVehicle
from tests.vision.test_privacy import OWN, SHOWN, fineness, scene

WIDE = Box(0, 0, 1000, 600)
CAR = Box(100, 100, 400, 350)


class Stand:
    """A guest whose model sees what it is told to, or fails."""

    def __init__(self, *found: tuple[Box, str, float], error: Exception | None = None) -> None:
        self.found, self.error, self.regions = found, error, []
        self.model: Any = self

    regions: list[Box]

    def find(self, picture: Pixels, region: Box, least: float) -> list[FoundVehicle]:
        self.regions.append(region)
        if self.error is not None:
            raise self.error
        return [FoundVehicle(*one) for one in self.found if one[2] >= least]

    def failed(self, model: Any, error: Exception) -> None:
        self.model = None


def kinds(*found: tuple[Box, str, float], error: Exception | None = None) -> Kinds:
    guest: Any = Stand(*found, error=error)
    return Kinds(guest)


def look(spot: tuple[float, float] = (250, 300)) -> Any:
    return SimpleNamespace(bgr=np.zeros((600, 1000, 3), np.uint8)), WIDE, spot


@pytest.mark.parametrize(
    ("found", "plate", "name"),
    [
        (("car", 0.9), "small", "car"),
        (("car", 0.9), "unknown", "car"),
        (("truck", 0.8), "small", "truck"),
        (("bus", 0.8), "large", "bus"),
        (("car", 0.69), "small", "small"),
        (("car", 0.5), "unknown", "unknown"),
        (("bus", 0.95), "small", "small"),
        (("car", 0.95), "large", "large"),
        (("truck", 0.95), "trailer", "trailer"),
        (("bicycle", 0.95), "small", "small"),
    ],
)
def test_a_type_is_named_when_it_is_sure_and_the_plate_allows_it(
    found: tuple[str, float], plate: str, name: str
) -> None:
    assert kinds((CAR, *found)).name([look(), look()], plate) == name


def test_a_type_needs_looks_that_agree_on_the_vehicle_that_is_meant() -> None:
    other = Box(500, 100, 900, 400)
    seen = kinds((CAR, "car", 0.9), (other, "bus", 0.95))
    assert seen.name([look(), look()]) == "car"
    assert seen.name([look(), look((600, 200))]) == "unknown"
    assert seen.name([look(), look((950, 550))]) == "car"
    assert seen.name([look((950, 550))]) == "unknown"
    assert seen.name([]) == "unknown"
    assert kinds((CAR, "bicycle", 0.9)).name([look()], plated=False) == "bicycle"


def test_plates_are_looked_for_at_moving_vehicles_and_where_else_something_moves() -> None:
    moving = [Box(120, 120, 390, 340), Box(700, 300, 900, 500)]
    parked = (Box(450, 50, 650, 200), "car", 0.9)
    parts = kinds((CAR, "car", 0.9), parked).candidates(scene(), WIDE, moving)
    assert len(parts) == 2
    assert parts[0].meets(CAR) == CAR
    assert parts[1].meets(moving[1]) == moving[1]
    for box in moving:
        assert any(part.meets(box) == box for part in parts)
    assert kinds(parked).candidates(scene(), WIDE, moving) == [WIDE]
    assert kinds().candidates(scene(), WIDE, moving) == [WIDE]
    assert Kinds().candidates(scene(), WIDE, moving) == [WIDE]


def test_a_detector_that_fails_is_as_good_as_none() -> None:
    broken = kinds(error=ValueError("broken"))
    assert broken.candidates(scene(), WIDE, [CAR]) == [WIDE]
    assert not broken.able
    assert broken.name([look()], "small") == "small"


def shown(found: Sequence[tuple[Box, str, float]], own: Box | None) -> bytes | None:
    return Veil(kinds=kinds(*found)).jpeg(scene(), SHOWN, own)


def test_what_is_beside_a_narrow_vehicle_is_hidden_and_never_more_is_shown() -> None:
    beside, within = Box(450, 300, 500, 500), Box(590, 400, 710, 500)
    assert fineness(shown((), OWN), beside) > 20
    narrow = shown([(Box(560, 350, 740, 560), "car", 0.9)], OWN)
    assert fineness(narrow, beside) < 8 < 20 < fineness(narrow, within)
    huge = shown([(Box(300, 100, 1000, 650), "bus", 0.9)], OWN)
    assert fineness(huge, Box(310, 300, 340, 600)) < 8
    plate_outside = shown([(Box(560, 350, 660, 520), "car", 0.9)], OWN)
    assert fineness(plate_outside, OWN) > 20
