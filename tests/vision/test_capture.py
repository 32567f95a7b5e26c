"""Capture: what is no video is said so, at once; what breaks off is played as far as it goes."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from gateway.contract import LinkError
from gateway.vision import capture as capturing
from gateway.vision.address import is_stream, with_credentials, without_credentials
from gateway.vision.capture import Capture
from tests.vision.falling.filmed import damage, film


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))  # type: ignore[attr-defined]
    return path


def bad(kind: str, folder: Path, clip: Path) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(1).bytes(100_000))
    elif kind == "text":
        path.write_text("no video at all\n" * 50)
    elif kind == "cut":  # an MP4 keeps its index at the end
        path.write_bytes(clip.read_bytes()[:200_000])
    elif kind == "folder":
        path.mkdir()
    elif kind == "audio":
        return audio_only(folder / "audio.wav")
    return path


@pytest.mark.parametrize("kind", ["empty", "noise", "text", "cut", "folder", "audio", "missing"])
def test_what_cannot_be_played_is_said_with_its_name(kind: str, tmp_path: Path, demo_clip: Path) -> None:
    path = bad(kind, tmp_path, demo_clip)
    with pytest.raises(LinkError, match=path.name) as failed:
        next(Capture(str(path)).frames())
    fixes = {"empty": "give a video file", "audio": "give a video", "folder": "check the camera's url"}
    fixes |= {"missing": "check the camera's url", "cut": "cut off; copy it anew"}
    assert fixes.get(kind, "give another") in str(failed.value)


@pytest.mark.parametrize("url", ["rtsp://[bad", "", "relative/no/such.mp4"])
def test_malformed_addresses(url: str) -> None:
    with pytest.raises(LinkError):
        Capture(url)


def test_a_stream_that_breaks_off_is_played_so_far(tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        random = np.random.default_rng(3)
        for _ in range(50):
            frame = av.VideoFrame.from_ndarray(random.integers(0, 255, (240, 320, 3), np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" * 2000 + whole[len(whole) // 2 + 2000 : -len(whole) // 4])
    frames = list(Capture(str(path)).frames())
    assert 10 < len(frames) < 50
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))


def test_frames_that_are_damaged_are_counted(tmp_path: Path) -> None:
    whole = Capture(str(film(tmp_path / "whole.mp4", seconds=2.0)))
    assert (len(list(whole.frames())), whole.damaged) == (50, 0)
    spoilt = Capture(str(damage(film(tmp_path / "spoilt.mp4", seconds=2.0), (20, 30))))
    assert 48 <= len(list(spoilt.frames())) <= 50
    assert spoilt.damaged >= 2


def test_sixteen_megapixels_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 4624, 3472, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((3472 * 3 // 2, 4624), 90, np.uint8), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames = list(Capture(str(path)).frames())
    assert [frame.luma.shape for frame in frames] == [(3472, 4624)]


def test_a_picture_alone_is_the_same_as_in_its_row(demo_clip: Path) -> None:
    whole = Capture(str(demo_clip))
    packets = list(whole.packets(start=0))
    rows = [frame for coded in packets for frame in whole.decode(coded)] + whole.drain()
    key = next(coded for coded in packets[1:] if coded.key)
    single = Capture(str(demo_clip))
    frame = single.alone(next(coded for coded in single.packets(start=0) if coded.index == key.index))
    assert frame is not None
    beside = next(row for row in rows if row.index == key.index)
    assert (frame.time, frame.wall) == (beside.time, beside.wall)
    assert np.array_equal(frame.luma, beside.luma)
    assert len(rows) == len(packets)


@pytest.fixture
def mute_server() -> Iterator[int]:
    """Accepts and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    kept = []

    def accept() -> None:
        while True:
            try:
                kept.append(server.accept())
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for connection, _ in kept:
        connection.close()
    thread.join()


def test_a_camera_that_accepts_and_never_answers(mute_server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "OPEN_SECONDS", 0.5)
    with pytest.raises(LinkError, match="does not answer") as failed:
        Capture(f"rtsp://127.0.0.1:{mute_server}/live", user="linli", password="s3cret/@")
    assert failed.value.reason == "timeout"
    assert "s3cret" not in str(failed.value)


def test_a_camera_that_hangs_up_is_told_apart_from_a_bad_file() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(LinkError) as failed:
            Capture(f"rtsp://127.0.0.1:{server.getsockname()[1]}/stream1")
        assert "check address, port and path" in str(failed.value) or failed.value.reason in ("refused", "closed")
        assert "file" not in str(failed.value)


def test_a_camera_that_refuses(unused_tcp_port: int) -> None:
    with pytest.raises(LinkError, match="refuses") as failed:
        Capture(f"rtsp://127.0.0.1:{unused_tcp_port}/live", user="linli", password="s3cret")
    assert failed.value.reason == "refused"
    assert "s3cret" not in str(failed.value)


def test_addresses() -> None:
    assert with_credentials("rtsp://host:554/a", "me", "p@ss/word") == "rtsp://me:p%40ss%2Fword@host:554/a"
    assert without_credentials("rtsp://me:p%40ss@host:554/a?b=c@d") == "rtsp://host:554/a?b=c@d"
    assert without_credentials("/videos/a@b.mp4") == "/videos/a@b.mp4"
    assert is_stream("rtsp://host/a")
    assert is_stream("/dev/video0")
    assert not is_stream("/videos/a.mp4")
