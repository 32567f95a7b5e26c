"""Keeps the view that a facade was calibrated for in a file: a camera that was turned meanwhile is noticed."""

import hashlib
import io
import logging
import re
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gateway.settings import CameraSettings
from gateway.settings.camera import SHORT_SIDE

LARGEST = 4_000_000  # bytes of a file
FRESH = 7200.0  # seconds: light and shadows are much the same
Edges = npt.NDArray[np.float32]

log = logging.getLogger("linli.vision")


def file_for(folder: Path | None, camera: CameraSettings) -> Path | None:
    """Where the view of this camera is kept: another calibration or size has another file; None without a facade."""
    falling = camera.falling
    if folder is None or falling is None or falling.facade is None:
        return None
    # How tall the floors are changes nothing in the view; at the usual size its name is what it always was.
    told = falling.facade.model_dump_json(exclude={"storey"})
    told += f" {falling.short_side}" if falling.short_side != SHORT_SIDE else ""
    mark = hashlib.sha256(told.encode()).hexdigest()[:12]
    return folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', camera.name)}-{mark}.npy"


def recall(file: Path | None) -> Edges | None:
    """The view as it was kept; None when there is none, or what is there is no such file."""
    if file is None:
        return None
    try:
        if file.stat().st_size > LARGEST:
            return None
        edges = np.load(io.BytesIO(file.read_bytes()), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if edges.ndim != 2 or edges.dtype != np.float16 or not np.isfinite(edges).all():
        return None
    return np.asarray(edges, np.float32)


def is_fresh(file: Path | None) -> bool:
    """Whether a view was kept so lately that the light cannot have changed much."""
    try:
        return file is not None and time.time() - file.stat().st_mtime < FRESH
    except OSError:
        return False


def keep(file: Path, edges: Edges) -> None:
    """Write the view in place of the one before; a full disk or a folder without rights costs no more than this."""
    written = io.BytesIO()
    np.save(written, edges.astype(np.float16))
    beside = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(written.getvalue())
        beside.replace(file)
    except OSError as error:
        log.warning("the view of %s cannot be kept: %s; check the state folder", file.stem, error.strerror)
