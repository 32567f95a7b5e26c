"""Zones where none may stand: cars that stay, pass, come with a flicker of light, or stood there from the start."""

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from jsonschema import Draft202012Validator

from gateway.clock import SystemClock
from gateway.contract import record_id
from gateway.settings.parking import ZoneSettings
from gateway.store.types import schema
from gateway.vision.dwell import DwellWatch
from gateway.vision.events import dwell_event, stands_event
from gateway.vision.evidence import Pixels
from gateway.vision.messages import Dwell, Stands

WIDTH, HEIGHT = 640, 360
AREA = [[100, 150], [540, 150], [540, 340], [100, 340]]


class Picture:
    """A frame that was drawn."""

    def __init__(self, luma: Pixels, time: float) -> None:
        self.luma, self.time, self.width, self.height = luma, time, WIDTH, HEIGHT

    @property
    def bgr(self) -> Any:
        return cv2.cvtColor(self.luma, cv2.COLOR_GRAY2BGR)


class Lane:
    """A hatched fire lane seen by a noisy camera, one look a second."""

    def __init__(self, **keys: Any) -> None:
        zone = ZoneSettings.model_validate({"name": "lane", "area": AREA, "after": "30s", "kind": "fire-lane", **keys})
        self.watch, self.time, self.light = DwellWatch([zone]), 0.0, 1.0
        dice = np.random.default_rng(3)
        self.noise = [dice.normal(0, 3, (HEIGHT, WIDTH)).astype(np.float32) for _ in range(5)]
        ground = np.full((HEIGHT, WIDTH), 95, np.uint8)
        for x in range(-HEIGHT, WIDTH, 40):
            cv2.line(ground, (x, HEIGHT), (x + HEIGHT, 0), (150,), 4)
        self.ground = ground

    def car(self, x: int, shade: int = 60) -> Pixels:
        picture = self.ground.copy()
        cv2.rectangle(picture, (x, 180), (x + 220, 300), (shade,), -1)
        cv2.rectangle(picture, (x + 30, 190), (x + 190, 225), (shade + 90,), -1)
        cv2.circle(picture, (x + 40, 300), 22, (15,), -1)
        cv2.circle(picture, (x + 180, 300), 22, (15,), -1)
        return picture

    def show(self, picture: Pixels, seconds: int) -> list[Dwell]:
        told: list[Dwell] = []
        self.reminded: list[float] = []
        for _ in range(seconds):
            noisy = picture.astype(np.float32) * np.float32(self.light) + self.noise[int(self.time) % 5]
            frame: Any = Picture(noisy.clip(0, 255).astype(np.uint8), self.time)
            for found in self.watch.look(frame, round(self.time * 1e9)) or []:
                if isinstance(found, Dwell):
                    told.append(found)
                else:
                    self.reminded.append(found.time / 1e9)
            self.time += 1.0
        return told


def test_a_car_that_stays_is_told_once_and_when_it_leaves() -> None:
    lane = Lane()
    assert lane.show(lane.ground, 20) == []
    assert lane.show(lane.car(200), 29) == []
    (standing,) = lane.show(lane.car(200), 80)
    assert (standing.zone, standing.kind, standing.state) == ("lane", "fire-lane", "standing")
    assert 30 <= standing.seconds <= 32
    assert standing.since == 21 * 10**9 or standing.since == 20 * 10**9
    assert standing.picture is not None
    left, top, right, bottom = standing.box
    assert left < 260
    assert right > 360
    assert (top, bottom) < (230, 340)
    assert len(lane.reminded) == 3  # 80 s, less two until it was told
    assert all(after - before == 20 for before, after in pairwise(lane.reminded))
    (gone,) = lane.show(lane.ground, 20)
    assert (gone.state, gone.since) == ("gone", standing.since)
    assert 105 <= gone.seconds <= 111
    assert lane.show(lane.ground, 60) == []
    assert lane.reminded == []


def test_what_passes_or_is_small_or_a_lamp_is_nothing() -> None:
    lane = Lane()
    lane.show(lane.ground, 20)
    told = []
    for x in range(100, 320, 4):
        told += lane.show(lane.car(x), 1)  # creeps through
    for step in range(60):
        lane.light = 1.0 + 0.5 * (step // 15 % 2)  # headlights, a cloud
        told += lane.show(lane.ground, 1)
    lane.light = 1.0
    box = lane.ground.copy()
    cv2.rectangle(box, (300, 250), (340, 300), (20,), -1)
    told += lane.show(box, 60)
    assert told == []


def test_somebody_walks_by_and_the_light_changes_while_it_stands() -> None:
    lane = Lane()
    lane.show(lane.ground, 20)
    told = lane.show(lane.car(200), 15)
    for x in range(150, 500, 50):
        walker = lane.car(200)
        cv2.rectangle(walker, (x, 160), (x + 30, 330), (200,), -1)
        told += lane.show(walker, 1)
    lane.light = 0.6
    told += lane.show(lane.car(200), 40)
    assert [each.state for each in told] == ["standing"]


def test_a_car_that_stood_there_at_the_start_leaves_no_ghost() -> None:
    lane = Lane()
    assert lane.show(lane.car(200), 60) == []  # nobody knows what the empty zone looks like
    assert lane.show(lane.ground, 50) == []
    assert [each.state for each in lane.show(lane.car(260, 190), 60)] == ["standing"]


def test_another_resolution_and_a_broken_stream_begin_anew() -> None:
    lane = Lane()
    lane.show(lane.ground, 20)
    lane.show(lane.car(200), 20)
    assert lane.watch.finish() == []
    assert lane.show(lane.car(200), 60) == []


def test_records_fit_their_schema_and_the_rules_hear_it_once() -> None:
    told = [
        Dwell("lane", "fire-lane", state, 0, 31.5, 30.0, 10**9, (1, 2, 3, 4), None) for state in ("standing", "gone")
    ]
    identity = record_id(10**9)
    first, last = (dwell_event("gate", each, SystemClock().rfc3339, 0.0, identity) for each in told)
    assert (first.event, first.id, last.event, last.id) == ("dwell", identity, "", "")
    assert last.data["standing"] == identity
    for event in (first, last):
        Draft202012Validator(schema(event.type)["properties"]["data"]).validate(dict(event.data))


def test_that_it_stands_still_is_for_the_rules_alone() -> None:
    event = stands_event("gate", Stands("lane", 10**9), 7.0)
    assert (event.type, event.event, event.told, event.monotonic) == ("", "dwell", "dwell", 7.0)
