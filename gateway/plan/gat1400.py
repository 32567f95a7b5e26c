"""What the GA/T 1400 uplink needs: an encrypted address, and cameras that look for vehicles, each with its own code."""

from urllib.parse import urlsplit

from gateway.plan.findings import Findings, Sketch
from gateway.settings import CameraSettings, Gat1400Settings
from gateway.settings.address import is_loopback
from gateway.settings.core import ViewedCameraSettings
from gateway.settings.document import Keys
from gateway.settings.nearest import did_you_mean

KEYS: Keys = ("uplink", "gat1400")


def check_gat1400(sketch: Sketch, findings: Findings) -> None:
    """Complain of what would not work, or would not be safe."""
    settings = sketch.settings.uplink.gat1400
    if settings is None:
        return
    _check_address(settings, findings)
    cameras = {camera.name: camera for camera in sketch.settings.camera}
    codes: dict[str, Keys] = {settings.device_id: (*KEYS, "device_id")}
    for name, viewed in settings.camera.items():
        keys: Keys = (*KEYS, "camera", name)
        first = codes.setdefault(viewed.device_id, (*keys, "device_id"))
        if first != (*keys, "device_id"):
            line = findings.document.line(first)
            findings.error((*keys, "device_id"), f"line {line} has this code already; each has its own")
        if name in cameras:
            _check_camera(cameras[name], viewed, keys, findings)
        elif name not in sketch.names("camera"):
            hint = did_you_mean(name, sketch.names("camera"), what="cameras: write a [[camera]] first")
            findings.error(keys, f'there is no camera "{name}"; {hint}')


def _check_camera(camera: CameraSettings, viewed: ViewedCameraSettings, keys: Keys, findings: Findings) -> None:
    if camera.vehicles is None:
        findings.error(keys, "this camera looks for no vehicles; add [camera.vehicles] below it")
        return
    lanes = {lane.name for lane in camera.vehicles.lanes} or {camera.name}  # without lanes, the picture is one
    for lane in viewed.lanes:
        if lane not in lanes:
            sentence = f'this camera has no lane "{lane}"; {did_you_mean(lane, lanes)}'
            findings.error((*keys, "lanes", lane), sentence)


def _check_address(settings: Gat1400Settings, findings: Findings) -> None:
    address = urlsplit(settings.url)
    if address.query:
        findings.error((*KEYS, "url"), "has a query, but /VIID/... is put behind it; delete the ? part")
    if address.scheme == "http" and not settings.insecure and not is_loopback(address.hostname or ""):
        findings.error(
            (*KEYS, "url"),
            "is not encrypted; write https://, or insecure = true beside it to accept that anyone on the way can read "
            "plates and pictures",
        )
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(settings, key) is not None and getattr(settings, other) is None:
            findings.error((*KEYS, key), f"needs {other} beside it; name that file too")
    tls_files = [key for key in ("ca_file", "cert_file", "key_file") if getattr(settings, key) is not None]
    if address.scheme == "http" and tls_files:
        findings.warning((*KEYS, tls_files[0]), "has no effect with http://; write https:// to encrypt")
    if address.scheme == "https" and settings.insecure:
        findings.warning(
            (*KEYS, "insecure"), "has no effect with https://, which always checks the platform; delete it"
        )
