"""Whether masks still lie where they were drawn: in pictures of another size than then they hide something else."""

import hashlib
import re
from pathlib import Path

import msgspec

from gateway.settings import CameraSettings

Size = tuple[int, int]


class _Kept(msgspec.Struct):
    masks: str
    size: Size


class MaskedSize:
    """The size that the masks of one camera belong to: that of the first picture since they were drawn."""

    def __init__(self, camera: CameraSettings, folder: Path | None) -> None:
        """``folder`` is where the size outlives a restart; without it, it holds as long as this does."""
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", camera.name)
        self._file = folder / f"{name}-masks.json" if folder is not None and camera.masks else None
        self._mark = hashlib.sha256(msgspec.json.encode(camera.masks)).hexdigest() if camera.masks else ""
        self._size = self._recalled()

    def misfit(self, size: Size) -> str:
        """Why nothing of pictures of this size may be shown; "" when the masks fit, or there are none."""
        if not self._mark:
            return ""
        if self._size is None:
            self._size = size
            self._keep()
        if self._size == size:
            return ""
        return (
            f"the masks were drawn for pictures of {self._size[0]} x {self._size[1]}, and these have {size[0]} x "
            f"{size[1]}: no picture or clip of them leaves; set the camera back, or draw the masks anew"
        )

    def _recalled(self) -> Size | None:
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept) if self._file is not None else None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return kept.size if kept is not None and kept.masks == self._mark else None

    def _keep(self) -> None:
        if self._file is None or self._size is None:
            return
        beside = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.encode(_Kept(self._mark, self._size)))
            beside.replace(self._file)
        except OSError:
            return  # it holds until the worker ends; the store complains of such a disk
