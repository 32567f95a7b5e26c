"""Frames from a file, an RTSP stream or a V4L2 device through PyAV: luma first, colour only when asked for."""

import stat
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import av.error
import av.logging
import numpy as np

from gateway.contract import LinkError
from gateway.vision.address import STREAMS, with_credentials, without_credentials
from gateway.vision.evidence import Pixels, burn
from gateway.vision.ring import Coded
from gateway.vision.timeline import Timeline

OPEN_SECONDS = 6.0  # with the start of a worker on a busy machine nothing hangs for 10 s
PROBE = 1_500_000  # microseconds looked at to know a rate; where stamps stand still, it would be five seconds
READ_SECONDS = 7.0
BROKEN_PACKETS = 250  # in a row, before a stream counts as broken
KEYLESS = 10.0  # seconds that a first key frame is waited for; some cameras refresh a picture bit by bit and have none
STEP = 0.001  # seconds between two pictures at least
UNFINISHED = 64  # packets of which a decoder may still owe the picture
# The luma plane comes first and has 8 bits in these; anything else is converted.
LUMA_FIRST = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv21", "gray"})

av.logging.set_level(None)  # libav prints addresses with passwords


class Frame:
    """One picture: its time (seconds of the stream), its wall time (ns since 1970) and, on demand, its masked pixels.

    ``index`` counts the camera's pictures, also those that nobody looked at. ``arrived``: monotonic, 0 if not known.
    """

    __slots__ = ("_bgr", "_luma", "_masks", "_video", "arrived", "index", "time", "wall")

    def __init__(
        self,
        video: av.VideoFrame,
        seconds: float,
        index: int,
        masks: Sequence[Sequence[tuple[float, float]]],
        wall: int = 0,
        arrived: float = 0.0,
    ) -> None:
        self._video, self.time, self.index, self._masks, self.wall = video, seconds, index, masks, wall
        self.arrived = arrived
        self._luma: Pixels | None = None
        self._bgr: Pixels | None = None

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self._video.width)

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self._video.height)

    @property
    def luma(self) -> Pixels:
        """Brightness (height, width) with the masks burnt in; without masks a view into the decoder's own plane."""
        if self._luma is None:
            if self._video.format.name in LUMA_FIRST:
                plane = self._video.planes[0]
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                luma: Pixels = rows[: self.height, : self.width]
            else:
                luma = np.asarray(self._video.to_ndarray(format="gray"), np.uint8)
            self._luma = burn(luma.copy(), self._masks) if self._masks else luma
        return self._luma

    @property
    def bgr(self) -> Pixels:
        """Colours (height, width, 3), masks burnt in; converted on first use."""
        if self._bgr is None:
            self._bgr = burn(np.asarray(self._video.to_ndarray(format="bgr24"), np.uint8), self._masks)
        return self._bgr


class Capture:
    """One opened camera or file: ``packets`` as they are, ``decode`` and ``alone`` make pictures of them.

    ``frames`` does both to the end. Close it when done.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str = "",
        masks: Sequence[Sequence[tuple[float, float]]] = (),
        transport: str = "tcp",
    ) -> None:
        """Open; LinkError says what to do when that fails. ``transport`` is what carries RTSP: tcp or udp."""
        self._masks = masks
        try:
            self._shown = without_credentials(url)
            target, options, kind = _target(url, user, password, transport)
        except ValueError as error:
            raise LinkError(
                f"the camera's url is malformed: {error}; write rtsp://HOST/PATH or a file", "url"
            ) from error
        began = time.monotonic()
        try:
            self._container: Any = av.open(
                target, format=kind, options=options, timeout=(OPEN_SECONDS, READ_SECONDS), metadata_errors="replace"
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            # A protocol that was interrupted for being too slow calls that anything, bad data too.
            slow = time.monotonic() - began >= 0.9 * OPEN_SECONDS
            raise _failure(self._shown, TimeoutError() if slow else error) from error
        if not self._container.streams.video:
            self._container.close()
            raise LinkError(f"{self._shown} has no picture in it; give a video stream or a video file", "no_video")
        stream = self._container.streams.video[0]
        decoder = stream.codec_context
        decoder.thread_count = 1
        decoder.thread_type = "NONE"
        # The loop filter costs a fifth of the decoding and smooths what is read.
        decoder.options = {"skip_loop_filter": "all"}
        decoder.copy_opaque = True
        self.stream = stream
        self._decoder = decoder
        self.codec = str(decoder.name)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self._period = float(1 / rate) if 1 <= rate <= 240 else 0.04
        self._fed: dict[int, Coded] = {}
        self.damaged = 0  # frames that could not be decoded, or only in part
        self._broken = 0
        self._headless = True
        self._last: float | None = None
        self._seen: float | None = None

    @property
    def period(self) -> float:
        """Seconds from frame to frame, as far as the container says."""
        return self._period

    def packets(self, index: int = 0, start: int | None = None) -> Iterator[Coded]:
        """Read packet by packet; ``start`` is the wall time (ns) of a file's first picture, None of what is live.

        LinkError when the stream breaks or falls silent for READ_SECONDS.
        """
        timeline = Timeline(self._period)
        source = self._container.demux(self.stream)
        while True:
            try:
                packet = next(source)
            except StopIteration:
                return
            except av.error.InvalidDataError as error:
                self._stumble(error)
                continue
            except (av.error.FFmpegError, OSError) as error:
                raise _failure(self._shown, error) from error
            if not packet.size:
                continue  # the mark of the end
            arrived = time.monotonic()
            stamp = packet.pts if packet.pts is not None else packet.dts
            seconds = timeline.place(
                None if stamp is None else float(stamp * packet.time_base), arrived if start is None else None
            )
            wall = time.time_ns() if start is None else start + round(seconds * 1e9)
            yield Coded(packet, index, seconds, wall, arrived, bool(packet.is_keyframe), int(packet.size))
            index += 1

    def decode(self, coded: Coded) -> list[Frame]:
        """Give the decoder one more packet, and take the pictures that are done, in the order in which they show.

        Broken packets are stepped over; LinkError when there is nothing else.
        """
        if self._headless and not coded.key and coded.time < KEYLESS:
            return []
        self._headless = False
        self._fed[coded.index] = coded
        if len(self._fed) > UNFINISHED:
            del self._fed[next(iter(self._fed))]
        coded.packet.opaque = coded.index
        try:
            pictures = self._decoder.decode(coded.packet)
        except av.error.FFmpegError as error:
            self._stumble(error)
            return []
        return self._framed(pictures, coded)

    def alone(self, coded: Coded) -> Frame | None:
        """Decode a key frame by itself; None when it is broken. It counts as shown when ``skip`` is told so."""
        coded.packet.opaque = coded.index
        try:
            pictures = [*self._decoder.decode(coded.packet), *self._decoder.decode(None)]
        except av.error.FFmpegError as error:
            self._stumble(error)
            pictures = []
        self._decoder.flush_buffers()
        self._fed.clear()
        if not pictures:
            return None
        self._broken = 0
        return Frame(pictures[-1], self._onward(coded.time), coded.index, self._masks, coded.wall, coded.arrived)

    def skip(self, frame: Frame, coded: Coded) -> None:
        """This picture has been shown: what is decoded again up to it is not shown twice."""
        self._last, self._seen = frame.time, coded.time

    def drain(self) -> list[Frame]:
        """Take the pictures that the decoder still holds back; afterwards it begins at a key frame."""
        try:
            pictures = self._decoder.decode(None)
        except av.error.FFmpegError as error:
            self._stumble(error)
            pictures = []
        frames = self._framed(pictures, None)
        self._decoder.flush_buffers()
        self._fed.clear()
        return frames

    def frames(self, index: int = 0) -> Iterator[Frame]:
        """Decode frame by frame, times never going back; broken packets are stepped over.

        LinkError when the stream breaks, falls silent for READ_SECONDS, or holds no frame that can be decoded.
        """
        for coded in self.packets(index, start=0):
            yield from self.decode(coded)
        yield from self.drain()
        self.check()

    def check(self) -> None:
        """LinkError if not one picture could be decoded so far."""
        if self._last is None:
            raise LinkError(f"{self._shown} holds no frame that can be decoded; give another file", "not_playable")

    def _framed(self, pictures: Sequence[av.VideoFrame], newest: Coded | None) -> list[Frame]:
        frames = []
        for picture in pictures:
            self._broken = 0
            self.damaged += picture.is_corrupt
            number = picture.opaque
            coded = self._fed.pop(number, None) if isinstance(number, int) else newest
            if coded is None:
                continue
            if self._seen is not None:
                if coded.time <= self._seen:
                    continue
                self._seen = None
            self._last = self._onward(coded.time)
            frames.append(Frame(picture, self._last, coded.index, self._masks, coded.wall, coded.arrived))
        return frames

    def _onward(self, seconds: float) -> float:
        """Cameras repeat and mix up time stamps; a small step keeps the order, whatever the true rate is."""
        return max(seconds, 0.0) if self._last is None else max(seconds, self._last + STEP)

    def _stumble(self, error: av.error.FFmpegError) -> None:
        self._broken += 1
        self.damaged += 1
        if self._broken > BROKEN_PACKETS:
            raise _failure(self._shown, error) from error

    def close(self) -> None:
        """Let go of the camera or file."""
        self._container.close()


def _target(url: str, user: str | None, password: str, transport: str) -> tuple[str, dict[str, str], str | None]:
    scheme = urlsplit(url).scheme
    if scheme in STREAMS:
        options = {"analyzeduration": str(PROBE)}
        if scheme.startswith("rtsp"):
            options |= {"rtsp_transport": transport, "fflags": "nobuffer"}
        return with_credentials(url, user, password), options, None
    path = Path(url.removeprefix("file://"))
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise LinkError(f"{path}: {error.strerror}; check the camera's url", "not_found") from error
    if stat.S_ISCHR(mode):
        return str(path), {}, "v4l2"
    if not stat.S_ISREG(mode):
        raise LinkError(f"{path} is neither a file nor a camera device; check the camera's url", "not_playable")
    if path.stat().st_size == 0:
        raise LinkError(f"{path} is empty; give a video file", "not_playable")
    # Without the prefix a colon in the name would be a protocol; a playlist must not reach out to the network.
    return f"file:{path}", {"protocol_whitelist": "file,crypto,data"}, None


def _failure(shown: str, error: Exception) -> LinkError:
    """Say what happened without libav's own text, which quotes the address with the password."""
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return LinkError(f"{shown} refuses the login; check user and password_file", "unauthorized")
    if isinstance(error, av.error.HTTPNotFoundError):
        return LinkError(f"{shown}: the camera knows no such stream; check the path in url", "not_found")
    if isinstance(error, av.error.ExitError | TimeoutError):
        return LinkError(f"{shown} does not answer; check the camera's power, cable and address", "timeout")
    if isinstance(error, av.error.InvalidDataError) and "://" in shown:
        sentence = f"{shown} hangs up, or answers with what is no video stream; check address, port and path"
        return LinkError(sentence, "not_playable")
    if isinstance(error, av.error.InvalidDataError):
        sentence = f"{shown} is no video that can be played: of no known kind, or cut off; copy it anew or give another"
        return LinkError(sentence, "not_playable")
    if isinstance(error, ConnectionError):
        return LinkError(f"{shown} refuses or drops the connection; check address, port and network", "refused")
    if isinstance(error, PermissionError):
        return LinkError(f"{shown} may not be read by this user; give it the rights (group video)", "forbidden")
    if isinstance(error, av.error.EOFError):
        return LinkError(f"{shown} closed the stream; check the camera", "closed")
    text = getattr(error, "strerror", None) or type(error).__name__
    return LinkError(f"{shown} cannot be opened or broke off: {text}; check url and camera", "unreachable")
