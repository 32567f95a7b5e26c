"""Cameras and what is looked for in them; coordinates are pixels of the camera's own frame."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from gateway.settings.address import CameraUrl
from gateway.settings.base import Duration, MisfitError, Name, PixelPoint, Polygon, Table
from gateway.settings.parking import GateAction, ZoneSettings

# A line is crossed by a direction as long as it stands at more than about 6 degrees to it.
SLANT = 0.1
STOREY = 2.9  # metres, of a residential tower
LEAST_WIDE, LEAST_TALL = 8, 2  # pixels of the frame that a wall is wide, and a floor is tall
IN_PIXELS = "give corners in pixels of the camera's own picture, no shares of it"
SHORT_SIDE = 540  # pixels: small dark things are seen better at it than at 1080

Purpose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2)]


class LaneSettings(Table):
    """A lane: crossing ``line`` in the direction ``enter`` is ``in``, the other way ``out``."""

    name: Name = Field(description="the lane's name", examples=["main"])
    line: tuple[PixelPoint, PixelPoint] = Field(
        description="the line that vehicles cross, [[x, y], [x, y]] in pixels", examples=[[[300, 700], [1500, 700]]]
    )
    enter: Literal["up", "down", "left", "right"] = Field(description="which way in the picture is `in`")
    one_way: Literal["in", "out"] | None = Field(
        default=None, description="the only way that is allowed; the other raises the event `wrong-way`"
    )

    @model_validator(mode="after")
    def _crossable(self) -> Self:
        (x1, y1), (x2, y2) = self.line
        if (x1, y1) == (x2, y2):
            raise MisfitError("line begins and ends at the same pixel; draw it across the lane", "line")
        across, along, ways = abs(x2 - x1), abs(y2 - y1), "left or right"
        if self.enter in ("left", "right"):
            across, along, ways = along, across, "up or down"
        if across < SLANT * along:
            raise MisfitError(
                f'enter = "{self.enter}" runs along the line; a line drawn like this is crossed {ways}', "enter"
            )
        return self


class ListSettings(Table):
    """``lists``: CSV files of plates."""

    allow: Path | None = Field(default=None, description="CSV file of plates that may pass")
    deny: Path | None = Field(default=None, description="CSV file of plates that raise the event `deny`")


class ClipSettings(Table):
    """``clip``: a video of every passage, from before its first to after its last sight."""

    before: Duration = Field(default=5.0, ge=0, le=60, description="how much to keep from before")
    after: Duration = Field(default=3.0, ge=0, le=60, description="how much to keep from after")


class VehicleSettings(Table):
    """``[camera.vehicles]``: plates and passages."""

    lanes: tuple[LaneSettings, ...] = Field(
        default=(),
        description="lines across the lanes; without them the whole picture is one lane named after the camera",
    )
    lists: ListSettings = Field(default=ListSettings(), description="lists of plates")
    spaces: int | None = Field(default=None, ge=0, description="parking places inside, for occupancy")
    area: Name | None = Field(
        default=None,
        description="the parking area behind this gate, where several gates lead into one; without it, the camera",
        examples=["underground"],
    )
    charging: int | None = Field(default=None, ge=0, description="how many of the places have a charger")
    open: GateAction | None = Field(
        default=None,
        description="what opens for a plate of the allow list",
        examples=[{"write": "barrier.open", "value": True, "for": "1s"}],
    )
    repeat: Duration | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="a plate that goes the same way again so soon, and not back meanwhile, raises the event `repeat`",
        examples=["10m"],
    )
    passback: Literal["off", "mark", "refuse"] = Field(
        default="mark",
        description="where vehicles are counted, a plate that goes in though it is in raises the event `already-in`, "
        "out though it is out `already-out`; refuse: moreover it does not open the gate to go in",
    )
    zones: tuple[ZoneSettings, ...] = Field(default=(), description="where no vehicle may stand for long")
    clip: ClipSettings | None = Field(
        default=None,
        description="keep a video of every passage; needs a model that finds faces, or `unblurred` on the camera",
        examples=[{"before": "5s", "after": "3s"}],
    )


class FacadeSettings(Table):
    """``facade``: the four corners of a plane with equal floors; ground is floor 1."""

    floors: int = Field(ge=1, le=200, description="floors of the facade", examples=[33])
    ground: tuple[PixelPoint, PixelPoint] = Field(
        description="left and right corner at the ground, [[x, y], [x, y]] in pixels",
        examples=[[[410, 1890], [700, 1890]]],
    )
    roof: tuple[PixelPoint, PixelPoint] = Field(
        description="left and right corner at the roof, [[x, y], [x, y]] in pixels", examples=[[[430, 40], [690, 40]]]
    )
    columns: int = Field(default=1, ge=1, le=100, description="flats side by side, counted from 1 at the left")
    storey: float = Field(default=STOREY, ge=2, le=6, description="metres from one floor to the next", examples=[3.2])

    @model_validator(mode="after")
    def _a_plane(self) -> Self:
        ground, roof = self.ground, self.roof
        if not _spans(ground, roof):
            key, fix = next((key, fix) for key, fix, *corners in _slips(ground, roof) if _spans(*corners))
            raise MisfitError(f"ground and roof do not span a wall: {fix}", key)
        across, down = ((sum(p[i] for p in ground) - sum(p[i] for p in roof)) / 2 for i in (0, 1))
        if down < abs(across):
            raise MisfitError(
                "the wall lies on its side or its head in the picture, in which things have to fall down: turn the "
                "camera upright, and give the corners as they lie then",
                "roof",
            )
        for key, (left, right) in (("ground", ground), ("roof", roof)):
            if (wide := math.dist(left, right)) < LEAST_WIDE:
                raise MisfitError(
                    f"the wall is {wide:.2g} pixels wide there, of {LEAST_WIDE} at least; {IN_PIXELS}", key
                )
        if down < LEAST_TALL * self.floors:
            raise MisfitError(
                f"{self.floors} floors in {down:.3g} pixels are not {LEAST_TALL} pixels each; {IN_PIXELS}, or look "
                "from nearer",
                "roof",
            )
        return self


class FallingSettings(Table):
    """``[camera.falling]``: objects thrown or falling from a facade."""

    facade: FacadeSettings | None = Field(default=None, description="where the building stands in the picture")
    ignore: tuple[Polygon, ...] = Field(default=(), description="areas where nothing is looked for, polygons in pixels")
    short_side: int = Field(
        default=SHORT_SIDE,
        ge=270,
        le=1080,
        description="pixels to which the shorter side of the picture is brought before anything is looked for",
        examples=[720],
    )


class CameraSettings(Table):
    """``[[camera]]``: a stream, a V4L2 device or a file; refused without a purpose."""

    name: Name = Field(description="the camera's name", examples=["north-gate"])
    url: CameraUrl = Field(
        min_length=1,
        description="an rtsp:// address, a V4L2 device such as /dev/video0, or a video file",
        examples=["rtsp://camera-1.lan/stream1"],
    )
    purpose: Purpose = Field(
        description="why this camera looks, for the people in the picture: a camera without a purpose is refused",
        examples=["vehicle gate"],
    )
    user: str | None = Field(default=None, min_length=1, description="user name for the camera")
    password_file: Path | None = Field(
        default=None, description="file or systemd credential with the camera's password"
    )
    masks: tuple[Polygon, ...] = Field(
        default=(), description="areas blacked out before anything looks, polygons of at least three [x, y] in pixels"
    )
    unblurred: Purpose | None = Field(
        default=None,
        description="why pictures and clips of this camera need nothing hidden, no face, no plate; without it clips "
        "are made only where a model that finds faces is in use",
        examples=["a barrier seen from above, people pass elsewhere"],
    )
    transport: Literal["tcp", "udp"] = Field(default="tcp", description="what carries an rtsp:// stream")
    pace: Literal["real", "free"] = Field(
        default="real", description="a video file is played at its own pace, or at full speed"
    )
    repeat: bool = Field(default=False, description="play a video file again and again")
    vehicles: VehicleSettings | None = Field(default=None, description="look for vehicles and plates")
    falling: FallingSettings | None = Field(default=None, description="look for falling objects")


Edge = tuple[PixelPoint, PixelPoint]


def _spans(ground: Edge, roof: Edge) -> bool:
    """Whether these are the edges of a wall: left before right in both, and no corner inside of the others."""
    corners = (*ground, roof[1], roof[0])
    return all(_turn(corners[i], corners[(i + 1) % 4], corners[(i + 2) % 4]) < 0 for i in range(4))


def _slips(ground: Edge, roof: Edge) -> Iterator[tuple[str, str, Edge, Edge]]:
    """What may have been confused: the key, what to do, and the edges without it; the last one fits everything."""
    turned_ground, turned_roof = (ground[1], ground[0]), (roof[1], roof[0])
    yield "roof", "the corners of the roof are exchanged, give the left one first", ground, turned_roof
    yield "ground", "the corners at the ground are exchanged, give the left one first", turned_ground, roof
    if ground[0][1] + ground[1][1] > roof[0][1] + roof[1][1]:
        yield "ground", "left and right are exchanged in both, give the left corner first", turned_ground, turned_roof
    yield "roof", "the roof lies below the ground (y is counted from the top), exchange the two", roof, ground
    yield "ground", "give left then right for both, with the roof above the ground", ((0, 1), (1, 1)), ((0, 0), (1, 0))


def _turn(a: PixelPoint, b: PixelPoint, c: PixelPoint) -> float:
    """Twice the signed area of a triangle, y pointing down; negative when a, b, c turn left on the screen."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
