"""Examines one camera: what it sends, how regularly, how well it shows plates, and what looking at it will cost."""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gateway.contract import LinkError
from gateway.settings import CameraSettings
from gateway.vision.address import is_stream
from gateway.vision.aim import (
    BLIND,
    CLEAR,
    COARSE,
    DIM,
    ENOUGH,
    LEAST,
    MUCH_BURNT,
    MUCH_DARK,
    PLATE_BURNT,
    SOFT,
    TILTED,
    Aim,
    drawn,
    edges,
    light,
    outside,
    plate_size,
)
from gateway.vision.capture import Capture, Frame
from gateway.vision.drawn_for import MaskedSize
from gateway.vision.messages import PlateSize
from gateway.vision.plates import FoundPlate
from gateway.vision.ring import Coded

if TYPE_CHECKING:
    from gateway.vision.watchers import FallWatcher

MOST_BYTES = 64 << 20  # of packets that are kept for the examination
LOOK_EVERY = 0.4  # seconds of the stream between two looks for plates
KEY_GOOD, KEY_MOST = 1.05, 6.0  # seconds between key frames; beyond the second a lane is never left to them
RATES = {"vehicles": (12.0, 8.0), "falling": (20.0, 12.0)}  # frames a second: good, least
GAP = 1.9  # times the usual step from which frames are missing
LOST = (0.005, 0.05)  # shares of the frames: said, too many
FEW = 3  # frames missing, or repeated, below which their share says nothing: one of 150 happens to every camera
CLOCK = 0.03  # a camera's clock may be off by this share against ours
REPEATED = 0.02  # share of frames that repeat the one before
BITS = 0.02  # bits a pixel below which an encoder washes plates out; a rule of thumb
PIXELS = 4_200_000  # of a frame beyond which more costs and brings nothing
CORE = (0.5, 1.0)  # shares of a core: said, too much
CODECS = ("h264", "hevc")

Level = Literal["good", "warn", "bad"]


class Check(NamedTuple):
    """One line of the page: what was examined, how it is, the figure, and what to do (empty when it is good)."""

    name: str
    level: Level
    value: str
    advice: str = ""


@dataclass(slots=True)
class Stream:
    """What came: packets with their own stamps (seconds, None without one), and over how long (our clock, s)."""

    packets: list[Coded]
    stamps: list[float | None]
    took: float
    codec: str
    live: bool


@dataclass(slots=True)
class Looks:
    """What the pictures showed: one entry a look, costs in CPU seconds."""

    frames: int = 0
    repeated: int = 0
    size: tuple[int, int] = (0, 0)
    light: list[tuple[int, float, float]] = field(default_factory=list)
    sharp: list[float] = field(default_factory=list)
    plates: list[PlateSize] = field(default_factory=list)
    decode: float = 0.0
    looks: int = 0
    look: float = 0.0
    watch: float = 0.0
    best: tuple[Frame, list[FoundPlate]] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict on a camera: every check, and the picture (JPEG) with lanes and plate sizes drawn in.

    The picture is empty where masks would not hide what they are to hide.
    """

    checks: tuple[Check, ...]
    picture: bytes

    @property
    def level(self) -> Level:
        """The worst of the checks."""
        return max((check.level for check in self.checks), key=("good", "warn", "bad").index)


def examine(
    camera: CameraSettings,
    models: Path,
    password: str = "",
    seconds: float = 10.0,
    providers: Sequence[str] = (),
    views: Path | None = None,
) -> Report:
    """Take ``seconds`` of a camera's stream and judge it; LinkError when it gives nothing.

    ``views`` is where the gateway keeps the size of the pictures that masks and facades were drawn in.
    """
    capture = Capture(camera.url, user=camera.user, password=password, masks=camera.masks, transport=camera.transport)
    try:
        stream = _take(capture, is_stream(camera.url), seconds)
        aim = Aim(camera, models, providers)
        looks = _look(capture, stream, aim, _fall_watcher(camera, models, providers))
    finally:
        capture.close()
    if looks.best is None:
        raise LinkError(f"{camera.name} gives no picture that can be decoded; check codec and cable", "not_playable")
    misfit = MaskedSize(camera, views, read_only=True).misfit(looks.size)
    checks = [
        *_of_stream(camera, stream, looks, capture.period),
        *_of_pictures(camera, looks, aim, misfit),
        *_of_facade(camera, looks.size, views),
        _cost(camera, stream, looks),
    ]
    frame, found = looks.best
    wide = CLEAR if camera.unblurred is not None else COARSE if aim.sees else BLIND
    return Report(tuple(checks), b"" if misfit else drawn(frame.bgr, camera, found, wide))


def _take(capture: Capture, live: bool, seconds: float) -> Stream:
    """Only take what comes: decoding beside it would make a slow machine look like a bad camera."""
    packets: list[Coded] = []
    stamps: list[float | None] = []
    size = 0
    began = time.monotonic()
    try:
        for coded in capture.packets(start=None if live else 0):
            packet = coded.packet
            stamp = packet.pts if packet.pts is not None else packet.dts
            packets.append(coded)
            stamps.append(None if stamp is None else float(stamp * packet.time_base))
            size += coded.size
            if size > MOST_BYTES or (coded.arrived - packets[0].arrived if live else coded.time) >= seconds:
                break
    except LinkError:
        if not packets:
            raise
    first = packets[0].arrived if packets else began
    return Stream(packets, stamps, (packets[-1].arrived - first) if packets else 0.0, capture.codec, live)


def _fall_watcher(camera: CameraSettings, models: Path, providers: Sequence[str]) -> "FallWatcher | None":
    """What looks at every frame where things may fall, as it costs the most there; it tells nobody."""
    if camera.falling is None:
        return None
    from gateway.vision.watchers import FallWatcher

    return FallWatcher(camera, models, providers)


def _look(capture: Capture, stream: Stream, aim: Aim, falls: "FallWatcher | None") -> Looks:
    looks = Looks()
    last = -LOOK_EVERY
    before = b""
    for coded in [*stream.packets, None]:
        began = time.thread_time()
        frames = capture.decode(coded) if coded is not None else capture.drain()
        looks.decode += time.thread_time() - began
        for frame in frames:
            looks.frames += 1
            looks.size = (frame.width, frame.height)
            trace = frame.luma[::16, ::16].tobytes()
            looks.repeated += trace == before
            before = trace
            if falls is not None:
                began = time.thread_time()
                falls.look(frame, frame.wall)
                looks.watch += time.thread_time() - began
            if frame.time - last >= LOOK_EVERY:
                last = frame.time
                _look_at(frame, aim, looks)
    return looks


def _look_at(frame: Frame, aim: Aim, looks: Looks) -> None:
    looks.light.append(light(frame.luma))
    looks.sharp.append(edges(frame.luma))
    began = time.thread_time()
    found = aim.plates(frame)
    looks.look += time.thread_time() - began
    looks.looks += 1
    looks.plates += [plate_size(frame.bgr, plate) for plate in found]
    widest = max((plate.width for plate in found), default=0.0)
    if looks.best is None or widest > max((plate.width for plate in looks.best[1]), default=0.0):
        looks.best = (frame, found)


# ----------------------------------------------------------------------------------------------------- the stream


def _of_stream(camera: CameraSettings, stream: Stream, looks: Looks, period: float) -> list[Check]:
    steps = _steps(stream)
    step = statistics.median(steps) if steps else period
    falls = camera.falling is not None
    checks = [_size(looks.size), _codec(stream.codec, falls=falls), _rate(camera, step, period)]
    keys = [coded.time for coded in stream.packets if coded.key]
    spread = stream.packets[-1].time - stream.packets[0].time if stream.packets else 0.0
    checks.append(_key_distance(keys, spread, falls=falls))
    checks.append(_bit_rate(stream, spread, looks.size, step))
    checks.append(_stamps(stream, spread))
    checks.append(_losses(steps, step, looks))
    return checks


def _steps(stream: Stream) -> list[float]:
    """The sender's steps from frame to frame in the order shown, s."""
    known = sorted({stamp for stamp in stream.stamps if stamp is not None})
    return [after - before for before, after in itertools.pairwise(known)]


def _size(size: tuple[int, int]) -> Check:
    text = f"{size[0]} x {size[1]}"
    if size[0] * size[1] > PIXELS:
        return Check("size", "warn", text, "more pixels than are of use: 1920 x 1080 costs far less CPU")
    if min(size) < 480:
        return Check("size", "warn", text, "a small picture: choose the camera's main stream, not its second one")
    return Check("size", "good", text)


def _codec(codec: str, *, falls: bool) -> Check:
    if codec in CODECS:
        return Check("codec", "good", codec)
    less = "it costs the least" if falls else "an idle lane then costs next to nothing"
    return Check("codec", "warn", codec, f"set the camera to H.264: {less}")


def _rate(camera: CameraSettings, step: float, period: float) -> Check:
    rate = 1.0 / step if step > 0 else 0.0
    good, least = RATES["falling" if camera.falling is not None else "vehicles"]
    text = f"{rate:.1f} a second"
    if rate < least:
        return Check("frames", "bad", text, f"set the camera to {good:g} frames a second or more")
    if rate < good:
        return Check("frames", "warn", text, f"{good:g} frames a second or more see what is fast")
    if abs(rate * period - 1.0) > 0.1:
        return Check("frames", "warn", text, f"the camera says {1 / period:.1f}: it cannot keep its own rate")
    return Check("frames", "good", text)


def _key_distance(keys: Sequence[float], spread: float, *, falls: bool) -> Check:
    gaps = [after - before for before, after in itertools.pairwise(keys)]
    widest = max(gaps, default=spread)
    text = f"{widest:.1f} s" if gaps else f"more than {spread:.1f} s"
    if widest > KEY_MOST:
        return Check("key frames", "bad", text, "set the key-frame distance (I frame interval, GOP) to 1 s")
    if widest > KEY_GOOD:
        sooner = "" if falls else "passages are told sooner, "
        return Check("key frames", "warn", text, f"1 s is better: {sooner}clips begin where they should")
    return Check("key frames", "good", text)


def _bit_rate(stream: Stream, spread: float, size: tuple[int, int], step: float) -> Check:
    bits = sum(coded.size for coded in stream.packets) * 8 / max(spread + step, 0.04)
    text = f"{bits / 1e6:.1f} Mb/s"
    if bits * step / max(1, size[0] * size[1]) < BITS and stream.codec in CODECS:
        return Check(
            "bit rate", "warn", text, "little for this size: what moves may be washed out; raise it if plates are"
        )
    return Check("bit rate", "good", text)


def _stamps(stream: Stream, spread: float) -> Check:
    known = [stamp for stamp in stream.stamps if stamp is not None]
    missing = len(stream.stamps) - len(known)
    same = len(known) - len(set(known))
    if missing or same:
        text = f"{missing} missing, {same} twice"
        return Check("time stamps", "warn", text, "times of records come from arrival where stamps are useless")
    if stream.live and stream.took > 2.0:
        off = spread / stream.took - 1.0
        if abs(off) > CLOCK:
            text = f"its clock runs {off:+.0%} against ours"
            return Check(
                "time stamps", "warn", text, "falling speeds are measured by it: update the camera or set its rate"
            )
    return Check("time stamps", "good", "sound")


def _losses(steps: Sequence[float], step: float, looks: Looks) -> Check:
    lost = sum(round(one / step) - 1 for one in steps if one > GAP * step) if step > 0 else 0
    share = lost / max(1, lost + len(steps))
    repeated = looks.repeated / max(1, looks.frames)
    text = f"{lost} of {lost + len(steps) + 1} missing, {looks.repeated} repeated"
    if lost >= FEW and share > LOST[1]:
        return Check("lost frames", "bad", text, "check cable, switch and Wi-Fi; RTSP over TCP loses none on the way")
    if (lost >= FEW and share > LOST[0]) or (looks.repeated >= FEW and repeated > REPEATED):
        return Check("lost frames", "warn", text, "the camera or the network cannot keep up: lower size or rate")
    return Check("lost frames", "good", text)


# ----------------------------------------------------------------------------------------------------- the pictures


def _of_pictures(camera: CameraSettings, looks: Looks, aim: Aim, misfit: str) -> list[Check]:
    checks = [_exposure(looks.light), _sharpness(looks.sharp, "plates are" if camera.vehicles else "things may fall")]
    area = outside(camera, looks.size)
    if misfit:
        checks.append(Check("areas", "bad", *misfit.split(": ", 1)))
    elif area:
        checks.append(Check("areas", "bad", f"{area} is outside", "draw it anew for this picture size"))
    elif camera.masks or (camera.vehicles and camera.vehicles.lanes):
        checks.append(Check("areas", "good", "lanes and masks lie in the picture"))
    if camera.vehicles is not None:
        checks.append(_plates(looks.plates, aim.sees))
    return checks


def _exposure(lights: Sequence[tuple[int, float, float]]) -> Check:
    middle, dark, burnt = (statistics.median(column) for column in zip(*lights, strict=True))
    text = f"middle {middle:.0f} of 255, {dark:.0%} black, {burnt:.0%} burnt out"
    if middle < DIM or dark > MUCH_DARK:
        return Check("exposure", "warn", text, "add light; a longer exposure blurs what moves")
    if burnt > MUCH_BURNT:
        return Check("exposure", "warn", text, "turn it away from sky and lamps, or shorten the exposure")
    return Check("exposure", "good", text)


def _sharpness(values: Sequence[float], where: str) -> Check:
    value = statistics.median(values)
    if value < SOFT:
        return Check("sharpness", "warn", f"{value:.3f}", f"below {SOFT}: focus on where {where}, clean the lens")
    return Check("sharpness", "good", f"{value:.3f}")


def _plates(plates: Sequence[PlateSize], sees: bool) -> Check:
    if not sees:
        return Check("plates", "warn", "not looked for", "the model pack is missing: linli model pull, then test again")
    if not plates:
        return Check(
            "plates", "warn", "none seen", "test again while a car drives through: linli camera test --seconds 60"
        )
    widths = sorted(plate.width for plate in plates)
    widest = max(plates, key=lambda plate: plate.width)
    text = f"{len(plates)} seen, {widths[0]:.0f} to {widths[-1]:.0f} px wide"
    if widths[-1] < LEAST:
        return Check(
            "plates", "bad", text, f"{ENOUGH:.0f} px are needed ({LEAST:.0f} at least): zoom in or move closer"
        )
    if widths[-1] < ENOUGH:
        return Check("plates", "warn", text, f"{ENOUGH:.0f} px are better: zoom in a little")
    if widest.burnt > PLATE_BURNT:
        return Check("plates", "warn", f"{text}, burnt out", "dim the infrared light, or use highlight compensation")
    if abs(widest.tilt) > TILTED:
        return Check("plates", "warn", f"{text}, tilted by {widest.tilt:.0f}°", "level the camera, or mount it nearer")
    return Check("plates", "good", text)


def _of_facade(camera: CameraSettings, size: tuple[int, int], views: Path | None) -> list[Check]:
    if camera.falling is None:
        return []
    from gateway.vision.falling.fitness import facade_judged

    return [Check("facade", *facade_judged(camera, size, views))]


def _cost(camera: CameraSettings, stream: Stream, looks: Looks) -> Check:
    spread = max(0.04, stream.packets[-1].time - stream.packets[0].time)
    busy = looks.decode / spread
    share = busy + looks.watch / spread
    if camera.vehicles is not None or camera.falling is None:
        share += 5.0 * looks.look / max(1, looks.looks)
    when = "at all times" if camera.falling is not None else "while something moves"
    text = f"{share:.0%} of a core {when} ({busy:.0%} of it decoding)"
    if share > CORE[1]:
        return Check("CPU", "bad", text, "this machine cannot follow it: lower its size or rate")
    if share > CORE[0]:
        return Check("CPU", "warn", text, "few cameras of this kind fit: a smaller size or rate is cheaper")
    return Check("CPU", "good", text)


def as_json(report: Report) -> dict[str, Any]:
    """The verdict as JSON values, without the picture."""
    return {"verdict": report.level, "checks": [check._asdict() for check in report.checks]}
