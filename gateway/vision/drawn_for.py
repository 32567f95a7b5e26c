"""Of which size the pictures were that masks, a facade or areas were drawn in: in others they lie elsewhere."""

import hashlib
import re
from pathlib import Path

import msgspec

from gateway.settings import CameraSettings

Size = tuple[int, int]
Scale = tuple[float, float]
SHAPE = 0.01  # share by which the sides of one shape may differ: streams of one camera round them


class _Kept(msgspec.Struct):
    masks: str
    size: Size


class DrawnSize:
    """The size of the first picture since something was drawn."""

    def __init__(self, camera: str, what: str, drawn: object, folder: Path | None, *, read_only: bool = False) -> None:
        """``folder`` is where the size outlives a restart; without it, or ``read_only``, it holds as long as this."""
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", camera)
        self._file = folder / f"{name}-{what}.json" if folder is not None else None
        self._mark = hashlib.sha256(msgspec.json.encode(drawn)).hexdigest()
        self._size = self._recalled()
        self._read_only = read_only

    def of(self, size: Size) -> Size:
        """The size, which is ``size`` of the picture of now when there was none yet."""
        if self._size is None:
            self._size = size
            self._keep()
        return self._size

    def scale(self, size: Size) -> Scale:
        """What is drawn has to be multiplied by, across and down, for pictures of this ``size``."""
        drawn = self.of(size)
        return size[0] / drawn[0], size[1] / drawn[1]

    def _recalled(self) -> Size | None:
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept) if self._file is not None else None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return kept.size if kept is not None and kept.masks == self._mark else None

    def _keep(self) -> None:
        if self._file is None or self._size is None or self._read_only:
            return
        beside = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.encode(_Kept(self._mark, self._size)))
            beside.replace(self._file)
        except OSError:
            return  # it holds until the worker ends; the store complains of such a disk


def same_shape(scale: Scale) -> bool:
    """Whether pictures of this ``scale`` have the shape of those that were drawn in."""
    return abs(scale[0] / scale[1] - 1) <= SHAPE


class MaskedSize:
    """Whether masks still lie where they were drawn: in pictures of another size than then they hide something else."""

    def __init__(self, camera: CameraSettings, folder: Path | None, *, read_only: bool = False) -> None:
        """``folder`` and ``read_only`` as in ``DrawnSize``."""
        masks = camera.masks
        self._drawn = DrawnSize(camera.name, "masks", masks, folder, read_only=read_only) if masks else None

    def misfit(self, size: Size) -> str:
        """Why nothing of pictures of this size may be shown; "" when the masks fit, or there are none."""
        drawn = self._drawn.of(size) if self._drawn is not None else size
        if drawn == size:
            return ""
        return (
            f"the masks were drawn for pictures of {drawn[0]} x {drawn[1]}, and these have {size[0]} x {size[1]}: "
            "no picture or clip of them leaves; set the camera back, or draw the masks anew"
        )
