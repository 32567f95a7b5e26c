"""Checks what is made of passages: gates that can be opened, areas whose gates agree, lists that can be read."""

from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.plan.alarms import check_write
from gateway.plan.devices import Devices
from gateway.plan.findings import Findings, Sketch
from gateway.settings import CameraSettings, VehicleSettings
from gateway.settings.document import Keys
from gateway.settings.secret import unreadable
from gateway.words import many

NAMED = 20  # broken lines of a list that are told one by one


def check_vehicles(sketch: Sketch, devices: Devices, findings: Findings) -> None:
    """Judge ``[camera.vehicles]`` of every camera against devices and other cameras."""
    places: dict[tuple[str, str], tuple[int, Keys]] = {}
    _check_ages(sketch, findings)
    for camera_keys, camera in sketch.items("camera"):
        vehicles, keys = camera.vehicles, (*camera_keys, "vehicles")
        if vehicles is None:
            continue
        if vehicles.open is not None:
            check_write((*keys, "open"), vehicles.open, sketch, devices, findings)
            if vehicles.lists.allow is None:
                findings.warning((*keys, "open"), "never opens: there is no lists.allow; name one")
            if vehicles.lists.deny is not None and unreadable(vehicles.lists.deny):
                sentence = "opens for nobody until lists.deny was read once; put the file there, or leave deny out"
                findings.warning((*keys, "open"), sentence)
        if vehicles.passback == "refuse" and (vehicles.open is None or not vehicles.lanes or not _counts(vehicles)):
            sentence = "refuses nothing: it needs open, lanes, and spaces or area beside it"
            findings.warning((*keys, "passback"), sentence)
        _check_counting(camera, keys, places, findings)
        names = [zone.name for zone in vehicles.zones]
        for number, name in enumerate(names):
            if name in names[:number]:
                findings.error((*keys, "zones", number, "name"), "another zone has this name; give it another")


def _check_ages(sketch: Sketch, findings: Findings) -> None:
    """Judge how long passages and what they show are kept."""
    keep = sketch.settings.store.keep
    gates = [(keys, camera.vehicles) for keys, camera in sketch.items("camera") if camera.vehicles is not None]
    if gates and max(keep.of_media()[kept] for kept in ("vehicle", "unlisted")) > keep.perception:
        sentence = "keeps pictures of passages longer than perception their records: then they can neither be found nor"
        findings.warning(("store", "keep", "media"), f"{sentence} erased by plate; set vehicle_media beside it")
    for keys, vehicles in gates:
        if keep.unlisted_vehicles is not None and vehicles.lists.allow is None:
            sentence = "without lists.allow all that pass here go after [store.keep] unlisted_vehicles, residents too"
            findings.warning((*keys, "vehicles"), f"{sentence}; name the list, as at the other gates")


def _counts(vehicles: VehicleSettings) -> bool:
    return vehicles.spaces is not None or vehicles.area is not None


def _check_counting(
    camera: CameraSettings, keys: Keys, places: dict[tuple[str, str], tuple[int, Keys]], findings: Findings
) -> None:
    vehicles = camera.vehicles
    if vehicles is None:
        return
    if _counts(vehicles) and not vehicles.lanes:
        where = "spaces" if vehicles.spaces is not None else "area"
        findings.warning((*keys, where), "nothing is counted without lanes: only a line tells in from out; add lanes")
    if vehicles.charging is not None and vehicles.spaces is not None and vehicles.charging > vehicles.spaces:
        findings.error((*keys, "charging"), "is more than spaces; the places with a charger are some of them")
    area = vehicles.area or camera.name
    for key in ("spaces", "charging"):
        value = getattr(vehicles, key)
        if value is None:
            continue
        first, at = places.setdefault((area, key), (value, (*keys, key)))
        if first != value:
            line = findings.document.line(at)
            findings.error((*keys, key), f'line {line} gives the area "{area}" {first}; say it once, or the same')


def broken_list_lines(cameras: tuple[CameraSettings, ...], timezone: str | None) -> list[str]:
    """Sentences about lines of plate lists that cannot be used; each list is read once."""
    paths: dict[Path, None] = {}
    for camera in cameras:
        if camera.vehicles is not None:
            lists = camera.vehicles.lists
            paths.update(dict.fromkeys(path for path in (lists.allow, lists.deny) if path is not None))
    if not paths:
        return []
    from gateway.vision.lists import read_list  # a gateway without lists needs none

    found: list[str] = []
    for path in paths:
        if not path.exists():
            continue  # told already, as of every file
        try:
            _, problems = read_list(path, ZoneInfo(timezone) if timezone else None)
        except OSError as error:
            problems = [f"{path}: the list cannot be read: {error.strerror}"]
        found += problems[:NAMED]
        if len(problems) > NAMED:
            found.append(f"{path}: and {many(len(problems) - NAMED, 'line')} more to be left out")
    return found
