"""Whether two things that moved were one vehicle: a roof and a bumper, a region and a plate, two plates."""

import math
from collections.abc import Sequence

from gateway.vision.evidence import vehicle_box
from gateway.vision.lanes import Place
from gateway.vision.shapes import Box, around
from gateway.vision.track import CUT, MotionTrack

STILL_THERE = 0.6  # seconds before and after a plate is seen that its vehicle fills the picture
BREAKS_OFF = 1.0  # seconds
RETURNS = 0.4  # of its size
FLICKERS = 0.2  # seconds
LONG = 0.4  # seconds before it has left the picture with its front: so long ago a lorry was where its end is now
FLAT = 0.3  # of its width: a region that is no higher is an edge of a vehicle, not all of it
TALLEST = 1.3  # widths: two pieces that together are higher are two vehicles
WIDEST = 1.4  # of the wider one: side by side two vehicles are more
RECENT = 8  # boxes: a slow or smooth part of a vehicle is not in every one
TRAILS = 0.5  # seconds without a sign of a long vehicle's smooth side
BESIDE = 3.5  # plate widths from a plate's middle: half a lorry is 2.8 of them wide
PIECES_LOOKS = 5  # in which two pieces were seen together
PIECES_SHARE = 0.4  # of the looks of the shorter one, at least: who follows closely comes and goes later


def broke_off(piece: MotionTrack, whole: MotionTrack) -> bool:
    """Whether a region began inside another one, or where one was that has just left: the end of a van, its bumper."""
    start, pairs = piece.path[0], list(zip(whole.path, whole.boxes, strict=True))
    nearest = min((abs(place.time - start.time) for place, _ in pairs), default=BREAKS_OFF)
    gone = start.time > whole.last.time
    # What is seen of a smooth or dark vehicle changes from look to look.
    reach = max(FLICKERS, nearest + (LONG if gone else 1e-3))
    near = [box for place, box in pairs if abs(place.time - start.time) < reach]
    inside = nearest < BREAKS_OFF and around(near).grown(0.1).holds((start.x, start.y))
    return inside and not (gone and _comes_back(piece, whole))


def _comes_back(later: MotionTrack, before: MotionTrack) -> bool:
    """Whether what began where another had left went the other way: that is the next vehicle."""
    (x, y), (other_x, other_y) = _way(later.path), _way(before.path[-len(before.path) // 3 :])
    return math.hypot(x, y) > RETURNS * later.path[-1].size and x * other_x + y * other_y < 0.0


def _way(path: Sequence[Place]) -> tuple[float, float]:
    return path[-1].x - path[0].x, path[-1].y - path[0].y


def became(motion: MotionTrack, whole: MotionTrack) -> bool:
    """Whether a region ended where a told one had just begun: its vehicle was seen as two for a while."""
    return motion.last.time - whole.path[0].time < BREAKS_OFF and broke_off(whole, motion)


def swallowed(motion: MotionTrack, whole: MotionTrack) -> bool:
    """Whether a region ended where a told one grew over it, no wider and no higher than a vehicle."""
    then = list(zip(whole.path, whole.boxes, strict=True))
    after = next((box for place, box in then if 0.0 < place.time - motion.last.time < FLICKERS), None)
    if after is None or whole.path[0].time > motion.last.time:
        return False
    before = [box for place, box in then if place.time <= motion.last.time][-1]
    narrow, widest = sorted((motion.box.width, before.width))
    common = min(motion.box.right, before.right) - max(motion.box.left, before.left)
    fits = common > 0.6 * narrow and after.width <= WIDEST * widest and after.height <= TALLEST * after.width
    return fits and after.holds(motion.expected(motion.last.time + FLICKERS / 2).middle)


def trails(piece: MotionTrack, whole: MotionTrack, size: tuple[int, int]) -> bool:
    """Whether a region began in the picture behind one that has just left it: the end of a long vehicle."""
    across, down = _way(whole.path[-1 - len(whole.path) // 3 :])
    start, box = piece.path[0], around(whole.boxes[-RECENT:])
    if abs(down) < abs(across):
        inside = piece.boxes[0].left > CUT and piece.boxes[0].right < size[0] - CUT
        behind = box.top < start.y < box.bottom and (start.x - whole.last.x) * across < 0.0
    else:
        inside = piece.boxes[0].top > CUT and piece.boxes[0].bottom < size[1] - CUT
        behind = box.left < start.x < box.right and (start.y - whole.last.y) * down < 0.0
    return inside and behind and 0.0 < start.time - whole.last.time < TRAILS and not _comes_back(piece, whole)


def pieces(one: MotionTrack, other: MotionTrack) -> bool:
    """Whether two regions were parts of one vehicle: a dark one on a dark road shows its roof and its foot alone."""
    boxes = {place.time: box for place, box in zip(other.path, other.boxes, strict=True)}
    pairs = [(box, boxes[place.time]) for place, box in zip(one.path, one.boxes, strict=True) if place.time in boxes]
    if len(pairs) < max(PIECES_LOOKS, PIECES_SHARE * min(len(one.path), len(other.path))):
        return False
    return sum(_one_vehicle(*pair) for pair in pairs) > 0.6 * len(pairs)


def _one_vehicle(one: Box, other: Box) -> bool:
    """Whether one lies above the other, about as wide, one of them flat, and together no higher than a vehicle."""
    both, common = around((one, other)), min(one.right, other.right) - max(one.left, other.left)
    flat = min(one.height / max(1.0, one.width), other.height / max(1.0, other.width)) <= FLAT
    return flat and common > 0.6 * both.width and both.height <= TALLEST * both.width


def beside(path: Sequence[Place], plate: Sequence[Place]) -> bool:
    """Whether something went up or down the picture beside the vehicle of a plate that did so, all the time."""
    across, down = abs(plate[-1].x - plate[0].x), abs(plate[-1].y - plate[0].y)
    meetings = met(path, plate)
    return down > across and bool(meetings) and all(abs(one.x - two.x) > BESIDE * two.size for one, two in meetings)


def rides_on(spot: Place, plate: Sequence[Place]) -> bool:
    """Whether something was within the vehicle of a plate, up to a moment before and after that plate was seen."""
    if not plate[0].time - STILL_THERE <= spot.time <= plate[-1].time + STILL_THERE:
        return False
    near = min(plate, key=lambda place: abs(place.time - spot.time))
    other = min(plate, key=lambda place: abs(abs(place.time - near.time) - 0.2))
    span = near.time - other.time
    ahead = (spot.time - near.time) / span if span else 0.0
    x, y = near.x + (near.x - other.x) * ahead, near.y + (near.y - other.y) * ahead
    half = near.size / 2
    return vehicle_box(Box(x - half, y - 0.3 * half, x + half, y + 0.3 * half), None).holds((spot.x, spot.y))


def together(path: Sequence[Place], other: Sequence[Place]) -> bool:
    """Whether two plates were on one vehicle: for most of the shorter one's time within two plate widths."""
    meetings = met(path, other)
    if len(meetings) < min(len(path), len(other)) / 3 or not meetings:
        return False
    return all(math.dist(one[1:3], two[1:3]) < 2.2 * max(one.size, two.size) for one, two in meetings)


def met(path: Sequence[Place], other: Sequence[Place]) -> list[tuple[Place, Place]]:
    """Where two were at the same time."""
    return [(one, two) for one in path for two in other if abs(one.time - two.time) < 0.05]
