"""`linli check --probe`: tries every line, device, camera and the broker once; what a daemon holds, through it."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from gateway.cli.client import Daemon, Refusal, find
from gateway.cli.output import value as shown
from gateway.clock import SystemClock
from gateway.contract import ConfigError, DeviceError, DeviceSilentError, Driver, LineKind, LinkError, Pipe, PointValue
from gateway.links import Line
from gateway.plan import Plan
from gateway.settings import CameraSettings, LineSettings
from gateway.settings.resolve import ResolvedDevice
from gateway.settings.secret import read_secret

if TYPE_CHECKING:
    from gateway.settings import Gat1400Settings, HttpSettings, MqttSettings
    from gateway.uplink.address import Broker

OPEN_SECONDS = 8.0
STEP = 0.05


class Probe(NamedTuple):
    """What came out of trying one part; ``sentence`` says what was seen, or what to do."""

    kind: str
    name: str
    ok: bool
    sentence: str


def probe_all(plan: Plan) -> Iterator[Probe]:
    """Try everything of a plan, one after the other, so that each answer stands alone."""
    logging.getLogger("linli").addHandler(logging.NullHandler())  # what a line would log is in its probe
    for line in plan.settings.line:
        yield from asyncio.run(_line(plan, line))
    for camera in plan.settings.camera:
        yield _camera(camera)
    if plan.settings.uplink.mqtt is not None:
        yield from _brokers(plan.settings.uplink.mqtt, plan.settings.gateway.id)
    if plan.settings.uplink.http is not None:
        yield asyncio.run(_platform(plan.settings.uplink.http))
    if plan.settings.uplink.gat1400 is not None:
        yield asyncio.run(_view_library(plan.settings.uplink.gat1400))


async def _line(plan: Plan, settings: LineSettings) -> list[Probe]:
    clock = SystemClock()
    if settings.kind is LineKind.LISTEN:
        return await _listening(plan, settings, clock)
    line = Line(settings, clock)
    owner = asyncio.create_task(line.run())
    try:
        give_up = clock.monotonic() + OPEN_SECONDS
        while line.state == "opening" and clock.monotonic() < give_up:
            await clock.sleep(STEP)
        devices = [device for device in plan.devices if device.line.name == settings.name]
        if line.state != "open":
            if line.reason == "in_use" and (daemon := _running(plan)) is not None:
                return _through(daemon, line, devices)
            why = line.sentence or f"{line.address} did not open within {OPEN_SECONDS:g} s; check address and cable"
            missed = [Probe("device", device.name, False, "its line is not open") for device in devices]
            return [Probe("line", line.name, False, why), *missed]
        probes = [Probe("line", line.name, True, f"{line.address} is open")]
        for device in devices:
            probes.append(await _device(line, device, plan.drivers[device.name], clock))
        return probes
    finally:
        owner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await owner


async def _listening(plan: Plan, settings: LineSettings, clock: SystemClock) -> list[Probe]:
    """Open the port for a moment: whether stations call is theirs to say, and the daemon's to hear."""
    from gateway.links.listen import ListenLine

    line = ListenLine(settings, clock)
    owner = asyncio.create_task(line.run())
    try:
        while line.state == "opening":
            await clock.sleep(STEP)
        opened = line.state == "open"
        sentence = f"stations may call on {line.address}" if opened else line.sentence
        hint = "calls by itself: see linli status once the gateway runs" if opened else "its line is not open"
        devices = [device.name for device in plan.devices if device.line.name == settings.name]
        return [Probe("line", line.name, opened, sentence), *(Probe("device", name, opened, hint) for name in devices)]
    finally:
        owner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await owner


async def _device(line: Line, device: ResolvedDevice, driver: Driver, clock: SystemClock) -> Probe:
    points = frozenset(device.spec.points)

    async def read(pipe: Pipe) -> dict[str, PointValue]:
        return dict(await driver.read(pipe, points))

    try:
        values = await line.transact(
            read, deadline=clock.monotonic() + device.timeout, timeout=device.timeout, serial=device.serial
        )
    except DeviceSilentError:
        wire = _wire(device)
        sentence = f"does not answer within {device.timeout:g} s; check power, address {device.spec.address}{wire}"
        return Probe("device", device.name, False, sentence)
    except (DeviceError, LinkError) as error:
        return Probe("device", device.name, False, str(error))
    return _judged(device, values)


def _running(plan: Plan) -> Daemon | None:
    """The daemon of this configuration, if one runs that we may ask."""
    daemon = find(plan.path, None)
    try:
        daemon.ask("ping")
    except Refusal:
        return None
    return daemon


def _through(daemon: Daemon, line: Line, devices: list[ResolvedDevice]) -> list[Probe]:
    """Ask the devices of a line that the daemon has open, between its polls."""
    probes = [Probe("line", line.name, True, f"{line.address} is held by the running gateway, which is asked instead")]
    for device in devices:
        try:
            points = daemon.ask("read", device=device.name)["points"]
        except Refusal as error:
            probes.append(Probe("device", device.name, False, f"{error.message}; if it is new, restart the gateway"))
            continue
        values = {
            name: PointValue(point["value"], point["quality"], point.get("reason")) for name, point in points.items()
        }
        probes.append(_judged(device, values))
    return probes


def _judged(device: ResolvedDevice, values: Mapping[str, PointValue]) -> Probe:
    names = [name for name in device.spec.points if name in values]
    bad = [name for name in names if values[name].quality == "bad"]
    good = ", ".join(_value(device, name, values[name]) for name in names if values[name].quality != "bad")
    if bad:
        reasons = ", ".join(f"{name} ({values[name].reason})" for name in bad)
        return Probe("device", device.name, False, f"cannot read {reasons}; compare with the manual. {good}".strip())
    return Probe("device", device.name, True, good)


def _wire(device: ResolvedDevice) -> str:
    if device.line.serial is None:
        return ""
    settings = device.serial or device.line
    return f", wires A and B, and the device's speed and format ({settings.baud} {settings.format} here)"


def _value(device: ResolvedDevice, name: str, value: PointValue) -> str:
    point = device.spec.points.get(name)
    return f"{name} {shown({'value': value.value, 'unit': point.unit if point else '', 'quality': value.quality})}"


def _camera(camera: CameraSettings) -> Probe:
    try:
        from gateway.vision.capture import Capture
    except ImportError:
        return Probe("camera", camera.name, False, "the extra `vision` is not installed; run scripts/setup")
    try:
        password = read_secret(camera.password_file) if camera.password_file else ""
        capture = Capture(camera.url, user=camera.user, password=password)
        try:
            frame = next(capture.frames())
        finally:
            capture.close()
    except (LinkError, ConfigError) as error:
        return Probe("camera", camera.name, False, str(error))
    except StopIteration:
        return Probe("camera", camera.name, False, f"{camera.name} gives no picture; check the camera")
    size = f"{frame.width}x{frame.height}, {capture.codec}"
    outside = _outside(camera, frame.width, frame.height)
    if outside:
        return Probe("camera", camera.name, False, f"{outside} lies outside its picture of {size}; draw it anew")
    return Probe("camera", camera.name, True, f"gives pictures of {size}")


def _outside(camera: CameraSettings, width: int, height: int) -> str:
    """Name the first lane or mask that the picture does not hold at all."""
    areas = [(f"mask {number}", mask) for number, mask in enumerate(camera.masks, 1)]
    lanes = camera.vehicles.lanes if camera.vehicles else ()
    areas += [(f"lane {lane.name}", lane.line) for lane in lanes]
    for name, corners in areas:
        if not any(0 <= x <= width and 0 <= y <= height for x, y in corners):
            return name
    return ""


def _brokers(settings: "MqttSettings", gateway: str) -> Iterator[Probe]:
    from gateway.uplink import address

    try:
        brokers = address.parse_all(settings)
    except ConfigError as error:
        yield Probe("uplink", "mqtt", False, str(error))
        return
    for broker in brokers:
        yield asyncio.run(_broker(broker, settings, gateway))


async def _broker(broker: "Broker", settings: "MqttSettings", gateway: str) -> Probe:
    import aiomqtt

    from gateway.uplink import address
    from gateway.uplink.dial import ConnectionFailedError
    from gateway.uplink.session import Session

    try:
        session = Session(
            broker,
            # Its own name: the daemon may be connected under the gateway's.
            f"{gateway}-probe-{secrets.token_hex(2)}",
            will=aiomqtt.Will(f"linli/v1/{gateway}/state", None),
            clean=True,
            user=settings.user,
            password=address.password(settings),
            tls=address.tls_context(settings) if broker.tls else None,
        )
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await session.open()
        finally:
            await session.close(politely=True)
    except (ConfigError, ConnectionFailedError) as error:
        return Probe("uplink", "mqtt", False, str(error))
    except TimeoutError:
        return Probe("uplink", "mqtt", False, f"{broker.url} does not answer; check address, port and network")
    return Probe("uplink", "mqtt", True, f"{broker.url} lets us in")


async def _platform(settings: "HttpSettings") -> Probe:
    """Connect and shake hands; nothing is asked, since what takes POST need not take anything else."""
    from gateway.uplink.address import tls_context
    from gateway.uplink.dial import ConnectionFailedError
    from gateway.uplink.http.connection import Connection
    from gateway.uplink.http.origin import authorization, origin

    try:
        authorization(settings)
        place = origin(settings.url)
        connection = Connection(place, tls_context(settings) if place.tls else None, OPEN_SECONDS)
        await connection.open()
        connection.close()
    except (ConfigError, ConnectionFailedError) as error:
        return Probe("uplink", "http", False, str(error))
    return Probe("uplink", "http", True, f"{place.url} takes the connection")


async def _view_library(settings: "Gat1400Settings") -> Probe:
    """Register and take leave; a daemon that is registered meanwhile registers again by itself."""
    from gateway.uplink.address import tls_context
    from gateway.uplink.dial import ConnectionFailedError
    from gateway.uplink.gat1400.session import Session, place_of

    place = place_of(settings)
    try:
        session = Session(settings, tls_context(settings) if place.tls else None, SystemClock())
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await session.register()
                await session.unregister()
        finally:
            session.close()
    except (ConfigError, ConnectionFailedError) as error:
        return Probe("uplink", "gat1400", False, str(error))
    except TimeoutError:
        return Probe("uplink", "gat1400", False, f"{place.url} does not answer; check address, port and network")
    return Probe("uplink", "gat1400", True, f"{place.url} registers this gateway")
