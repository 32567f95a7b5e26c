"""Which lane a path belongs to and which way it went: crossings of the lane lines, or the movement alone."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from gateway.settings import LaneSettings
from gateway.vision.shapes import Spot, along, side

STEPS = {"up": (0.0, -1.0), "down": (0.0, 1.0), "left": (-1.0, 0.0), "right": (1.0, 0.0)}
BEYOND = 0.15  # of the line's length: a car that passes just beside the drawn line has crossed it
SEAM = 0.6  # seconds between two crossings of different lines that are one
HYSTERESIS = 0.15  # of the size: nearer to the line than this is neither side


class Place(NamedTuple):
    """Where a vehicle was: seconds, pixels of its middle, and its apparent size (pixels)."""

    time: float
    x: float
    y: float
    size: float


class Course(NamedTuple):
    """A path's verdict: lane, direction, and the time of the crossing that decided it (None without one)."""

    lane: str
    direction: str
    crossed: float | None
    crossings: int


def course(path: Sequence[Place], lanes: Sequence[LaneSettings], camera: str) -> Course:
    """Judge a path: by the lanes' lines if there are any, else by the movement; ``path`` has at least one place."""
    if not lanes:
        return Course(camera, movement(path), None, 0)
    events = sorted(
        (event for place, lane in enumerate(lanes) for event in _crossings_of(path, lane, place)),
        key=lambda event: event.time,
    )
    told: list[_Crossing] = []
    for event in events:
        # Lines side by side overlap a little at their ends: who goes over the seam has crossed the nearer one only.
        twin = next((one for one in told if event.time - one.time < SEAM and event.way == one.way), None)
        if twin is None or twin.lane == event.lane:
            told.append(event)
        elif event.aside < twin.aside:
            told[told.index(twin)] = event
    if not told:
        return Course(min(lanes, key=lambda lane: _distance(path, lane)).name, "none", None, 0)
    net = sum(event.way for event in told)
    way = (net > 0) - (net < 0)
    decisive = [event for event in told if event.way == way][-1] if way else told[-1]
    return Course(lanes[decisive.lane].name, ("none", "in", "out")[way], decisive.time, len(told))


class _Crossing(NamedTuple):
    """A crossing's time, 1 for the way in or -1 for out, the lane's place in the list, and how far from its middle."""

    time: float
    way: int
    lane: int
    aside: float


def _distance(path: Sequence[Place], lane: LaneSettings) -> float:
    middle = ((lane.line[0][0] + lane.line[1][0]) / 2, (lane.line[0][1] + lane.line[1][1]) / 2)
    return min(math.hypot(place.x - middle[0], place.y - middle[1]) for place in path)


def crossings(path: Sequence[Place], lane: LaneSettings) -> list[tuple[float, int]]:
    """Every crossing of the lane's line: its time, and 1 for the way in or -1 for the way out."""
    return [(event.time, event.way) for event in _crossings_of(path, lane, 0)]


def _crossings_of(path: Sequence[Place], lane: LaneSettings, number: int) -> list[_Crossing]:
    a, b = lane.line
    length = math.hypot(b[0] - a[0], b[1] - a[1])
    if length == 0.0:
        return []
    ahead = STEPS[lane.enter]
    inwards = side(lane.line, (a[0] + ahead[0], a[1] + ahead[1]))
    turn = 1.0 if inwards >= 0 else -1.0
    events: list[_Crossing] = []
    before: tuple[float, Place] | None = None
    for place in path:
        distance = turn * side(lane.line, (place.x, place.y)) / length
        if abs(distance) < HYSTERESIS * place.size:
            continue
        if before is not None and (before[0] < 0) != (distance < 0):
            share = before[0] / (before[0] - distance)
            where = _between(before[1], place, share)
            spot = along(lane.line, where)
            if -BEYOND <= spot <= 1.0 + BEYOND:
                when = before[1].time + share * (place.time - before[1].time)
                events.append(_Crossing(when, 1 if distance > 0 else -1, number, abs(spot - 0.5)))
        before = (distance, place)
    return events


def _between(one: Place, other: Place, share: float) -> Spot:
    return one.x + share * (other.x - one.x), one.y + share * (other.y - one.y)


def movement(path: Sequence[Place]) -> str:
    """Name the way in the picture: toward, away, left, right; none when it ends about where it began."""
    first, last = path[0], path[-1]
    across, down = last.x - first.x, last.y - first.y
    # At the picture's edge a thing shows only a part of its size: the middle of a third of the way is surer.
    third = max(1, len(path) // 3)
    before = max(1e-6, statistics.median(place.size for place in path[:third]))
    after = max(1e-6, statistics.median(place.size for place in path[-third:]))
    size = (before + after) / 2
    growth = math.log(after / before)
    if math.hypot(across, down) < size and abs(growth) < 0.25:
        return "none"
    if abs(across) > 1.5 * abs(down) and abs(growth) < 0.35:
        return "right" if across > 0 else "left"
    # A vehicle that comes nearer grows and moves down; where the two disagree, growth is the surer sign.
    nearer = growth / 0.25 + down / max(size, 1e-6) / 2.0
    return "toward" if nearer > 0 else "away"


def lengthened(path: Sequence[Place], seconds: float) -> list[Place]:
    """Go on straight by ``seconds`` at both ends: a plate is first and last read a little inside its real way."""
    whole = list(path)
    if len(whole) < 2:
        return whole
    return [*_onward(whole[::-1], -seconds), *whole, *_onward(whole, seconds)]


def _onward(path: Sequence[Place], seconds: float) -> list[Place]:
    last = path[-1]
    earlier = next((place for place in reversed(path) if abs(last.time - place.time) >= 0.15), path[0])
    span = last.time - earlier.time
    if span == 0.0:
        return []
    speed_x, speed_y = (last.x - earlier.x) / span, (last.y - earlier.y) / span
    if math.hypot(speed_x, speed_y) < 0.5 * last.size:
        return []
    return [Place(last.time + seconds, last.x + speed_x * seconds, last.y + speed_y * seconds, last.size)]
