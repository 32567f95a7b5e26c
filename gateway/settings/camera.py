"""Cameras and what is looked for in them; coordinates are pixels of the camera's own frame."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.settings.base import Name, Table

PixelPoint = tuple[float, float]


class LaneSettings(Table):
    """A lane: crossing ``line`` in the direction ``enter`` is ``in``, the other way ``out``."""

    name: Name
    line: tuple[PixelPoint, PixelPoint]
    enter: Literal["up", "down", "left", "right"]


class ListSettings(Table):
    """``lists``: CSV files of plates."""

    allow: Path | None = None
    deny: Path | None = None


class VehicleSettings(Table):
    """``[camera.vehicles]``: plates and passages."""

    lanes: tuple[LaneSettings, ...] = ()
    lists: ListSettings = ListSettings()
    spaces: Annotated[int, Field(ge=0)] | None = None


class FacadeSettings(Table):
    """``facade``: the four corners of a plane with equal floors; ground is floor 1."""

    floors: Annotated[int, Field(ge=1, le=200)]
    ground: tuple[PixelPoint, PixelPoint]
    roof: tuple[PixelPoint, PixelPoint]
    columns: Annotated[int, Field(ge=1, le=100)] = 1


class FallingSettings(Table):
    """``[camera.falling]``: objects thrown or falling from a facade."""

    facade: FacadeSettings | None = None
    ignore: tuple[tuple[PixelPoint, ...], ...] = ()


class CameraSettings(Table):
    """``[[camera]]``: a stream, a V4L2 device or a file; refused without a purpose."""

    name: Name
    url: str
    purpose: Annotated[str, Field(min_length=3)]
    user: str | None = None
    password_file: Path | None = None
    masks: tuple[tuple[PixelPoint, ...], ...] = ()
    pace: Literal["real", "free"] = "real"
    repeat: bool = False
    vehicles: VehicleSettings | None = None
    falling: FallingSettings | None = None
