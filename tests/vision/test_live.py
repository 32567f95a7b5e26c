"""Live streams over real RTSP (a small server of our own): both transports, logins, and what goes wrong for years."""

import contextlib
import io
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.contract import LinkError
from gateway.vision import capture as capturing
from gateway.vision import live as living
from gateway.vision.capture import Capture, Frame
from gateway.vision.live import Live
from gateway.vision.messages import Beat, Job, Message, Shut, Stop, unpack
from gateway.vision.ring import Coded, PacketRing
from gateway.vision.worker import Worker
from tests.vision.coded import coded, write_small_clip
from tests.vision.lane import camera_settings
from tests.vision.rtsp import RtspServer, pictures
from tests.vision.test_camera import running

RATE = 100.0  # pictures a second: four times a camera's, so that the tests are quick


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[list[bytes]]:
    return pictures(write_small_clip(tmp_path_factory.mktemp("rtsp") / "c.mp4", 2.0, (0.5, 1.5), bf="0"))


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> list[list[bytes]]:
    path = tmp_path_factory.mktemp("rtsp") / "c.mp4"
    return pictures(write_small_clip(path, 1.0, size=(640, 480), bf="0"))


def frames_of(capture: Capture, count: int) -> list[Frame]:
    found = (frame for one in capture.packets() for frame in capture.decode(one))
    return list(itertools.islice(found, count))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_stream_is_shown_with_the_times_of_its_arrival(transport: str, shown: list[list[bytes]]) -> None:
    with RtspServer(shown, RATE) as server:
        capture = Capture(server.url, transport=transport)
        began = time.time_ns()
        frames = frames_of(capture, 40)
        capture.close()
    assert [(frame.width, frame.height) for frame in frames] == [(320, 240)] * 40
    assert all(began <= one.wall < two.wall <= time.time_ns() for one, two in pairwise(frames))
    assert frames[-1].time - frames[0].time == pytest.approx(0.39, abs=0.05)


def test_the_login_is_used_and_never_shown(shown: list[list[bytes]]) -> None:
    with RtspServer(shown, RATE, login="linli:s3cret/@") as server:
        capture = Capture(server.url, user="linli", password="s3cret/@")
        assert frames_of(capture, 5)
        capture.close()
        with pytest.raises(LinkError, match="refuses the login") as failed:
            Capture(server.url, user="linli", password="wr0ng")
    assert failed.value.reason == "unauthorized"
    assert "wr0ng" not in str(failed.value)


@pytest.mark.parametrize("what", ["spoil", "drop"])
def test_broken_and_missing_pictures_are_stepped_over(what: str, shown: list[list[bytes]]) -> None:
    with RtspServer(shown, RATE, fault=lambda index: what if index % 9 == 5 else "send") as server:
        capture = Capture(server.url)
        frames = frames_of(capture, 60)
        capture.close()
    assert all(one.time < two.time for one, two in pairwise(frames))


def test_a_camera_whose_clock_leaps_is_held_to_what_has_passed(shown: list[list[bytes]]) -> None:
    with RtspServer(shown, RATE, stamp=lambda index: index * 900 + (90_000 * 3600 if index > 70 else 0)) as server:
        capture = Capture(server.url)
        frames = frames_of(capture, 80)
        capture.close()
    assert frames[-1].index > 70
    assert frames[-1].time < 10.0
    assert max(two.time - one.time for one, two in pairwise(frames)) < 1.0


def test_a_camera_that_repeats_its_stamps_goes_on(shown: list[list[bytes]]) -> None:
    with RtspServer(shown, RATE, stamp=lambda index: index // 3 * 2700) as server:
        capture = Capture(server.url)
        frames = frames_of(capture, 60)
        capture.close()
    assert all(one.time < two.time for one, two in pairwise(frames))


def test_a_camera_whose_clock_stands_still_goes_on(shown: list[list[bytes]]) -> None:
    with RtspServer(shown, RATE, stamp=lambda _: 0) as server:
        capture = Capture(server.url)
        frames = frames_of(capture, 100)
        capture.close()
    assert frames[-1].time - frames[20].time > 0.5 * (frames[-1].index - frames[20].index) / RATE


def test_a_new_resolution_is_shown_as_it_is(shown: list[list[bytes]], larger: list[list[bytes]]) -> None:
    with RtspServer([*shown, *larger], RATE) as server:
        capture = Capture(server.url)
        frames = frames_of(capture, 90)
        capture.close()
    assert {(frame.width, frame.height) for frame in frames} == {(320, 240), (640, 480)}
    assert all(frame.luma.shape == (frame.height, frame.width) for frame in frames)


def test_a_camera_that_stops_sending_is_found_out(shown: list[list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "READ_SECONDS", 1.0)
    with RtspServer(shown, RATE, fault=lambda index: "stall" if index == 60 else "send") as server:
        capture = Capture(server.url)
        with pytest.raises(LinkError) as failed:
            frames_of(capture, 1000)
    assert failed.value.reason == "timeout"


async def test_a_camera_that_hangs_up_is_called_again(shown: list[list[bytes]], tmp_path: Path) -> None:
    with RtspServer(shown, RATE, fault=lambda index: "hang up" if index == 150 else "send") as server:
        async with running(server.url, tmp_path, vehicles=None) as one:
            await one.until(lambda: one.states.count(("online", "open")) == 2)
        assert server.calls >= 2
    assert [state for state, _ in one.states][:4] == ["starting", "online", "offline", "online"]


class Handed:
    """A capture whose packets are handed in: ``tick`` is called before each."""

    def __init__(self, packets: list[Coded], tick: Callable[[Coded], None]) -> None:
        self._packets, self._tick = packets, tick

    def packets(self) -> Iterator[Coded]:
        for one in self._packets:
            self._tick(one)
            yield one


def taken(live: Live) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(LinkError):
        for one in live.packets(0.01):
            if one is not None:
                found.append(one.index)
    return found


def all_of(packets: list[Coded], seconds: float, ring: PacketRing | None = None) -> Live:
    capture: Any = Handed(packets, lambda _: None)
    live = Live(capture, ring, seconds)
    while not live._done:
        time.sleep(0.001)
    return live


def test_who_cannot_keep_up_jumps_to_the_newest_picture() -> None:
    ring = PacketRing(60.0)
    live = all_of([coded(index, key=index % 25 == 0) for index in range(300)], 4.0, ring)
    found = taken(live)
    assert found[0] % 25 == 0
    assert found == list(range(found[0], 300))
    assert (299 - found[0]) / 25 <= 4.1
    assert live.offered == 300
    assert live.dropped == found[0]
    newest = ring.newest
    assert newest is not None
    assert newest.index == 299  # clips still have everything


def test_without_a_newer_key_frame_nothing_is_shown_until_one_comes() -> None:
    live = all_of([coded(index, key=index in (0, 200)) for index in range(250)], 4.0)
    assert taken(live) == list(range(200, 250))


def test_large_pictures_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(living, "MOST_BYTES", 100_000)
    live = all_of([coded(index, 30_000, key=True) for index in range(20)], 60.0)
    assert len(taken(live)) <= 3
    assert live.dropped >= 17


def said(data: bytes) -> Iterator[Message]:
    """What a worker has written, message by message."""
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        yield unpack(data[4:end])
        data = data[end:]


@pytest.mark.parametrize("pace", ["real", "free"])
def test_a_file_that_is_played_at_its_own_pace_says_how_late_it_is(pace: str, tmp_path: Path) -> None:
    path = write_small_clip(tmp_path / "c.mp4", 1.0)
    out = io.BytesIO()
    worker = Worker(Job(camera_settings(path, pace=pace, vehicles=None).model_dump(mode="json"), str(tmp_path)), out)
    slow: Any = SimpleNamespace(sleeps=False, busy=True, troubles=[], look=lambda *_: time.sleep(0.08), finish=list)
    load = worker._load

    def with_a_slow_one() -> None:
        load()
        worker._watchers = [slow]

    worker._load = with_a_slow_one  # type: ignore[method-assign]
    worker.run()
    beats = [message for message in said(out.getvalue()) if isinstance(message, Beat)]
    assert sum(beat.offered for beat in beats) == 25
    latest = max(beat.late for beat in beats)
    assert latest > 0.5 if pace == "real" else latest == 0.0


def test_a_file_that_is_none_does_not_wait_for_models(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video at all")
    out, asked = io.BytesIO(), queue.SimpleQueue[Any]()
    worker = Worker(Job(camera_settings(path).model_dump(mode="json"), str(tmp_path)), out, asked)
    loaded: list[int] = []
    worker._load = lambda: loaded.append(1)  # type: ignore[method-assign]
    asked.put(Stop())  # else it would wait for the file to become one
    with pytest.raises(LinkError, match="the gateway stops"):
        worker.run()
    (shut,) = [message for message in said(out.getvalue()) if isinstance(message, Shut)]
    assert (shut.reason, loaded) == ("not_playable", [])
    assert "no video" in shut.sentence


def test_who_lets_go_of_a_camera_takes_nothing_of_it_any_more() -> None:
    ring, going = PacketRing(60.0), threading.Event()

    def tick(one: Coded) -> None:
        if one.index == 3:
            going.set()
            time.sleep(0.05)

    capture: Any = Handed([coded(index, key=True) for index in range(1000)], tick)
    live = Live(capture, ring, 60.0)
    going.wait()
    assert live.end(60.0)
    newest = ring.newest
    assert newest is not None
    assert newest.index < 999


def test_a_camera_that_hangs_is_not_let_go_of() -> None:
    hangs = threading.Event()

    def tick(_: Coded) -> None:
        hangs.wait()

    capture: Any = Handed([coded(0, key=True)], tick)
    assert not Live(capture, None, 60.0).end(0.01)
    hangs.set()
