"""A camera's worker process: states, restarts, ends, and what it leaves behind."""

import asyncio
import contextlib
import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from gateway.cli.demo.clip import LEAVING, PLATE
from gateway.clock import SystemClock
from gateway.contract import BusItem, CommandError, StateChange, VisionEvent
from gateway.vision import camera as cameras
from gateway.vision import patience, process
from gateway.vision.camera import Camera, WorkerFailedError
from gateway.vision.messages import Clip, Gone, Job, Opened, Passage, Shut, unpack
from gateway.vision.packs import packs
from gateway.vision.process import log_complaints
from gateway.vision.suspects import Suspects
from tests.vision.coded import write_small_clip
from tests.vision.lane import camera_settings

MOST = 60.0  # seconds after which a test gives up: nothing here is timed, machines are slow


class Running:
    """A camera that runs, and everything that it put on the bus."""

    def __init__(self, url: str | Path, models: Path, keep: float = 0.0, **more: Any) -> None:
        self.items: list[BusItem] = []
        self._change = asyncio.Event()
        self.camera = Camera(camera_settings(url, **more), models, SystemClock(), self._put, keep)
        self.task = asyncio.create_task(self.camera.run())

    async def _put(self, item: BusItem) -> None:
        self.items.append(item)
        self._change.set()

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(item.state.value, item.reason) for item in self.items if isinstance(item, StateChange)]

    @property
    def state(self) -> str:
        return self.states[-1][0] if self.states else ""

    @property
    def passages(self) -> list[VisionEvent]:
        return [item for item in self.items if isinstance(item, VisionEvent) and item.type]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(MOST):
            while not condition():
                await self._change.wait()
                self._change.clear()

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@contextlib.asynccontextmanager
async def running(url: str | Path, models: Path, **more: Any) -> AsyncIterator[Running]:
    one = Running(url, models, **more)
    try:
        yield one
    finally:
        await one.stop()


async def test_a_file_is_played_to_its_end(demo_clip: Path, models: Path) -> None:
    async with running(demo_clip, models, pace="free") as one:
        await one.until(lambda: one.state == "ended")
        await one.task
    assert one.states == [("starting", "starting"), ("online", "open"), ("ended", "ended")]
    assert [event.data["plate"]["text"] for event in one.passages] == [PLATE, LEAVING]
    event = one.passages[0]
    assert (event.type, event.subject, event.event) == ("linli.vehicle.passage.v1", "main", "passage")
    assert set(event.data["picture"]) == {"frame_time", "frame_sha256"}
    jpeg, content_type, suffix = event.media["picture"]
    assert (jpeg[:2], content_type, suffix) == (b"\xff\xd8", "image/jpeg", "jpg")
    view = one.camera.view()
    assert view["state"] == "ended"
    assert view["frames"] == {"offered": 250, "looked": 125, "dropped": 0}
    assert len(view["last_picture"]) == 64
    assert PLATE not in str(view["last_passages"])
    one.camera.forget(PLATE, lambda sha256: False)
    kept = one.camera.view()
    assert (len(kept["last_passages"]), kept["last_picture"]) == (1, view["last_picture"])
    one.camera.forget(LEAVING, lambda sha256: sha256 == view["last_picture"])
    assert (one.camera.view()["last_passages"], one.camera.view()["last_picture"]) == ([], None)


async def test_the_clip_of_an_erased_passage_comes_to_nobody(tmp_path: Path) -> None:
    items: list[BusItem] = []

    async def put(item: BusItem) -> None:
        items.append(item)

    camera = Camera(camera_settings("gate.mp4"), tmp_path, SystemClock(), put)
    for token, plate in (("w1", PLATE), ("w2", LEAVING)):
        known = ("main", "in", plate, "ordinary", "blue", "accepted", (0.9,), "", 1, 1, 1, None, (), token)
        await camera._take(Passage(*known))
    camera.forget(PLATE, lambda sha256: True)
    for token in ("w1", "w2"):
        await camera._take(Clip(token, b"mp4", 1, 2))
    events = [item for item in items if isinstance(item, VisionEvent)]
    kinds = [event.type for event in events]
    assert kinds == ["linli.vehicle.passage.v1"] * 2 + ["linli.media.ready.v1"]
    assert {event.purpose for event in events} == {"vehicle gate"}
    assert items[2].data["record"] == items[1].id


async def test_a_lost_camera_makes_no_clip_though_its_worker_is_there(tmp_path: Path) -> None:
    async def put(_: BusItem) -> None:
        pass

    camera = Camera(camera_settings("rtsp://cam.lan/1", unblurred="a drawn scene"), tmp_path, SystemClock(), put)
    said: list[bytes] = []
    stdin = SimpleNamespace(write=said.append, is_closing=lambda: False)
    worker: Any = SimpleNamespace(returncode=None, stdin=stdin)
    camera._worker = worker
    await camera._take(Opened(320, 240, "h264"))
    assert camera.clip(1.0, 1.0, "a record")
    await camera._take(Shut("closed", "the camera closed the stream; check the camera"))
    assert not camera.clip(1.0, 1.0, "another")
    with pytest.raises(CommandError, match="gives no picture now"):
        await camera.peek()
    await camera._take(Opened(320, 240, "h264"))
    assert camera.clip(1.0, 1.0, "a third")
    assert len(said) == 2


async def test_clips_that_could_not_be_made_are_counted_and_logged_once_for_each_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def put(_: BusItem) -> None:
        pass

    camera = Camera(camera_settings("gate.mp4"), tmp_path, SystemClock(), put)
    assert camera.view()["unmade_clips"] is None
    for number in range(5):
        camera._promises.asked(f"g{number}", f"record {number}", None)
        await camera._take(Clip(f"g{number}", trouble="too many" if number < 4 else "too large"))
    await camera._take(Clip("nobody's", trouble="too many"))
    unmade = camera.view()["unmade_clips"]
    assert (unmade["count"], unmade["text"]) == (5, "too large")
    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["too many", "too large"]


def test_media_that_the_disk_did_not_take_are_counted(tmp_path: Path) -> None:
    async def put(_: BusItem) -> None:
        pass

    camera = Camera(camera_settings("gate.mp4"), tmp_path, SystemClock(), put)
    assert camera.view()["unstored_media"] is None
    camera.lost("the disk is too slow")
    camera.lost("No space left on device")
    unstored = camera.view()["unstored_media"]
    assert (unstored["count"], unstored["text"]) == (2, "No space left on device")


async def test_a_killed_worker_is_started_anew(demo_clip: Path, models: Path) -> None:
    async with running(demo_clip, models, repeat=True) as one:
        await one.until(lambda: one.state == "online")
        assert one.camera._worker is not None
        os.kill(one.camera._worker.pid, signal.SIGKILL)
        await one.until(lambda: one.states.count(("online", "open")) == 2)
    assert one.states == [("starting", "starting"), ("online", "open"), ("offline", "worker"), ("online", "open")]


async def test_no_process_is_left_behind(demo_clip: Path, models: Path) -> None:
    async with running(demo_clip, models, repeat=True) as one:
        await one.until(lambda: one.state == "online")
        assert one.camera._worker is not None
        pid = one.camera._worker.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "not_found"), (b"", "not_playable"), (b"\x00\x01noise" * 999, "not_playable")]
)
async def test_a_bad_file_is_a_state(content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    async with running(path, tmp_path) as one:
        await one.until(lambda: one.state == "offline")
        assert not one.task.done()
        assert str(path) in one.camera.view()["text"]
    assert one.states == [("starting", "starting"), ("offline", reason)]


async def test_one_process_waits_for_a_camera_and_opens_it_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = 0
    start = process.start_worker

    async def counted(page: int) -> asyncio.subprocess.Process:
        nonlocal started
        started += 1
        return await start(page)

    monkeypatch.setattr(cameras, "start_worker", counted)
    clip = write_small_clip(tmp_path / "quiet.mp4", 0.4)
    async with running(tmp_path / "late.mp4", tmp_path, pace="free") as one:
        await one.until(lambda: ("offline", "not_found") in one.states)
        await asyncio.to_thread(os.symlink, clip, tmp_path / "late.mp4")
        await one.until(lambda: one.state == "ended")
    assert started == 1
    # No models are here; what else lessens it is told by another record of the same state.
    assert list(dict.fromkeys(state for state, _ in one.states)) == ["starting", "offline", "degraded", "ended"]


async def test_missing_models_degrade_to_motion(demo_clip: Path, tmp_path: Path) -> None:
    async with running(demo_clip, tmp_path, pace="free") as one:
        await one.until(lambda: one.state == "ended")
    assert one.states[1] == ("degraded", "models_missing")
    assert [(event.data["plate"]["status"], event.data["direction"]) for event in one.passages] == [
        ("none", "in"),
        ("none", "out"),
    ]
    assert one.passages[0].data["plate"]["text"] is None


async def test_a_model_with_a_flipped_bit_is_not_used(demo_clip: Path, models: Path, tmp_path: Path) -> None:
    for pack in (pack for pack in packs(models) if pack.present):
        manifest = pack.path.parents[1] / "manifest.toml"
        folder = tmp_path / manifest.parent.name / "files"
        folder.mkdir(parents=True)
        (folder.parent / manifest.name).write_bytes(manifest.read_bytes())
        data = bytearray(pack.path.read_bytes())
        data[1000] ^= 1
        (folder / pack.path.name).write_bytes(data)
    async with running(demo_clip, tmp_path, pace="free") as one:
        await one.until(lambda: len(one.states) > 1)
    assert one.states[1] == ("degraded", "models_refused")


async def test_broken_lines_of_a_list_are_named_and_the_rest_counts(
    demo_clip: Path, models: Path, tmp_path: Path
) -> None:
    deny = tmp_path / "deny.csv"
    deny.write_text(f"{PLATE}\nno plate at all\n")
    async with running(demo_clip, models, pace="free", vehicles={"lists": {"deny": deny}}) as one:
        await one.until(lambda: one.state == "ended")
    assert one.states[1] == ("degraded", "list")
    assert [event.event for event in one.passages] == ["deny", "passage"]
    assert one.passages[0].data["list"] == "deny"


async def test_another_worker_says_the_same_broken_lines_of_a_list_not_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    allow, clip = tmp_path / "allow.csv", write_small_clip(tmp_path / "c.mp4", 0.4)
    allow.write_text("no plate at all\n")
    async with running(clip, tmp_path, pace="free", vehicles={"lists": {"allow": allow}}) as one:
        await one.task
        await one.camera.run()
    assert len(one.states) == 6  # each worker came, was degraded and ended
    assert [message.startswith(f"{allow}:1:") for message in caplog.messages].count(True) == 1
    assert "camera gate: " not in caplog.text  # no worker has a log of its own


async def test_all_that_lessens_a_camera_is_shown_the_most_serious_first(tmp_path: Path) -> None:
    allow, clip = tmp_path / "allow.csv", write_small_clip(tmp_path / "c.mp4", 0.8)
    allow.write_text("no plate at all\n")
    async with running(clip, tmp_path, repeat=True, vehicles={"lists": {"allow": allow}}) as one:
        await one.until(lambda: one.state == "degraded")
        troubles = one.camera.view()["troubles"]
        text = one.camera.view()["text"]
    assert [trouble["reason"] for trouble in troubles] == ["models_missing", "models_missing", "list"]
    assert troubles[0]["sentence"] == text
    assert one.states == [("starting", "starting"), ("degraded", "models_missing")]


async def test_a_silent_stream_goes_offline_without_its_password(tmp_path: Path, caplog: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pass/w0rd@\n")
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
        async with running(url, tmp_path, user="me", password_file=secret) as one:
            await one.until(lambda: one.state == "offline")
            assert one.camera.view()["url"] == url
    assert one.states[-1] == ("offline", "timeout")
    assert "w0rd" not in caplog.text + str(one.items) + str(one.camera.view())


async def test_what_a_worker_complains_of_is_logged_without_password_and_plate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker: Any = SimpleNamespace(stderr=asyncio.StreamReader())
    worker.stderr.feed_data(f"KeyError: '{PLATE}' of me:pass/w0rd@\n".encode())
    worker.stderr.feed_eof()
    with caplog.at_level("WARNING"):
        await log_complaints("gate", worker, "pass/w0rd@")
    assert caplog.messages == ["camera gate: KeyError: '(plate)' of me:***"]


async def test_a_missing_secret_is_a_state(tmp_path: Path) -> None:
    async with running("rtsp://127.0.0.1:1/live", tmp_path, user="me", password_file=tmp_path / "none") as one:
        await one.until(lambda: one.state == "offline")
    assert one.states[-1] == ("offline", "secret")


async def test_without_the_extra_the_camera_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(cameras.importlib.util, "find_spec", lambda name: None if name == "av" else find(name))
    async with running(tmp_path / "any.mp4", tmp_path) as one:
        await one.until(lambda: one.states != [])
    assert one.states == [("offline", "not_installed")]
    assert "scripts/setup" in one.camera.view()["text"]


async def test_a_worker_that_falls_silent_is_killed(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENT", 1.5)
    async with running(demo_clip, tmp_path, repeat=True, vehicles=None) as one:
        await one.until(lambda: one.state == "online")
        assert one.camera._worker is not None
        os.kill(one.camera._worker.pid, signal.SIGSTOP)
        await one.until(lambda: ("offline", "timeout") in one.states)


def test_the_gateway_loads_nothing_heavy_for_a_camera() -> None:
    code = "import sys, gateway.vision; print([m for m in ('av','cv2','numpy','onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_worker_ends_with_its_gateway(demo_clip: Path, tmp_path: Path) -> None:
    code = f"""
import asyncio, os, signal
from pathlib import Path
from tests.vision.test_camera import Running
async def main():
    one = Running({str(demo_clip)!r}, Path({str(tmp_path)!r}), repeat=True)
    await one.until(lambda: one.state in ("online", "degraded"))
    print(one.camera._worker.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)
    worker = Path(f"/proc/{int(done.stdout)}")

    def alive() -> bool:
        try:
            return "(zombie)" not in (worker / "status").read_text()
        except FileNotFoundError:
            return False

    for _ in range(200):
        if not alive():
            return
        subprocess.run(["sleep", "0.1"], check=True)
    pytest.fail("the worker outlived its gateway")


def test_a_worker_does_not_load_the_gateways_side_of_a_camera() -> None:
    code = (
        "import sys, gateway.vision.worker; print(sorted({'asyncio', 'prometheus_client', 'ssl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_worker_that_fails_says_why_and_ends_though_its_input_is_open(tmp_path: Path) -> None:
    job = Job({"name": "gate"}, str(tmp_path))  # no camera
    command = [sys.executable, "-m", "gateway.vision.worker"]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as worker:
        assert worker.stdin is not None
        assert worker.stderr is not None
        worker.stdin.write(msgspec.json.encode(job) + b"\n")
        worker.stdin.flush()
        assert worker.wait(MOST) == 1
        said = worker.stderr.read().decode()
    assert "validation errors for CameraSettings" in said
    assert "Fatal" not in said


def test_a_worker_of_another_version_says_so_and_what_to_do(tmp_path: Path) -> None:
    job = Job({"name": "gate"}, str(tmp_path), version="0.0.1")
    command = [sys.executable, "-m", "gateway.vision.worker"]
    done = subprocess.run(command, input=msgspec.json.encode(job) + b"\n", capture_output=True, check=False)
    gone = unpack(done.stdout[4:])
    assert isinstance(gone, Gone)
    assert gone.reason == "version"
    assert gone.sentence.startswith("the gateway runs version 0.0.1, but ")
    assert gone.sentence.endswith("; restart the gateway: sudo systemctl restart linli")


async def test_a_worker_that_says_what_this_gateway_does_not_know_is_of_another_program(tmp_path: Path) -> None:
    async def put(_: BusItem) -> None:
        pass

    camera = Camera(camera_settings("gate.mp4"), tmp_path, SystemClock(), put)
    said, worker = asyncio.StreamReader(), SimpleNamespace()
    body = msgspec.msgpack.encode({"type": "Dreamt", "of": "sheep"})
    said.feed_data(len(body).to_bytes(4, "big") + body)
    suspects = Suspects(SystemClock().monotonic)
    with contextlib.closing(suspects), pytest.raises(WorkerFailedError, match="restart the gateway") as failed:
        await camera._listen(cast("Any", worker), process.Spoken(said), suspects)
    assert failed.value.reason == "version"


async def test_a_stop_while_a_worker_that_died_is_cleared_away_is_no_stop_lost(
    demo_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hears, ended = cameras.log_complaints, asyncio.Event()

    async def slow(*about: Any) -> None:
        try:
            await hears(*about)
            await asyncio.Event().wait()
        finally:
            ended.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    monkeypatch.setattr(cameras, "log_complaints", slow)
    async with running(demo_clip, tmp_path, repeat=True, vehicles=None) as one:
        await one.until(lambda: one.state == "online")
        assert one.camera._worker is not None
        os.kill(one.camera._worker.pid, signal.SIGKILL)
        async with asyncio.timeout(MOST):
            await ended.wait()
        one.task.cancel()
        await asyncio.wait([one.task], timeout=MOST)
        assert one.task.cancelled()
    assert one.states[-1] == ("online", "open")  # it was not started anew
