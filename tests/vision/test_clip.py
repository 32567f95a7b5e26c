"""Clips: joined from packets where nothing is hidden, masked and encoded where something is."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gateway.vision.clip import ClipError, make_clip
from gateway.vision.clips import OWED, Clips
from gateway.vision.messages import Clip
from gateway.vision.ring import PacketRing
from tests.vision.coded import SECOND, coded, packets_of, write_small_clip

LEFT = [[(0, 0), (160, 0), (160, 240), (0, 240)]]


def shown(mp4: bytes, path: Path) -> list[Any]:
    path.write_bytes(mp4)
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize("bframes", ["0", "3"])
def test_what_is_joined_is_what_came(bframes: str, tmp_path: Path) -> None:
    capture, packets = packets_of(write_small_clip(tmp_path / "c.mp4", 3.0, (1, 2), bf=bframes))
    kept = packets[25:]
    assert kept[0].key
    frames = shown(make_clip(kept, capture.stream, (), 0), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "c.mp4")) as container:
        first = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)][25]
    assert len(frames) == 50
    assert np.array_equal(frames[0][1], first)  # the very pixels: nothing was encoded anew
    assert [time for time, _ in frames] == pytest.approx([index / 25 for index in range(50)], abs=0.005)


def test_a_mask_is_burnt_in_and_the_clip_begins_where_it_should(tmp_path: Path) -> None:
    capture, packets = packets_of(write_small_clip(tmp_path / "c.mp4", 3.0, (1, 2)))
    frames = shown(make_clip(packets[25:], capture.stream, LEFT, round(1.4 * SECOND)), tmp_path / "out.mp4")
    assert len(frames) == 40
    for _, picture in frames:
        assert picture[:, :150].max() < 40
        assert picture[:, 170:].mean() > 60


def test_pictures_of_a_size_that_the_masks_do_not_fit_are_in_no_clip(tmp_path: Path) -> None:
    capture, packets = packets_of(write_small_clip(tmp_path / "c.mp4", 1.0))
    ring, told = PacketRing(60.0), list[Clip]()
    for each in packets:
        ring.add(each)
    for misfit in ("", "drawn for another size"):
        clips = Clips(ring, LEFT, told.append, None, {(320, 240): misfit}.__getitem__)
        assert clips.ask("a", 0, SECOND)
        clips.tick(capture.stream, over=True)
        clips._maker.shutdown()
    fits, other = told
    assert fits.mp4
    assert (other.mp4, other.trouble) == (b"", "no picture of that time can be decoded and shown")


def test_broken_packets_are_stepped_over(tmp_path: Path) -> None:
    capture, packets = packets_of(write_small_clip(tmp_path / "c.mp4", 2.0))
    noise = av.Packet(np.random.default_rng(1).bytes(packets[30].size))
    packets[30] = packets[30].__class__(noise, 30, 1.2, 0, 0.0, False, packets[30].size)
    assert len(shown(make_clip(packets, capture.stream, LEFT, 0), tmp_path / "out.mp4")) > 40


@pytest.mark.parametrize(("codec", "pixels"), [("rawvideo", "yuyv422"), ("mjpeg", "yuvj422p")])
def test_what_v4l2_cameras_give_becomes_a_clip(codec: str, pixels: str, tmp_path: Path) -> None:
    path = tmp_path / "c.avi"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, pixels
        for level in range(60, 160, 10):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), level, np.uint8), format="bgr24")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    capture, packets = packets_of(path)
    frames = shown(make_clip(packets, capture.stream, (), 0), tmp_path / "out.mp4")
    assert [round(float(picture.mean()), -1) for _, picture in frames] == list(range(60, 160, 10))


def test_no_packets_no_clip(tmp_path: Path) -> None:
    capture, _ = packets_of(write_small_clip(tmp_path / "c.mp4", 0.2))
    with pytest.raises(ClipError, match="no picture"):
        make_clip([], capture.stream, (), 0)


def test_a_clip_waits_for_its_end_and_comes_once(tmp_path: Path) -> None:
    capture, packets = packets_of(write_small_clip(tmp_path / "c.mp4", 4.0))
    told: list[Clip] = []
    ring = PacketRing(60.0)
    clips = Clips(ring, (), told.append)
    assert clips.ask("one", round(1.2 * SECOND), round(2.0 * SECOND))
    for one in packets:
        ring.add(one)
        clips.tick(capture.stream)
        assert one.time >= 2.0 or not clips.making
    while clips.making:
        pass
    clips.tick(capture.stream, over=True)
    assert [(clip.token, clip.begin, clip.end, clip.trouble) for clip in told] == [("one", SECOND, 2 * SECOND, "")]


def test_what_is_owed_at_the_end_is_made_of_what_is_there(tmp_path: Path) -> None:
    capture, packets = packets_of(write_small_clip(tmp_path / "c.mp4", 1.0))
    told: list[Clip] = []
    ring = PacketRing(60.0)
    clips = Clips(ring, (), told.append)
    clips.ask("late", 0, 100 * SECOND)
    for one in packets:
        ring.add(one)
    clips.tick(capture.stream, over=True)
    while clips.making:
        pass
    assert len(shown(told[0].mp4, tmp_path / "out.mp4")) == 25


def test_too_many_at_once_are_refused_with_a_word() -> None:
    told: list[Clip] = []
    clips = Clips(PacketRing(1.0), (), told.append)
    assert all(clips.ask(str(number), 0, SECOND) for number in range(OWED + 1))
    assert not told  # whoever asked has to know the token first
    clips.tick(None)
    clips.tick(None)
    assert [(clip.token, clip.mp4) for clip in told] == [(str(OWED), b"")]
    assert told[0].trouble == (
        f"{OWED} others were owed already, more than this machine makes in time; "
        "have fewer vehicles or alarms make one, or shorten before and after"
    )


def test_who_has_to_hide_something_is_told_what_that_costs() -> None:
    told: list[Clip] = []
    clips = Clips(PacketRing(1.0), LEFT, told.append)
    for number in range(OWED + 1):
        clips.ask(str(number), 0, SECOND)
    clips.tick(None)
    assert "a smaller picture or a faster machine helps" in told[0].trouble


def test_a_maker_that_fails_in_a_way_nobody_knew_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> bytes:
        raise MemoryError("no room")

    monkeypatch.setattr("gateway.vision.clips.make_clip", breaks)
    told: list[Clip] = []
    clips = Clips(PacketRing(1.0), (), told.append)
    clips.ask("one", 0, SECOND)
    clips.tick(None, over=True)
    while clips.making:
        pass
    clips.tick(None)
    assert [(clip.token, "no room" in clip.trouble) for clip in told] == [("one", True)]


def test_a_clip_that_cannot_be_made_says_why() -> None:
    told: list[Clip] = []
    ring = PacketRing(1.0)
    ring.add(coded(1))  # no key frame
    clips = Clips(ring, (), told.append)
    clips.ask("none", 0, SECOND)
    clips.tick(None, over=True)
    while clips.making:
        pass
    assert told[0].mp4 == b""
    assert "no picture" in told[0].trouble
