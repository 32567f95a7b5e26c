"""From a passage's record to a MotorVehicle of GA/T 1400: ids, codes and times as a view library wants them."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import msgspec

from gateway.contract import LinliError, Record
from gateway.settings.core import ViewedCameraSettings
from gateway.uplink.gat1400.picture import Image

PASSAGE = "linli.vehicle.passage.v1"
# View libraries know no zones: their times are China's, whatever zone the gateway's are in.
ZONE = timezone(timedelta(hours=8))
TIME = "%Y%m%d%H%M%S"
SERIALS = 100_000  # an id has room for five digits
IMAGE, MOTOR_VEHICLE = "02", "02"
ID_DIGITS = 48
THE_ONLY_ONE = "00001"  # vehicle of a picture
AUTOMATIC = 1  # InfoKind
UNREAD, NO_PLATE = "-", "无车牌"
UNREAD_BELOW = 0.5
OTHER = "99"
WHOLE_VEHICLE = "01"  # Type of a SubImageInfo

COLOURS: Mapping[str, str] = {
    "black": "1", "white": "2", "grey": "3", "gray": "3", "red": "4", "blue": "5", "yellow": "6", "orange": "7",
    "brown": "8", "green": "9", "purple": "10", "cyan": "11", "pink": "12", "transparent": "13",
}  # fmt: skip
# GA 24.7. What stands on an ordinary plate says nothing of its size; its colour does.
PLATE_CLASSES: Mapping[str, str] = {
    "embassy": "03", "consulate": "04", "trailer": "15", "coach": "16", "police": "23", "armed_police": "31",
    "military": "32", "nev_large": "51", "nev_small": "52",
}  # fmt: skip
ORDINARY_CLASSES: Mapping[str, str] = {"yellow": "01", "blue": "02"}
BORDER_CLASSES: Mapping[str, str] = {"港": "26", "澳": "27"}
NO_PLATE_CLASS = "41"
# GA/T 16.4. Coaches and lorries have a code for each size only, which nobody knows from a picture.
VEHICLE_CLASSES: Mapping[str, str] = {"car": "K33", "motorcycle": "M21"}
# Direction by where it leads to, and the way back.
HEADINGS: Mapping[str, tuple[str, str]] = {
    "east": ("1", "2"), "west": ("2", "1"), "south": ("3", "4"), "north": ("4", "3"), "northeast": ("5", "6"),
    "southwest": ("6", "5"), "southeast": ("7", "8"), "northwest": ("8", "7"),
}  # fmt: skip

Number = Callable[[int], int | str]


class UnsendableError(LinliError):
    """A passage that cannot be told in the standard's terms."""


class Plate(msgspec.Struct):
    """As in the record."""

    text: str | None = None
    kind: str | None = None
    color: str | None = None
    status: str | None = None
    confidence: float = 0.0
    characters: list[float] = []


class Named(msgspec.Struct):
    """A picture that the record names."""

    sha256: str
    content_type: str
    frame_time: str = ""


class Seen(msgspec.Struct):
    """What is known of the vehicle itself."""

    type: str | None = None
    color: str | None = None


class Data(msgspec.Struct):
    """The record's data, as far as it goes."""

    lane: str = ""
    direction: str = ""
    plate: Plate | None = None
    vehicle: Seen | None = None
    picture: Named | None = None


class Event(msgspec.Struct):
    """The record, as far as it goes."""

    source: str
    time: str
    data: Data
    timequality: str = ""
    formersequence: str = ""


class Passage(NamedTuple):
    """A passage on its way: its record, what is in it, and its ids, the same at every try and after every restart."""

    record: Record
    event: Event
    camera: str
    id: str
    source_id: str
    pass_time: str
    shot_time: str


def is_passage(record: Record) -> bool:
    """Whether a record may be a passage; most are none and need not be decoded."""
    return b'"linli.vehicle.passage.v1"' in record.json


def camera_of(record: Record) -> str:
    """Return the camera that a passage is of, empty when the record is none after all."""
    try:
        head = msgspec.json.decode(record.json, type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return head.source.rpartition("/")[2] if head.type == PASSAGE else ""


def read_passage(record: Record, camera: str, device_id: str) -> Passage:
    """Take a passage's record apart and give it its ids; UnsendableError when the standard has no words for it."""
    try:
        event = msgspec.json.decode(record.json, type=Event)
        number = int(event.formersequence or record.sequence)  # salvaged, it keeps the ids that it had
        pass_time = _time(event.time)
        picture = event.data.picture
        shot_time = _time(picture.frame_time) if picture is not None and picture.frame_time else pass_time
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, OverflowError):
        raise UnsendableError("the record does not read as a passage; pull it") from None
    if event.timequality == "unknown":
        raise UnsendableError("its time is not known, and the standard cannot say so; pull the record")
    source_id = f"{device_id}{IMAGE}{shot_time}{number % SERIALS:05d}"
    identity = f"{source_id}{MOTOR_VEHICLE}{THE_ONLY_ONE}"
    return Passage(record, event, camera, identity, source_id, pass_time, shot_time)


def motor_vehicle(
    passage: Passage, camera: ViewedCameraSettings, image: Image | None, number: Number
) -> dict[str, Any]:
    """Make the MotorVehicleObject; ``number`` writes whole numbers as the platform wants them."""
    data = passage.event.data
    width, height = (0, 0) if image is None else (image.width, image.height)
    vehicle = data.vehicle or Seen()
    found: dict[str, Any] = {
        "MotorVehicleID": passage.id,
        "InfoKind": number(AUTOMATIC),
        "SourceID": passage.source_id,
        "TollgateID": camera.tollgate_id,
        "DeviceID": camera.device_id,
        "StorageUrl1": "",
        # The picture is cut to the vehicle.
        "LeftTopX": number(0),
        "LeftTopY": number(0),
        "RightBtmX": number(width),
        "RightBtmY": number(height),
        **_plate(data.plate or Plate()),
        "LaneNo": number(camera.lanes[data.lane]) if data.lane in camera.lanes else None,
        "Direction": _direction(camera, data.direction),
        "VehicleClass": VEHICLE_CLASSES.get(vehicle.type or ""),
        "VehicleColor": COLOURS.get(vehicle.color or "", OTHER),
        "PassTime": passage.pass_time,
        "SubImageList": None if image is None else {"SubImageInfoObject": [_image(passage, camera, image, number)]},
    }
    return {name: value for name, value in found.items() if value is not None}


def _plate(plate: Plate) -> dict[str, str]:
    text = plate.text or ""
    if not text or plate.status == "none":
        return {"HasPlate": "0", "PlateClass": NO_PLATE_CLASS, "PlateColor": OTHER, "PlateNo": NO_PLATE}
    found = {"HasPlate": "1", "PlateClass": _plate_class(plate, text)}
    found["PlateColor"] = COLOURS.get(plate.color or "", OTHER)
    found["PlateNo"] = plate_no(plate)
    found["PlateReliability"] = _percent(plate.confidence)
    if len(plate.characters) == len(text) and UNREAD not in found["PlateNo"]:
        pairs = zip(text, plate.characters, strict=True)
        found["PlateCharReliability"] = ",".join(f"{symbol}-{_percent(share)}" for symbol, share in pairs)
    return found


def plate_no(plate: Plate) -> str:
    """Write a plate's text; of an uncertain one, what was hardly read is left open."""
    text = plate.text or ""
    if plate.status != "uncertain" or len(plate.characters) != len(text):
        return text
    pairs = zip(text, plate.characters, strict=True)
    return "".join(symbol if share >= UNREAD_BELOW else UNREAD for symbol, share in pairs)


def _plate_class(plate: Plate, text: str) -> str:
    kind = (plate.kind or "").partition("_double")[0]
    if kind == "ordinary":
        return ORDINARY_CLASSES.get(plate.color or "", OTHER)
    if kind == "hk_macau":
        return BORDER_CLASSES.get(text[-1], OTHER)
    return PLATE_CLASSES.get(kind, OTHER)


def _percent(share: float) -> str:
    return str(round(100 * min(1.0, max(0.0, share))))


def _direction(camera: ViewedCameraSettings, direction: str) -> str | None:
    if camera.heading is None or direction not in ("in", "out"):
        return None
    there, back = HEADINGS[camera.heading]
    return there if direction == "in" else back


def _image(passage: Passage, camera: ViewedCameraSettings, image: Image, number: Number) -> dict[str, Any]:
    return {
        "ImageID": passage.source_id,
        "EventSort": number(0),
        "DeviceID": camera.device_id,
        "StoragePath": "",
        "Type": WHOLE_VEHICLE,
        "FileFormat": "Jpeg",
        "ShotTime": passage.shot_time,
        "Width": number(image.width),
        "Height": number(image.height),
        "Data": image.base64,
    }


def _time(text: str) -> str:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without offset")
    return time.astimezone(ZONE).strftime(TIME).rjust(14, "0")


class _Head(msgspec.Struct):
    type: str
    source: str
