"""Whether there is a facade to look at, and what is ignored or masked leaves enough of it."""

from collections.abc import Sequence

from gateway.plan.findings import Findings, Sketch
from gateway.settings.base import PixelPoint, Polygon
from gateway.settings.camera import FacadeSettings

ACROSS = (0.05, 0.275, 0.5, 0.725, 0.95)  # where on a floor it is looked
MOST = 1 / 3  # of the floors may be hidden without a word: trees and the street are


def check_facades(sketch: Sketch, findings: Findings) -> None:
    """Something is left of every facade that things may fall from."""
    for keys, camera in sketch.items("camera"):
        falling = camera.falling
        if falling is None:
            continue
        if falling.facade is None:
            findings.warning(
                (*keys, "falling"),
                "has no facade: falls are told without floor, centimetres and speed, and what falls is guessed by "
                f"pixels; find it with linli camera calibrate {camera.name}",
            )
            continue
        areas = (*falling.ignore, *camera.masks)
        hidden = hidden_floors(falling.facade, areas) if areas else []
        if len(hidden) > MOST * falling.facade.floors:
            where = (*keys, "falling", "ignore") if falling.ignore else (*keys, "masks")
            findings.warning(
                where,
                f"what is ignored and masked hides {len(hidden)} of the facade's {falling.facade.floors} floors: "
                "nothing that falls there is seen; draw it smaller",
            )


def hidden_floors(facade: FacadeSettings, areas: Sequence[Polygon]) -> list[int]:
    """The floors of which nothing is left outside these areas."""

    def hidden(floor: int) -> bool:
        places = [_in_picture(facade, across, (floor - 0.5) / facade.floors) for across in ACROSS]
        return all(any(_inside(place, area) for area in areas) for place in places)

    return [floor for floor in range(1, facade.floors + 1) if hidden(floor)]


def _in_picture(facade: FacadeSettings, across: float, up: float) -> PixelPoint:
    """The pixel of a place on the wall, both 0 to 1, by the projective map of a square to four corners."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (*facade.ground, *reversed(facade.roof))
    sum_x, sum_y = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    ax, ay, bx, by = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    turn = ax * by - bx * ay
    g, h = (sum_x * by - bx * sum_y) / turn, (ax * sum_y - sum_x * ay) / turn
    depth = g * across + h * up + 1
    x = (x1 - x0 + g * x1) * across + (x3 - x0 + h * x3) * up + x0
    y = (y1 - y0 + g * y1) * across + (y3 - y0 + h * y3) * up + y0
    return x / depth, y / depth


def _inside(place: PixelPoint, area: Polygon) -> bool:
    """Whether a line from the place to the right crosses the edge an odd number of times."""
    x, y = place
    odd = False
    for (left, top), (right, bottom) in zip(area, (*area[1:], area[0]), strict=True):
        if (top > y) != (bottom > y) and x < left + (y - top) / (bottom - top) * (right - left):
            odd = not odd
    return odd
