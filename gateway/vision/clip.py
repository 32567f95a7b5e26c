"""Makes clips: as they came where nothing has to be hidden, else decoded, masked, blurred and encoded once."""

import io
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import av.error

from gateway.vision.capture import Frame
from gateway.vision.conceal import Concealer, UnhiddenError, hide, shrunk
from gateway.vision.drawn_for import Size
from gateway.vision.evidence import Polygons
from gateway.vision.ring import Coded

CONTENT_TYPE, SUFFIX = "video/mp4", "mp4"
TICKS = 90_000
AS_THEY_ARE = frozenset({"h264", "hevc", "av1"})  # what a browser plays from an MP4
ENCODER = {"preset": "superfast", "crf": "26", "threads": "1"}


class ClipError(Exception):
    """There is nothing to make a clip of, or it cannot be made; the text says why."""


def make_clip(
    packets: Sequence[Coded],
    stream: Any,  # noqa: ANN401 - av's stream
    masks: Polygons,
    begin: int,
    concealer: Concealer | None = None,
    own: str = "",
    misfit: Callable[[Size], str] = lambda _: "",
) -> bytes:
    """Make an MP4 of packets of one stream, of which the first is a key frame; ClipError.

    Where nothing has to be hidden it begins at that key frame, else at ``begin`` (ns since 1970). ``concealer`` finds
    the faces and plates that are hidden; plates that read like ``own`` are not. ``misfit`` says why pictures of a size
    may not be shown, which are left out then.
    """
    if not packets:
        raise ClipError("no picture of that time is kept")
    try:
        if not masks and concealer is None and stream.codec_context.name in AS_THEY_ARE:
            try:
                return _joined(packets, stream)
            except (av.error.FFmpegError, ValueError):
                pass  # a stream without its parameter sets in the head: encoded anew, they are there
        return _encoded(packets, stream, masks, begin, concealer, own, misfit)
    except UnhiddenError as error:
        raise ClipError(str(error)) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise ClipError(f"it cannot be encoded: {getattr(error, 'strerror', None) or error}") from error


def _joined(packets: Sequence[Coded], stream: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    shown = [round((coded.time - packets[0].time) * TICKS) for coded in packets]
    order = sorted(shown)
    late = max(early - tick for early, tick in zip(order, shown, strict=True))
    before = None
    with av.open(buffer, "w", format="mp4") as container:
        track: Any = container.add_stream_from_template(stream)
        for coded, tick, early in zip(packets, shown, order, strict=True):
            packet = av.Packet(bytes(coded.packet))
            packet.stream = track
            packet.time_base = Fraction(1, TICKS)
            decoded = early - late if before is None else max(early - late, before + 1)
            packet.pts, packet.dts = max(tick, decoded), decoded
            packet.is_keyframe = coded.key
            before = decoded
            container.mux(packet)
    return buffer.getvalue()


def _encoded(
    packets: Sequence[Coded],
    stream: Any,  # noqa: ANN401
    masks: Polygons,
    begin: int,
    concealer: Concealer | None,
    own: str,
    misfit: Callable[[Size], str],
) -> bytes:
    def frames() -> Iterator[Frame]:
        every = _frames(packets, stream, masks, begin)
        return (frame for frame in every if not misfit((frame.width, frame.height)))

    seconds = packets[-1].time - packets[0].time
    patches = concealer.patches(frames(), seconds, own) if concealer is not None else []
    buffer = io.BytesIO()
    first: float | None = None
    size, last = (0, 0), -1
    with av.open(buffer, "w", format="mp4") as container:
        track: Any = container.add_stream("libx264", rate=25, options=dict(ENCODER))
        track.pix_fmt = "yuv420p"
        track.time_base = track.codec_context.time_base = Fraction(1, TICKS)
        for frame in frames():
            pixels = frame.bgr if concealer is None else shrunk(frame.bgr)
            if first is None:
                first, size = frame.time, (frame.width, frame.height)
                track.width, track.height = pixels.shape[1] // 2 * 2, pixels.shape[0] // 2 * 2
            if (frame.width, frame.height) != size:
                continue  # the camera has changed its resolution, and its masks lie elsewhere
            hide(pixels, patches, frame.time)
            picture = av.VideoFrame.from_ndarray(pixels[: track.height, : track.width].copy(), format="bgr24")
            picture.time_base = Fraction(1, TICKS)
            picture.pts = last = max(last + 1, round((frame.time - first) * TICKS))
            container.mux(track.encode(picture))
        if first is None:
            raise ClipError("no picture of that time can be decoded and shown")
        container.mux(track.encode(None))
    return buffer.getvalue()


def _frames(packets: Sequence[Coded], stream: Any, masks: Polygons, begin: int) -> Iterator[Frame]:  # noqa: ANN401
    """The pictures from ``begin`` on that can be decoded, each masked once it is looked at."""
    known_as: Any = stream.codec_context
    decoder: Any = av.CodecContext.create(known_as.name, "r")
    decoder.extradata = known_as.extradata
    if known_as.width and known_as.height and known_as.pix_fmt:
        # Uncompressed pictures, as V4L2 gives them, do not say these themselves.
        decoder.width, decoder.height, decoder.pix_fmt = known_as.width, known_as.height, known_as.pix_fmt
    decoder.thread_count = 1
    decoder.copy_opaque = True
    known = {coded.index: coded for coded in packets}
    for coded in (*packets, None):
        for video in _decoded(decoder, coded):
            source = known.get(video.opaque) if isinstance(video.opaque, int) else coded
            if source is not None and source.wall >= begin:
                yield Frame(video, source.time, source.index, masks)


def _decoded(decoder: Any, coded: Coded | None) -> list[Any]:  # noqa: ANN401
    if coded is None:
        return list(decoder.decode(None))
    packet = av.Packet(bytes(coded.packet))
    packet.opaque = coded.index
    try:
        return list(decoder.decode(packet))
    except av.error.InvalidDataError:
        return []
