"""Lanes and zones in pictures of another size than those in which they were drawn."""

from pathlib import Path

import pytest

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.vision.areas import SizedAreas
from gateway.vision.watchers import VehicleWatcher, ZoneWatcher, watchers_of
from tests.vision.lane import LANE, camera_settings

ZONE = {"name": "fire-lane", "kind": "fire-lane", "area": [[0, 0], [90, 0], [90, 90]], "after": "1m"}
DRAWN = {"lanes": [LANE], "zones": [ZONE]}


def test_lanes_and_zones_go_with_the_size_over_restarts(tmp_path: Path) -> None:
    camera = camera_settings(vehicles=DRAWN)
    assert camera.vehicles is not None
    assert SizedAreas(camera, tmp_path).brought((1280, 720)) == (camera.vehicles, "")
    small, trouble = SizedAreas(camera, tmp_path).brought((640, 360))
    assert trouble == ""
    assert small.lanes[0].line == tuple((x // 2, y // 2) for x, y in camera.vehicles.lanes[0].line)
    assert small.zones[0].area == ((0, 0), (45, 0), (45, 45))
    assert SizedAreas(camera, tmp_path).brought((1280, 720)) == (camera.vehicles, "")
    near, trouble = SizedAreas(camera, tmp_path).brought((640, 362))  # rounded to whole macroblocks
    assert (near.lanes[0].enter, trouble) == ("down", "")
    anew = camera_settings(vehicles={**DRAWN, "lanes": [{**LANE, "line": [[10, 60], [300, 60]]}]})
    assert SizedAreas(anew, tmp_path).brought((640, 360)) == (anew.vehicles, "")


def test_pictures_of_another_shape_are_told(tmp_path: Path) -> None:
    camera = camera_settings(vehicles=DRAWN)
    SizedAreas(camera, tmp_path).brought((1280, 720))
    vehicles, trouble = SizedAreas(camera, tmp_path).brought((640, 480))
    assert "1280 x 720" in trouble
    assert "640 x 480" in trouble
    assert vehicles.lanes[0].line[0][0] == LANE["line"][0][0] // 2  # type: ignore[index]


def test_a_line_beyond_the_picture_is_told(tmp_path: Path) -> None:
    camera = camera_settings(vehicles=DRAWN)
    vehicles, trouble = SizedAreas(camera, None).brought((640, 360))
    assert (vehicles, "the line of lane main lies outside" in trouble) == (camera.vehicles, True)
    assert SizedAreas(camera, None).brought((1280, 720)) == (camera.vehicles, "")


def test_who_only_asks_keeps_nothing_and_what_is_not_drawn_fits_always(tmp_path: Path) -> None:
    camera = camera_settings(vehicles=DRAWN)
    SizedAreas(camera, tmp_path, read_only=True).brought((1280, 720))
    assert list(tmp_path.iterdir()) == []
    bare = camera_settings(vehicles={})
    for size in ((1280, 720), (640, 480)):
        assert SizedAreas(bare, tmp_path).brought(size) == (bare.vehicles, "")


def test_a_running_lane_is_brought_to_the_new_size(tmp_path: Path) -> None:
    camera = camera_settings(vehicles=DRAWN)
    vehicles, zones = watchers_of(camera, tmp_path, views=tmp_path / "views")
    assert isinstance(vehicles, VehicleWatcher)
    assert isinstance(zones, ZoneWatcher)
    for size, line in (((1280, 720), 400), ((640, 360), 200), ((640, 480), 267), ((1280, 720), 400)):
        assert vehicles._resize(size) == []
        assert vehicles._gate._book._lanes[0].line[0][1] == line
        assert vehicles._misfit == "" if size != (640, 480) else "another shape" in vehicles._misfit
