"""What the gateway and a camera's worker process say to each other, and how it goes through the pipe."""

from typing import Any, BinaryIO

import msgspec

from gateway import __version__

# Longer than any picture that leaves: a frame beyond it means that the pipe is out of step.
LONGEST = 64 << 20
RESTART = "restart the gateway: sudo systemctl restart linli"


class Job(msgspec.Struct, frozen=True):
    """Everything a worker needs, on the first line of its standard input; the password never goes by argv.

    ``camera`` is CameraSettings as JSON values, ``models`` the folder of packs, ``keep`` the seconds before an alarm
    that a clip may be asked for, ``providers`` what models run on, ``views`` the folder in which a view is kept.
    ``wary``: the camera could not be opened a moment ago. ``version`` is the gateway's own: a worker of another one,
    installed meanwhile, says so and ends.
    """

    camera: dict[str, Any]
    models: str
    password: str = ""
    keep: float = 0.0
    providers: tuple[str, ...] = ()
    views: str = ""
    wary: bool = False
    version: str = __version__


class Ask(msgspec.Struct, frozen=True, tag=True):
    """A further line of its standard input: make a clip of the ``before`` and ``after`` seconds around now."""

    token: str
    before: float
    after: float


class Peek(msgspec.Struct, frozen=True, tag=True):
    """A further line of its standard input: send a ``View`` of the next frame."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """A further line of its standard input: tell what is open, make the clips that are owed, and end."""


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The first frame is there: its size in pixels and the codec."""

    width: int
    height: int
    codec: str


class Shut(msgspec.Struct, frozen=True, tag=True):
    """The camera cannot be opened, and why; the worker goes on trying."""

    reason: str
    sentence: str


class Beat(msgspec.Struct, frozen=True, tag=True):
    """Alive; frames since the last beat: offered by the camera, looked at, dropped unanalysed.

    ``clips``: whether clips may be made now; ``late``: how long (s) a packet took at most from its arrival to its look.
    """

    offered: int = 0
    looked: int = 0
    dropped: int = 0
    clips: bool = False
    late: float = 0.0


class Listed(msgspec.Struct, frozen=True, tag=True):
    """A plate list (``name``: allow, deny) was read: the first of its ``count`` problems; none names a plate."""

    name: str
    file: str
    problems: tuple[str, ...]
    count: int


class Troubles(msgspec.Struct, frozen=True, tag=True):
    """All that lessens what the camera can do now (short codes and sentences), the most serious first."""

    found: tuple[tuple[str, str], ...]


class Gone(msgspec.Struct, frozen=True, tag=True):
    """The worker's last word: ``ended`` for a file that was played to its end, otherwise why it failed."""

    reason: str
    sentence: str


class Read(msgspec.Struct, frozen=True):
    """One read of one frame: ns since 1970, text, weakest character."""

    time: int
    text: str
    confidence: float


class Picture(msgspec.Struct, frozen=True):
    """A JPEG and the frame it was cut from: its time (ns since 1970) and SHA-256 of its masked BGR pixels."""

    jpeg: bytes
    frame_time: int
    frame_sha256: str


class Passage(msgspec.Struct, frozen=True, tag=True):
    """One vehicle that went through, as ``linli.vehicle.passage.v1``; times in ns since 1970.

    ``status`` is accepted, uncertain or none; ``characters`` holds one confidence for each character of ``text``;
    ``listed`` is allow, deny or empty. ``clip`` names the ``Clip`` that will follow, if one does. ``vehicle_type`` is
    small, large, trailer or unknown. ``told`` is the list that its early word (``Sure``) has named, empty without one.
    ``unread``: it is on none of the lists that are known, but one was never readable.
    """

    lane: str
    direction: str
    text: str
    kind: str
    color: str
    status: str
    characters: tuple[float, ...]
    listed: str
    time: int
    first_time: int
    last_time: int
    picture: Picture | None
    reads: tuple[Read, ...] = ()
    clip: str = ""
    vehicle_type: str = "unknown"
    vehicle_color: str = "unknown"
    told: str = ""
    unread: bool = False


class Clip(msgspec.Struct, frozen=True, tag=True):
    """The clip that was announced as ``token``: MP4 from ``begin`` to ``end`` (ns since 1970), or why there is none.

    ``hidden``: faces and plates were looked for, and what was found is hidden.
    """

    token: str
    mp4: bytes = b""
    begin: int = 0
    end: int = 0
    trouble: str = ""
    hidden: bool = False


class PlateSize(msgspec.Struct, frozen=True):
    """A plate as the installer needs it: width in pixels, tilt in degrees, sharpness, share of it burnt out."""

    width: float
    tilt: float
    sharpness: float
    burnt: float


class View(msgspec.Struct, frozen=True, tag=True):
    """One frame for whoever aims the camera: the picture with lanes and plate sizes, and what was measured in it.

    ``time`` in ns since 1970, the size that of the camera's own frame in pixels, ``middle`` its middle grey level,
    ``dark`` and ``burnt`` shares of it; ``advice`` are words of the page.
    """

    jpeg: bytes
    time: int
    width: int
    height: int
    plates: tuple[PlateSize, ...]
    middle: int
    dark: float
    burnt: float
    sharpness: float
    advice: tuple[str, ...]


class Sure(msgspec.Struct, frozen=True, tag=True):
    """A plate of a list was read surely while its vehicle is still there; its ``Passage`` follows when it is gone.

    ``way``: as far as it moved in the picture, toward, away, left, right or none. ``time``: ns since 1970.
    ``limited``: it may pass, or not, at certain times only. ``arrived``: when its frame came from the camera, seconds
    of the machine's monotonic clock, 0 if that is not known.
    """

    text: str
    listed: str
    way: str
    time: int
    limited: bool = False
    arrived: float = 0.0


class Dwell(msgspec.Struct, frozen=True, tag=True):
    """Something stands in a zone for longer than ``allowed`` s, or has left it (``state`` standing, gone).

    ``since``, ``time`` in ns since 1970; ``box``: left, top, right, bottom in pixels.
    """

    zone: str
    kind: str
    state: str
    since: int
    seconds: float
    allowed: float
    time: int
    box: tuple[int, ...]
    picture: Picture | None


class Stands(msgspec.Struct, frozen=True, tag=True):
    """What was told to stand in a zone does so still (``time`` in ns since 1970): for the rules, not for a record."""

    zone: str
    time: int


class Origin(msgspec.Struct, frozen=True):
    """Where a thing began to fall: floor (ground is 1), column (from 1 at the left), and 90 % of the floors."""

    floor: int
    column: int
    interval: tuple[int, int]


class Fall(msgspec.Struct, frozen=True, tag=True):
    """One object's whole way down, as ``linli.falling_object.v1``; times in ns since 1970, places in pixels.

    Without a facade, or while the camera seems to be moved, ``size_cm``, ``origin`` and ``speed`` (m/s, at the last
    point) are None. ``gravity`` is what the fit found (m/s²), ``terminal`` the speed (m/s) at which drag would hold it.
    ``clip`` as in ``Passage``.
    """

    number: int
    time: int
    trajectory: tuple[tuple[int, float, float], ...]
    size_px: float
    size_cm: float | None
    origin: Origin | None
    speed: float | None
    gravity: float
    terminal: float
    confidence: float
    picture: Picture | None
    clip: str = ""


class Fell(msgspec.Struct, frozen=True, tag=True):
    """Something falls: said as soon as it is clear, for the alarm; its ``Fall`` follows with the same ``number``.

    ``known`` is that fall as far as it was seen by then, without a picture.
    """

    number: int
    known: Fall

    @property
    def time(self) -> int:
        """When it was first seen, ns since 1970."""
        return self.known.time


Message = Opened | Shut | Beat | Listed | Troubles | Gone | Passage | Sure | Dwell | Stands | Clip | View | Fell | Fall
Early = Fell | Sure | Stands  # for the rules alone

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def pack(message: Message) -> bytes:
    """Encode with the length (4 bytes, big-endian) in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


def unpack(body: bytes) -> Message:
    """Decode one message without its length; msgspec.DecodeError or ValidationError when it is none of ours."""
    return _decoder.decode(body)


def send(pipe: BinaryIO, message: Message) -> None:
    """Write one message through; OSError when nobody reads any more."""
    pipe.write(pack(message))
    pipe.flush()
