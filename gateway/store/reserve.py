"""A file that only takes up room, so that alarms can still be written when the disk is full."""

import os
from pathlib import Path


class Reserve:
    """``<state>/reserve``: there while all is well, deleted when the disk is full."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def restore(self) -> bool:
        """Take the room again; False when the disk does not have it."""
        try:
            if self._path.exists() and self._path.stat().st_size == self._size:
                return True
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
                os.ftruncate(descriptor, self._size)
            finally:
                os.close(descriptor)
        except OSError:
            self.release()
            return False
        return True

    def is_needed(self) -> bool:
        """Tell whether the disk has less room left than this file takes."""
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize < self._size

    def release(self) -> None:
        """Give the room to those who need it now."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:  # a read-only disk: there is no room to give
            return
