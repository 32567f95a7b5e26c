"""Media as the store's loop sees them: room first, then the file, then its line in the index with the next commit."""

import asyncio
import errno
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gateway.contract import Kept
from gateway.store.commits import Committer
from gateway.store.database import Committed
from gateway.store.media import CONTENT_TYPES, MediaFolder
from gateway.store.queue import MediaEntry


class Media:
    """Pictures and clips within a quota; ``bytes`` are those in the index."""

    def __init__(
        self, folder: MediaFolder, quota: int, size: int, commits: Committer, files: ThreadPoolExecutor
    ) -> None:
        self.bytes = size
        self.find = folder.find
        self._folder = folder
        self._quota = quota
        self._commits = commits
        self._files = files
        self._one_at_a_time = asyncio.Lock()
        self._coming: dict[str, int] = {}  # name of a file that is not in the index yet -> bytes

    async def put(self, data: bytes, content_type: str, suffix: str, recorded: int, kept: Kept) -> dict[str, Any]:
        """File data; see ``Store.put_media``. ``recorded`` and ``kept`` as in MediaEntry."""
        if CONTENT_TYPES.get(suffix) != content_type:
            known = ", ".join(f"{each} ({kind})" for each, kind in CONTENT_TYPES.items())
            raise ValueError(f"media of type {content_type} cannot be kept as .{suffix}: known are {known}")
        size = len(data)
        if size > self._quota:
            raise OSError(errno.EFBIG, f"{size} bytes are more than the media quota of {self._quota}")
        async with self._one_at_a_time:
            await self._make_room(size)
            loop = asyncio.get_running_loop()
            sha256 = await loop.run_in_executor(self._files, self._folder.write, data, suffix)
            self._coming[f"{sha256}.{suffix}"] = size
            self._commits.queue.media.append(MediaEntry(sha256, size, content_type, suffix, recorded, kept))
            self._commits.touch(urgent=False)
        return {"sha256": sha256, "bytes": size, "content_type": content_type}

    async def _make_room(self, size: int) -> None:
        if self.bytes + sum(self._coming.values()) + size <= self._quota:
            return
        if self._commits.failing is not None:
            raise OSError(errno.ENOSPC, self._commits.failing)
        self._commits.queue.media_room = size
        self._commits.touch(urgent=True)
        await self._commits.settled()

    def committed(self, done: Committed) -> None:
        """Account for a commit; delete the files that the index has forgotten."""
        self.bytes = done.media_bytes
        for name in done.filed:
            self._coming.pop(name, None)
        # A file that is just being put again is wanted, whatever became of its first line in the index.
        doomed = [name for name in done.doomed if name not in self._coming]
        if doomed:
            self._files.submit(self._folder.remove, doomed)
