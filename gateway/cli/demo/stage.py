"""Sets the stage: a temporary place, the simulated devices, a configuration for them, and the real daemon."""

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.demo.community import (
    CHARGING_SHED,
    CLIMATE,
    GARAGE_CO,
    LIFT,
    LOBBY_METER,
    PUMP_PANEL,
    SUMP_LEVEL,
    Community,
)
from gateway.cli.simulate.line import TURNAROUND, Pace, SimulatedLine
from gateway.cli.simulate.modbus import Bank, Units, whole_mbap
from gateway.cli.simulate.ports import PtyPort, TcpPort
from gateway.cli.simulate.station import Station
from gateway.contract import LinliError
from gateway.settings import SerialSettings

VISION_MODULES = ("av", "cv2", "numpy", "onnxruntime")
START_SECONDS = 30.0
STOP_SECONDS = 15.0
LISTENING = re.compile(r"listening on http://(\S+)")
LOG_LINES = 12
LONGEST_PARENT = 60

SITE = """\
# Written by `linli demo`. Every device behind these lines is simulated.
[gateway]
id      = "linli-demo"
site    = "Demo community (all devices simulated)"
contact = "nobody: this is a demo"
state   = {state}

[api]
listen = "127.0.0.1:{port}"

[[api.consumer]]
name = "demo-platform"
token_sha256 = "{token_sha256}"
required = true

[[line]]
name = "plant-room"
tcp = {plant_room}

[[line]]
name = "riser"
serial = {terminal}

[[device]]
name = "pump-panel"
driver = "modbus"
line = "plant-room"
address = {pump_panel}
every = "1s"

[device.points.running]
at = "discrete:0"
type = "bool"

[device.points.motor-current]
at = "input:4"
scale = 0.1
unit = "A"
valid = [0, 200]

[[device]]
name = "lift-1"
driver = "modbus"
line = "plant-room"
address = {lift}
every = "1s"

[device.points.door-open]
at = "discrete:1"
type = "bool"

[device.points.floor]
at = "input:0"

[[device]]
name = "charging-shed"
profile = "eastron-sdm120"
line = "plant-room"
address = {charging_shed}
every = "1s"

[[device]]
name = "lobby-meter"
profile = "eastron-sdm120"
line = "plant-room"
address = {lobby_meter}
every = "2s"

[[device]]
name = "sump-level"
profile = "qdy30a"
line = "riser"
address = {sump_level}
every = "500ms"

[[device]]
name = "plant-climate"
profile = "xy-md02"
line = "riser"
address = {climate}
every = "2s"

[[device]]
name = "garage-co"
profile = "jxbs-3001-co"
line = "riser"
address = {garage_co}
every = "1s"
timeout = "150ms"

[[alarm]]
name = "sump-high"
text = {{ zh = "集水井水位高", en = "Sump level high" }}
when = "sump-level.level > 2.5"
for = "2s"
clear = "sump-level.level < 2.2"
severity = "major"

[[alarm]]
name = "garage-co-silent"
text = {{ zh = "车库一氧化碳传感器无响应", en = "Garage CO sensor silent" }}
when = "stale(garage-co.co, 3s)"
severity = "warning"
"""

CAMERA = """
[[camera]]
name = "north-gate"
url = {clip}
purpose = "vehicle gate (generated clip)"
repeat = true

[camera.vehicles]
lanes = [{{ name = "main", line = {lane}, enter = {enter} }}]
"""


class DemoError(LinliError):
    """The demo cannot start or go on; the text says why."""


class Stopwatch:
    """Seconds since the scene began; the simulated devices live by it."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again at zero."""
        self._began = time.monotonic()

    def seconds(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self._began


@dataclass(frozen=True)
class Stage:
    """The running scene. ``address`` is the API's ``host:port``, ``token`` opens it; ``plates`` are those drawn."""

    folder: Path
    state: Path
    log: Path
    address: str
    token: str
    daemon: asyncio.subprocess.Process
    plates: frozenset[str]


def vision_is_installed() -> bool:
    """Tell whether cameras can run here: the extra ``vision``."""
    return all(importlib.util.find_spec(module) is not None for module in VISION_MODULES)


@contextlib.asynccontextmanager
async def staged(port: int, say: Callable[[str], None], watch: Stopwatch) -> AsyncIterator[Stage]:
    """Build everything, yield the running scene, and take it all down again; ``watch`` begins with the daemon.

    DemoError when the daemon does not come up, or does not stop in order at the end.
    """
    # The path of a Unix socket has 107 bytes at most; some machines have a very long TMPDIR.
    parent = None if len(tempfile.gettempdir()) <= LONGEST_PARENT else "/tmp"  # noqa: S108 - mkdtemp makes it ours
    folder = Path(tempfile.mkdtemp(prefix="linli-demo-", dir=parent))
    community = Community(watch.seconds)
    plant_room = SimulatedLine(
        "plant-room", _units("tcp", community.plant_room), TcpPort(), Pace(), watch.seconds, whole=whole_mbap
    )
    wire = Pace(SerialSettings(baud=9600, format="8N1"), real=True, turnaround=TURNAROUND)
    riser = SimulatedLine("riser", _units("rtu", community.riser), PtyPort(folder / "riser"), wire, watch.seconds)
    try:
        await plant_room.open()
        await riser.open()
        camera, plates = await _camera(folder, say)
        token = secrets.token_urlsafe(24)
        state, log = folder / "state", folder / "daemon.log"
        config = folder / "linli.toml"
        config.write_text(
            SITE.format(
                state=toml_text(state),
                port=port,
                token_sha256=hashlib.sha256(token.encode()).hexdigest(),
                plant_room=toml_text(plant_room.port.address),
                terminal=toml_text(riser.port.address),
                pump_panel=PUMP_PANEL,
                lift=LIFT,
                charging_shed=CHARGING_SHED,
                lobby_meter=LOBBY_METER,
                sump_level=SUMP_LEVEL,
                climate=CLIMATE,
                garage_co=GARAGE_CO,
            )
            + camera,
            encoding="utf-8",
        )
        say("starting the daemon: linli run -c linli.toml")
        watch.restart()
        daemon = await _start(config, log)
        try:
            address = await _address(daemon, log)
            yield Stage(folder, state, log, address, token, daemon, plates)
        finally:
            code = await _stop(daemon)
        if code != 0:
            raise DemoError(f"the daemon ended with exit code {code}; its last words:\n{tail(log)}")
    finally:
        await riser.close()
        await plant_room.close()
        shutil.rmtree(folder, ignore_errors=True)


def _units(framing: str, there: Callable[[int], Bank | None]) -> list[Station]:
    slave = Units(framing, there)
    return [Station("units", "simulated", slave, None, slave)]


def toml_text(value: object) -> str:
    """A basic TOML string; JSON's escapes are TOML's, too."""
    return json.dumps(str(value), ensure_ascii=False)


def tail(log: Path) -> str:
    """The last lines of the daemon's log, set off from ours."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"  | (no log: {error.strerror})"
    return "\n".join(f"  | {line}" for line in lines[-LOG_LINES:])


async def _camera(folder: Path, say: Callable[[str], None]) -> tuple[str, frozenset[str]]:
    if not vision_is_installed():
        say("no camera in this demo: the extra `vision` is not installed (scripts/setup installs it)")
        return "", frozenset()
    from gateway.cli.demo.clip import LANE_ENTER, LANE_LINE, LEAVING, PLATE, write_gate_clip  # needs the extra

    say("drawing a gate clip: one car comes in, one leaves, their plates are to be read")
    clip = folder / "gate.mp4"
    await asyncio.to_thread(write_gate_clip, clip)
    text = CAMERA.format(clip=toml_text(clip), lane=json.dumps(LANE_LINE), enter=toml_text(LANE_ENTER))
    return text, frozenset({PLATE, LEAVING})


async def _start(config: Path, log: Path) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "gateway", "run", "-c", str(config)]
    # A demo that is killed must not leave a daemon behind; setpriv belongs to every Debian.
    setpriv = shutil.which("setpriv")
    if setpriv:
        command = [setpriv, "--pdeathsig", "TERM", *command]
    # onnxruntime 1.31 reports its use to its maker unless told not to.
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    with log.open("wb") as stderr:
        # A session of its own: Ctrl-C is for the demo, which then stops the daemon in order.
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env=environment,
            start_new_session=True,
        )


async def _address(daemon: asyncio.subprocess.Process, log: Path) -> str:
    try:
        async with asyncio.timeout(START_SECONDS):
            while daemon.returncode is None:
                if found := _listening(log):
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise DemoError(f"the daemon did not listen within {START_SECONDS:.0f} s:\n{tail(log)}") from None
    raise DemoError(f"the daemon ended at start with exit code {daemon.returncode}; its last words:\n{tail(log)}")


def _listening(log: Path) -> str | None:
    match = LISTENING.search(log.read_text(encoding="utf-8", errors="replace"))
    return match[1] if match else None


async def _stop(daemon: asyncio.subprocess.Process) -> int:
    if daemon.returncode is None:
        daemon.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            return await daemon.wait()
    except TimeoutError:
        daemon.kill()
        await daemon.wait()
        raise DemoError(f"the daemon did not stop within {STOP_SECONDS:.0f} s of SIGTERM and was killed") from None
