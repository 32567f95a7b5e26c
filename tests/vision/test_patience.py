"""How long a worker may be silent: more at its start, twice as much after each start that took too long."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import BusItem
from gateway.vision import patience as patiences
from gateway.vision.camera import Camera, WorkerFailedError
from gateway.vision.messages import Beat, Listed, Opened, Shut
from gateway.vision.patience import SLOW, Patience
from gateway.vision.process import Spoken
from gateway.vision.suspects import Suspects
from tests.vision.lane import camera_settings


def test_each_start_that_takes_too_long_gives_the_next_twice_the_time() -> None:
    patience, given = Patience(), []
    for _ in range(5):
        patience.begin()
        patience.heard(Listed("deny", "deny.csv", (), 0))  # said before the models are loaded
        given.append(patience.seconds)
        assert patience.spent("").endswith(f" s; {SLOW}")
    assert given == [20.0, 40.0, 80.0, 160.0, 160.0]
    patience.heard(Shut("refused", "the camera refuses"))  # its models are loaded when it is there again
    patience.heard(Beat())
    assert patience.seconds == 160.0
    patience.heard(Opened(320, 240, "h264"))
    assert patience.seconds == 9.5
    patience.begin()
    assert patience.seconds == 20.0


def test_one_that_gave_pictures_hangs_and_one_that_starts_is_slow() -> None:
    patience = Patience()
    assert patience.spent("plates") == (
        f"the worker has been silent for 20 s at its start, with model plates at work, and is started anew with 40 s; "
        f"{SLOW}"
    )
    patience.heard(Opened(320, 240, "h264"))
    assert patience.spent("") == "the worker has been silent for 9.5 s and is started anew; check the camera"
    assert patience.spent("plates").endswith("; model plates was at work")
    patience.begin()
    assert patience.seconds == 20.0


async def test_a_camera_waits_longer_for_each_worker_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def put(_: BusItem) -> None:
        pass

    monkeypatch.setattr(patiences, "STARTS", 0.01)
    camera = Camera(camera_settings("gate.mp4"), tmp_path, SystemClock(), put)
    worker: Any = None
    said = []
    with contextlib.closing(Suspects(SystemClock().monotonic)) as suspects:
        for _ in range(3):
            with pytest.raises(WorkerFailedError) as failed:
                await camera._listen(worker, Spoken(asyncio.StreamReader()), suspects)
            said.append(str(failed.value).partition(" s at")[0].rpartition(" ")[2])
            assert SLOW in str(failed.value)
    assert said == ["0.01", "0.02", "0.04"]
