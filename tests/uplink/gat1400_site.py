"""What tests of the GA/T 1400 uplink share: passages in a store, pictures in a folder, and an uplink that runs."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import Clock, Record
from gateway.metrics import REGISTRY
from gateway.settings.core import Gat1400Settings
from gateway.uplink import lane as lane_module
from gateway.uplink import pause as pause_module
from gateway.uplink.gat1400.push import Gat1400Uplink
from tests.uplink.gat1400_platform import CAMERA, GATEWAY, PASSWORD, TOLLGATE, ViewLibrary
from tests.uplink.stand_in import MemoryStore

TIME = "2026-11-21T00:25:30.120Z"  # 08:25:30 in China
LOCAL = "20261121082530"


def jpeg(width: int = 640, height: int = 360, pad: int = 64) -> bytes:
    """A file with the frame of a JPEG and nothing to see in it (synthetic)."""
    app = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    start = b"\xff\xc0\x00\x0b\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x01\x01\x11\x00"
    return b"\xff\xd8" + app + start + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x55" * pad + b"\xff\xd9"


class PassageStore(MemoryStore):
    """A store in memory that also holds passages and pictures."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def media(self, sha256: str) -> tuple[Path, str] | None:
        path = self.folder / f"{sha256}.jpg"
        return (path, "image/jpeg") if path.is_file() else None

    async def passage(self, picture: bytes | None = None, *, camera: str = "north-gate", time: str = TIME,
                      quality: str = "synced", former: int = 0, **data: Any) -> int:  # fmt: skip
        """Commit one passage; returns its sequence."""
        plate = {"text": "沪A12345", "kind": "ordinary", "color": "blue", "status": "accepted", "confidence": 0.94,
                 "characters": [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.99]}  # fmt: skip
        about: dict[str, Any] = {"lane": "main", "direction": "in", "plate": plate, "list": None,
                                 "vehicle": {"type": "unknown", "color": "unknown"}}  # fmt: skip
        about |= {"first_time": time, "last_time": time}
        if picture is not None:
            name = hashlib.sha256(picture).hexdigest()
            (self.folder / f"{name}.jpg").write_bytes(picture)
            about["picture"] = {"sha256": name, "bytes": len(picture), "content_type": "image/jpeg",
                                "frame_time": time, "frame_sha256": "0" * 64}  # fmt: skip
        extra = {"formerepoch": "e0", "formersequence": f"{former:020d}"} if former else {}
        async with self._changed:
            sequence = self.bounds("perception")[1] + 1
            event = {"specversion": "1.0", "id": f"id-{sequence}", "source": f"/gateways/gw/{camera}",
                     "type": "linli.vehicle.passage.v1", "subject": "main", "time": time, "stream": "perception",
                     "epoch": self.epoch, "sequence": f"{sequence:020d}", "timequality": quality, **extra,
                     "data": about | data}  # fmt: skip
            encoded = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
            self.streams["perception"].append(Record(sequence, encoded))
            self._changed.notify_all()
        return sequence


@pytest.fixture
async def library() -> AsyncIterator[ViewLibrary]:
    async with ViewLibrary() as one:
        yield one


@pytest.fixture
def store(tmp_path: Path) -> PassageStore:
    return PassageStore(tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries within tenths of a second."""
    for module in (lane_module, pause_module):
        monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
        monkeypatch.setattr(module, "LAST_RETRY", 0.02)
    monkeypatch.setattr(pause_module, "SHORT_RETRY", 0.02)


def settings(folder: Path, port: int, **options: Any) -> Gat1400Settings:
    """``alive``: seconds between keep-alives, also fewer than a configuration may say."""
    secret = folder / "password"
    secret.write_text(options.pop("password", PASSWORD) + "\n")
    camera = {"device_id": CAMERA, "tollgate_id": TOLLGATE, "heading": "east", "lanes": {"main": 2}}
    given = {"url": f"http://127.0.0.1:{port}", "device_id": GATEWAY, "password_file": secret,
             "camera": {"north-gate": camera | options.pop("camera", {})}}  # fmt: skip
    alive = options.pop("alive", None)
    made = Gat1400Settings.model_validate(given | options)
    return made if alive is None else made.model_copy(update={"keepalive": alive})


def make(store: PassageStore, port: int, clock: Clock | None = None, **options: Any) -> Gat1400Uplink:
    return Gat1400Uplink(settings(store.folder, port, **options), store, clock or SystemClock())


@asynccontextmanager
async def running(uplink: Gat1400Uplink) -> AsyncIterator[Gat1400Uplink]:
    task = asyncio.ensure_future(uplink.run())
    try:
        yield uplink
    finally:
        await uplink.flush(0)
        async with asyncio.timeout(5):
            await task


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"uplink": "gat1400", "stream": "perception", **labels}) or 0.0
