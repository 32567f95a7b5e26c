"""Whether what a camera sees of its facade is enough to tell falls, in a word for `linli camera test`."""

from pathlib import Path
from typing import Literal

from gateway.settings import CameraSettings
from gateway.vision.drawn_for import Size
from gateway.vision.falling.geometry import WANTED_CM, facade_view
from gateway.vision.falling.sized import SizedFacade

Judged = tuple[Literal["good", "warn", "bad"], str, str]


def facade_judged(camera: CameraSettings, size: Size, views: Path | None) -> Judged:
    """How it is, the figures, and what to do (empty when it is good), in pictures of this ``size``.

    ``views`` is where the gateway keeps the size of the pictures that the facade was drawn in.
    """
    find, report = f"linli camera calibrate {camera.name}", f"linli camera report {camera.name}"
    drawn, fits = SizedFacade(camera, views, read_only=True).brought(size)
    if drawn.facade is None:
        return "warn", "not found yet", f"without it no floor, size and speed is told: {find}"
    if not fits:
        return "bad", "drawn in another shape", f"set the camera's picture back, or find it anew: {find}"
    view = facade_view(drawn.facade, *size, (*drawn.ignore, *camera.masks), drawn.short_side)
    seen = [floor for floor in view.floors if floor.seen >= 0.9]
    if not seen:
        return (
            "bad",
            f"0 of {len(view.floors)} floors watched",
            f"check the corners, the areas to ignore and the masks: {report}",
        )
    sizes = [floor.smallest_cm for floor in seen]
    text = f"{len(seen)} of {len(view.floors)} floors watched; smallest object {min(sizes):.0f} to {max(sizes):.0f} cm"
    if view.unseen:
        return "warn", text, f"the others are outside, ignored or masked: {report}"
    if max(sizes) > WANTED_CM:
        return "warn", text, f"a bottle ({WANTED_CM:.0f} cm) may be missed: nearer, a larger picture, or more cameras"
    return "good", text, ""
