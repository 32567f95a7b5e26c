"""The drawn lane's camera, and running a clip through it."""

from pathlib import Path
from typing import Any

from gateway.cli.demo.clip import LANE_ENTER, LANE_LINE
from gateway.settings import CameraSettings
from gateway.vision.capture import Capture
from gateway.vision.gate import VehicleGate
from gateway.vision.lists import PlateLists
from gateway.vision.messages import Passage

LANE = {"name": "main", "line": LANE_LINE, "enter": LANE_ENTER}


def camera_settings(url: str | Path = "clip.mp4", **more: Any) -> CameraSettings:
    keys = {"name": "gate", "url": str(url), "purpose": "vehicle gate", "vehicles": {"lanes": [LANE]}, **more}
    return CameraSettings.model_validate(keys)


def passages(path: Path, sight: Any, *, start: int = 0, **more: Any) -> list[Passage]:
    settings = camera_settings(path, **more)
    lists = settings.vehicles.lists if settings.vehicles else None
    gate = VehicleGate(settings, sight, PlateLists({"allow": lists.allow, "deny": lists.deny} if lists else {}))
    capture = Capture(str(path), masks=settings.masks)
    found: list[Passage] = []
    for frame in capture.frames():
        found += gate.offer(frame, start + round(frame.time * 1e9)) or []
    capture.close()
    return found + gate.finish()
