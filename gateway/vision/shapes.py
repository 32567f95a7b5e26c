"""Boxes and sides of lines in the picture: plain geometry in pixels, y grows downwards."""

from collections.abc import Iterable
from typing import NamedTuple

Spot = tuple[float, float]


class Box(NamedTuple):
    """An upright rectangle: left, top, right, bottom in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels across."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels down."""
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """Square pixels; 0 for a box that is inside out."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def middle(self) -> Spot:
        """Its centre."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def grown(self, share: float) -> "Box":
        """Larger by ``share`` of its size on every side."""
        across, down = self.width * share, self.height * share
        return Box(self.left - across, self.top - down, self.right + across, self.bottom + down)

    def within(self, width: float, height: float) -> "Box":
        """Cut off what lies outside a picture of this size."""
        return Box(max(0.0, self.left), max(0.0, self.top), min(width, self.right), min(height, self.bottom))

    def meets(self, other: "Box") -> "Box":
        """The common part; its ``area`` is 0 when there is none."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def holds(self, spot: Spot) -> bool:
        """Whether the spot lies inside."""
        return self.left <= spot[0] <= self.right and self.top <= spot[1] <= self.bottom

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0 to 1."""
        common = self.meets(other).area
        return common / max(1e-9, self.area + other.area - common)


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds them all; ValueError when there are none."""
    found = list(boxes)
    if not found:
        raise ValueError("no boxes")
    return Box(
        min(box.left for box in found),
        min(box.top for box in found),
        max(box.right for box in found),
        max(box.bottom for box in found),
    )


def side(line: tuple[Spot, Spot], spot: Spot) -> float:
    """On which side of the line through two spots this one lies: the sign; the size is pixels times the length."""
    (ax, ay), (bx, by) = line
    return (bx - ax) * (spot[1] - ay) - (by - ay) * (spot[0] - ax)


def along(line: tuple[Spot, Spot], spot: Spot) -> float:
    """Where along the line's length the spot lies: 0 at its first end, 1 at its second."""
    (ax, ay), (bx, by) = line
    length = (bx - ax) ** 2 + (by - ay) ** 2
    return ((spot[0] - ax) * (bx - ax) + (spot[1] - ay) * (by - ay)) / length if length else 0.0
