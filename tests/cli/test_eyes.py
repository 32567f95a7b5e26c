"""`linli replay` looks with what a camera's worker looks with."""

from pathlib import Path

import pytest

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.cli.eyes import Eyes
from gateway.contract import LinkError
from gateway.vision.gate import VehicleGate
from gateway.vision.packs import packs
from gateway.vision.swap import LiveSight
from gateway.vision.watchers import VehicleWatcher, ZoneWatcher
from tests.vision.conftest import models
from tests.vision.lane import LANE, camera_settings

__all__ = ["models"]
ZONE = {"name": "fire-lane", "kind": "fire-lane", "area": [[0, 0], [90, 0], [90, 90]], "after": "1m"}


def eyes(folder: Path, warned: list[str], **more: object) -> Eyes:
    return Eyes(camera_settings(**more), folder, ("cpu",), str, False, warned.append)


def test_vehicles_are_seen_with_the_models_of_a_running_lane(models: Path) -> None:
    looking = eyes(models, [], vehicles={"lanes": [LANE], "zones": [ZONE]})
    vehicles, zones = looking._watchers
    assert isinstance(vehicles, VehicleWatcher)
    assert isinstance(vehicles.sight, LiveSight)
    assert isinstance(vehicles._gate, VehicleGate)
    # Plates of bystanders are hidden in the pictures of a zone, as in the daemon.
    assert isinstance(zones, ZoneWatcher)
    assert zones._watch._veil._find == vehicles.sight.search
    assert vehicles.sight.names["plate-detection"] in {pack.title for pack in packs(models)}


def test_what_lessens_the_result_is_said_once(tmp_path: Path) -> None:
    warned: list[str] = []
    looking = eyes(tmp_path, warned)
    looking._look_around(1.0)
    assert len(warned) == len(set(warned)) == 2  # who finds plates, and who reads them
    assert "passages come without plates" in warned[0]


def test_a_camera_that_looks_for_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"give it \[camera.vehicles\]"):
        eyes(tmp_path, [], vehicles=None)
