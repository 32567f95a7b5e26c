"""Brings a facade and areas to pictures of another size than those that they were drawn in."""

from pathlib import Path
from typing import Any

from gateway.settings import CameraSettings
from gateway.settings.camera import FallingSettings
from gateway.vision.drawn_for import DrawnSize, Scale, Size, same_shape

SAME: Scale = (1.0, 1.0)


class SizedFacade:
    """What was drawn for one camera, in pixels of any picture of the same shape."""

    def __init__(self, camera: CameraSettings, folder: Path | None, *, read_only: bool = False) -> None:
        """``folder`` is where the size of what was drawn outlives a restart; ``read_only``: it is only asked."""
        self._settings = camera.falling or FallingSettings()
        facade = self._settings.facade
        corners = (facade.ground, facade.roof) if facade is not None else None
        self._facade = DrawnSize(camera.name, "facade", corners, folder, read_only=read_only) if corners else None
        areas = self._settings.ignore
        self._areas = DrawnSize(camera.name, "ignore", areas, folder, read_only=read_only) if areas else None

    def brought(self, size: Size) -> tuple[FallingSettings, bool]:
        """The settings for pictures of this ``size``, and whether these have the shape that the facade is drawn for."""
        facade = self._facade.scale(size) if self._facade is not None else SAME
        fits = same_shape(facade)
        areas = self._areas.scale(size) if self._areas is not None else SAME
        return resized(self._settings, facade if fits else SAME, areas), fits


def resized(settings: FallingSettings, facade: Scale, areas: Scale) -> FallingSettings:
    """The settings with the facade and the areas so many times as large, across and down."""
    update: dict[str, Any] = {"ignore": tuple(_by(area, areas) for area in settings.ignore)}
    if settings.facade is not None:
        corners = {"ground": _by(settings.facade.ground, facade), "roof": _by(settings.facade.roof, facade)}
        update["facade"] = settings.facade.model_copy(update=corners)
    return settings.model_copy(update=update)


def _by(points: Any, scale: Scale) -> Any:  # noqa: ANN401 - points as the settings have them
    return tuple((x * scale[0], y * scale[1]) for x, y in points)
