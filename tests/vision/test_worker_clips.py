"""Clips through the whole of a camera: they follow their record, hide what is masked, and are made only with leave."""

import asyncio
import io
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from gateway.cli.replay import play
from gateway.clock import SystemClock
from gateway.contract import LinkError, VisionEvent
from gateway.vision import clips as clips_module
from gateway.vision import worker as worker_module
from gateway.vision.clip import make_clip
from gateway.vision.drawn_for import MaskedSize
from gateway.vision.messages import (
    Ask,
    Beat,
    Clip,
    Job,
    Message,
    Opened,
    Passage,
    Peek,
    Shut,
    Stop,
    Troubles,
    unpack,
)
from gateway.vision.worker import Worker
from tests.schemas import validator
from tests.vision.coded import SECOND, write_small_clip
from tests.vision.lane import camera_settings
from tests.vision.rtsp import RtspServer
from tests.vision.rtsp import pictures as coded_pictures
from tests.vision.test_camera import running

LEAVE = "a drawn scene"
CLIP = {"lanes": [], "clip": {"before": "1s", "after": "1s"}}


def ready(items: list[Any]) -> list[VisionEvent]:
    return [item for item in items if isinstance(item, VisionEvent) and item.type == "linli.media.ready.v1"]


def passages(items: list[Any]) -> list[VisionEvent]:
    return [item for item in items if isinstance(item, VisionEvent) and item.type == "linli.vehicle.passage.v1"]


def spoken(pipe: bytes) -> Iterator[Message]:
    while pipe:
        end = 4 + int.from_bytes(pipe[:4], "big")
        yield unpack(pipe[4:end])
        pipe = pipe[end:]


def pictures(event: VisionEvent) -> list[Any]:
    mp4, content_type, suffix = event.media[""]
    assert (content_type, suffix) == ("video/mp4", "mp4")
    with av.open(io.BytesIO(mp4)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


@pytest.fixture
def passing(tmp_path: Path) -> Path:
    return write_small_clip(tmp_path / "passing.mp4", 7.0, (2.0, 4.0))


async def test_a_clip_follows_its_passage_and_names_it(passing: Path, tmp_path: Path) -> None:
    mask = [[(0, 0), (320, 0), (320, 40), (0, 40)]]
    how: dict[str, Any] = {"pace": "free", "unblurred": LEAVE, "vehicles": CLIP, "masks": mask}
    async with running(passing, tmp_path, **how) as one:
        await one.until(lambda: one.state == "ended")
    told = passages(one.items)
    clips = ready(one.items)
    assert [clip.data["record"] for clip in clips] == [passage.id for passage in told]
    assert len(told) == 1
    data = {**clips[0].data, "sha256": "0" * 64, "bytes": 1, "content_type": "video/mp4"}
    validator("linli.media.ready.v1").evolve(
        schema=validator("linli.media.ready.v1").schema["properties"]["data"]
    ).validate(data)
    assert (clips[0].data["hidden"], clips[0].data["frame_size"]) == (False, [320, 240])
    shown = pictures(clips[0])
    assert all(picture[:32].max() < 40 for picture in shown)
    seconds = (told[0].data["first_time"], told[0].data["last_time"])
    assert clips[0].data["first_time"] < seconds[0] < seconds[1] < clips[0].data["last_time"]


def test_masks_of_another_size_let_nothing_out(passing: Path, tmp_path: Path) -> None:
    other = write_small_clip(tmp_path / "other.mp4", 7.0, (2.0, 4.0), size=(320, 256))
    how: dict[str, Any] = {"unblurred": LEAVE, "vehicles": CLIP}
    told, clips, reasons = [], [], []
    for path, mask in ((passing, 40), (other, 40), (passing, 40), (other, 50)):
        out = io.BytesIO()
        settings = camera_settings(path, pace="free", masks=[[(0, 0), (90, 0), (90, mask), (0, mask)]], **how)
        job = Job(settings.model_dump(mode="json"), str(tmp_path), views=str(tmp_path / "views"))
        Worker(job, out).run()
        said = list(spoken(out.getvalue()))
        told.append({each.picture is not None for each in said if isinstance(each, Passage)})
        clips.append({bool(each.mp4) for each in said if isinstance(each, Clip)})
        reasons.append({code for each in said if isinstance(each, Troubles) for code, _ in each.found} & {"masks"})
    assert told == [{True}, {False}, {True}, {True}]
    assert clips == [{True}, set(), {True}, {True}]
    assert reasons == [set(), {"masks"}, set(), set()]


async def test_without_leave_no_clip_is_made(passing: Path, tmp_path: Path) -> None:
    async with running(passing, tmp_path, pace="free", vehicles=CLIP) as one:
        await one.until(lambda: one.state == "ended")
        assert not one.camera.clip(1.0, 1.0, "record")
    assert passages(one.items)
    assert not ready(one.items)
    assert all(event.id == "" for event in one.passages)


async def test_an_alarms_clip_is_what_was_seen_before_and_after(tmp_path: Path) -> None:
    path = write_small_clip(tmp_path / "c.mp4", 12.0)
    async with running(path, tmp_path, vehicles=None, unblurred=LEAVE, keep=1.0) as one:
        assert not one.camera.clip(1.0, 0.5, "too early")
        while one.camera.view()["frames"]["offered"] <= 50:
            await asyncio.to_thread(time.sleep, 0.02)
        assert one.camera.clip(1.0, 0.5, "the alarm's record")
        await one.until(lambda: bool(ready(one.items)))
    event = ready(one.items)[0]
    assert (event.data["record"], event.subject) == ("the alarm's record", "gate")
    assert 35 <= len(pictures(event)) <= 100


@pytest.mark.parametrize("leave", [None, LEAVE])
def test_a_replayed_recording_has_the_same_clips_every_time(leave: str | None, passing: Path, tmp_path: Path) -> None:
    settings = camera_settings(passing, unblurred=leave, vehicles=CLIP)
    start = 1_700_000_000 * SECOND
    runs = [list(play(settings, passing, start, tmp_path, SystemClock("UTC").rfc3339)) for _ in range(2)]
    for events in runs:
        told, clips = passages(events), ready(events)
        assert told
        assert [clip.data["record"] for clip in clips] == ([passage.id for passage in told] if leave else [])
        assert all(len(pictures(clip)) > 60 for clip in clips)
    one, other = ([clip.media for clip in ready(events)] for events in runs)
    assert one == other


def test_a_replayed_recording_of_another_size_than_the_masks_shows_nothing(
    passing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = camera_settings(passing, unblurred=LEAVE, vehicles=CLIP, masks=[[(0, 0), (90, 0), (90, 40)]])
    views, stamp = tmp_path / "views", SystemClock("UTC").rfc3339

    def shown() -> tuple[int, int, int]:
        events = list(play(settings, passing, 1_700_000_000 * SECOND, tmp_path, stamp, views=views))
        told = passages(events)
        return len(told), sum(bool(one.media) for one in told), len(ready(events))

    number, pictured, clips = shown()
    assert number == pictured == clips > 0
    assert not views.exists()  # it only looks
    MaskedSize(settings, views).misfit((1920, 1080))  # what the gateway has seen
    assert shown() == (number, 0, 0)
    said = capsys.readouterr().err
    assert said.count("masks were drawn for pictures of 1920 x 1080") == 1


def lost_with_a_clip(tmp_path: Path, server: RtspServer, asked: "queue.SimpleQueue[Any]", out: io.BytesIO) -> Worker:
    """A worker whose camera hangs up while it owes the clip of an alarm."""
    asked.put(Ask("alarm", 1.0, 60.0))
    settings = camera_settings(server.url, unblurred=LEAVE, vehicles=None)
    return Worker(Job(settings.model_dump(mode="json"), str(tmp_path), keep=1.0), out, asked)


def test_a_lost_camera_is_called_again_while_the_clips_that_it_owes_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, asked = io.BytesIO(), queue.SimpleQueue[Ask | Peek | Stop]()
    indices: list[int] = []

    def made(packets: Any, *given: Any) -> bytes:
        indices.extend(packet.index for packet in packets)
        for _ in range(800):
            if sum(isinstance(each, Opened) for each in spoken(out.getvalue())) == 2:
                break
            time.sleep(0.025)
        return make_clip(packets, *given)

    monkeypatch.setattr(clips_module, "make_clip", made)
    monkeypatch.setattr(worker_module, "BEAT_EVERY", 0.1)
    shown = coded_pictures(write_small_clip(tmp_path / "c.mp4", 2.0, bf="0"))
    with RtspServer(shown, 100.0, fault=lambda index: "hang up" if index == 150 else "send") as server:
        worker = lost_with_a_clip(tmp_path, server, asked, out)
        with pytest.raises(LinkError, match="closed the stream"):
            worker.run()
        assert server.calls == 2  # with no clip to make, a new process calls
    told = [each for each in spoken(out.getvalue()) if isinstance(each, Opened | Shut | Clip)]
    shut = Shut("closed", "the camera closed the stream; check the camera")
    assert [shut if each == shut else type(each) for each in told] == [Opened, shut, Opened, Clip, shut]
    clip = next(each for each in told if isinstance(each, Clip))
    assert clip.mp4
    assert indices == sorted(set(indices))  # of the first life alone
    beats = [each for each in spoken(out.getvalue()) if isinstance(each, Beat)]
    assert 150 < sum(beat.offered for beat in beats) <= 300  # both lives are counted


def test_a_stop_while_a_lost_camera_is_called_again_waits_for_its_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, asked = io.BytesIO(), queue.SimpleQueue[Ask | Peek | Stop]()

    def made(*given: Any) -> bytes:
        for _ in range(800):
            if sum(isinstance(each, Shut) for each in spoken(out.getvalue())) >= 2:  # in vain
                break
            time.sleep(0.025)
        asked.put(Stop())
        time.sleep(0.3)
        return make_clip(*given)

    monkeypatch.setattr(clips_module, "make_clip", made)
    monkeypatch.setattr(worker_module, "BEAT_EVERY", 0.1)
    shown = coded_pictures(write_small_clip(tmp_path / "c.mp4", 2.0, bf="0"))
    refuses: list[bool] = []

    def fault(index: int) -> str:
        refuses.append(index == 150)
        return "hang up" if refuses[-1] or any(refuses) else "send"

    with RtspServer(shown, 100.0, fault=fault) as server, pytest.raises(LinkError, match="the gateway stops"):
        lost_with_a_clip(tmp_path, server, asked, out).run()
    clips = [each for each in spoken(out.getvalue()) if isinstance(each, Clip)]
    assert [bool(each.mp4) for each in clips] == [True]
