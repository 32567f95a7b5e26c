"""A vehicle goes on where its plate is out of sight: what the region that carries a plate adds to its way."""

from collections.abc import Iterable, Mapping, Sequence

from gateway.vision.lanes import Place
from gateway.vision.track import MotionTrack, PlateTrack

UNBROKEN = 3.0  # seconds without motion after which what moves there may be another vehicle
JUMPS = 0.5  # of its largest size: a region whose middle moves further between two looks has become another one
CLEARLY = 3.3  # times its largest size: its middle, at times a corner's, is no plate's and has to be far from a line


def with_vehicle(path: Sequence[Place], track: PlateTrack, regions: Mapping[int, MotionTrack]) -> list[Place]:
    """Add to ``path`` of a plate where its vehicle was before and after, as far as a region shows no other plate."""
    before, after = _alone(track, track.boarded, regions), _alone(track, track.seat and track.seat.region, regions)
    head = [place for place in reversed(before) if place.time < path[0].time]
    tail = [place for place in after if place.time > path[-1].time]
    first = _unbroken(head, track.path[0].time, max((place.size for place in before), default=0.0))
    last = _unbroken(tail, track.last.time, max((place.size for place in after), default=0.0))
    return [*reversed(first), *path, *last]


def _alone(track: PlateTrack, number: int | None, regions: Mapping[int, MotionTrack]) -> Sequence[Place]:
    region = regions.get(number or 0)
    return region.path if region is not None and region.plates <= {track.number} else ()


def _unbroken(places: Iterable[Place], time: float, size: float) -> list[Place]:
    """From ``time`` on (forwards or back) as long as it is surely the same thing; each with more doubt around it."""
    kept: list[Place] = []
    for place in places:
        last = kept[-1] if kept else None
        if abs(place.time - (last.time if last else time)) > UNBROKEN:
            break
        if last is not None and max(abs(place.x - last.x), abs(place.y - last.y)) > JUMPS * size:
            break
        kept.append(place._replace(size=CLEARLY * size))
    return kept
