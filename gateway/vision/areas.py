"""Brings lanes and zones to pictures of another size than those that they were drawn in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.settings import CameraSettings, LaneSettings, VehicleSettings
from gateway.vision.drawn_for import DrawnSize, Scale, Size, same_shape


class SizedAreas:
    """What was drawn for the vehicles of one camera, in pixels of any picture."""

    def __init__(self, camera: CameraSettings, folder: Path | None, *, read_only: bool = False) -> None:
        """``folder`` is where the size of what was drawn outlives a restart; ``read_only``: it is only asked."""
        self._vehicles = camera.vehicles or VehicleSettings()
        lines = [lane.line for lane in self._vehicles.lanes]
        zones = [zone.area for zone in self._vehicles.zones]
        drawn = [lines, zones]
        self._drawn = DrawnSize(camera.name, "lanes", drawn, folder, read_only=read_only) if lines or zones else None

    def brought(self, size: Size) -> tuple[VehicleSettings, str]:
        """The settings for pictures of this ``size``, and why they may not fit these; "" when they do."""
        if self._drawn is None or (drawn := self._drawn.of(size)) == size:
            return self._vehicles, _outside(self._vehicles.lanes, size)
        by = self._drawn.scale(size)
        update = {
            "lanes": tuple(lane.model_copy(update={"line": _by(lane.line, by)}) for lane in self._vehicles.lanes),
            "zones": tuple(zone.model_copy(update={"area": _by(zone.area, by)}) for zone in self._vehicles.zones),
        }
        trouble = "" if same_shape(by) else _misshapen(drawn, size)
        return self._vehicles.model_copy(update=update), trouble


def _by(points: Sequence[Sequence[float]], scale: Scale) -> Any:  # noqa: ANN401 - as the settings have it
    return tuple((round(x * scale[0]), round(y * scale[1])) for x, y in points)


def _outside(lanes: Sequence[LaneSettings], size: Size) -> str:
    for lane in lanes:
        across, down = zip(*lane.line, strict=True)
        if max(across) < 0 or min(across) >= size[0] or max(down) < 0 or min(down) >= size[1]:
            return (
                f"the line of lane {lane.name} lies outside the pictures, which have {size[0]} x {size[1]}: no way can "
                "be told, and nothing is counted; draw it anew"
            )
    return ""


def _misshapen(drawn: Size, size: Size) -> str:
    return (
        f"lanes and zones were drawn in pictures of {drawn[0]} x {drawn[1]}, and these, of {size[0]} x {size[1]}, have "
        "another shape: directions and counts may be wrong; set the camera back, or draw them anew"
    )
