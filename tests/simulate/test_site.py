"""A small site of every protocol, simulated on real terminals and sockets, and read through the gateway's own lines."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cli.simulate.overlay import overlay
from gateway.cli.simulate.script import fit, read_script
from gateway.cli.simulate.site import Site, Way, build
from gateway.clock import SystemClock
from gateway.contract import ConfigError, Reading, SourceState, StateChange
from gateway.links import Line
from gateway.plan import Plan, load_plan
from gateway.sources import Source
from tests.simulate.bench import same

HEAD = '[gateway]\nid = "reh"\n[store]\nrecords = "8MiB"\nmedia = "8MiB"\n[api]\nlisten = "127.0.0.1:0"\n'
ALL = """
[[line]]
name = "riser"
serial = "/dev/ttyS9"
baud = 115200
[[line]]
name = "server"
tcp = "127.0.0.1:0"
[[line]]
name = "plant"
tcp = "127.0.0.1:0"
[[line]]
name = "pumps"
udp = "127.0.0.1:0"
[[line]]
name = "roof"
serial = "/dev/ttyS8"
baud = 4800
[[line]]
name = "scale"
serial = "/dev/ttyS7"
[[line]]
name = "bin"
serial = "/dev/ttyS6"
""".replace("127.0.0.1:0", "127.0.0.1:9")
# Every one on its line: line, profile, address, and the rest.
DEVICES = {
    "level": ("riser", "qdy30a", "3", "serial = { baud = 115200 }"),
    "electric": ("riser", "dlt645-2007-three-phase", '"202312345678"', "serial = { baud = 19200 }"),
    "older": ("riser", "dlt645-1997-single-phase", '"000000000414"', "serial = { baud = 19200 }"),
    "tap": ("server", "cjt188-water", '"00112023001234"', ""),
    "heat": ("server", "cjt188-heat", '"00112023005678"', ""),
    "warm": ("server", "mbus-heat-meter", '"12345678"', ""),
    "rtu": ("server", "qdy30a", "4", 'framing = "rtu"'),
    "ascii": ("server", "xy-md02", "5", 'framing = "ascii"'),
    "shed": ("plant", "eastron-sdm120", "1", ""),
    "pump": ("pumps", "dry-contact-8", "2", ""),
    "weather": ("roof", "nmea-weather", "1", ""),
    "weigh": ("scale", "weighing-scale", "1", ""),
    "fill": ("bin", "dyp-a02yyuw", "1", ""),
}


def written(folder: Path, text: str, name: str = "site.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def whole(every: str = "300ms") -> str:
    devices = "".join(
        f'[[device]]\nname = "{name}"\nline = "{line}"\nprofile = "{profile}"\naddress = {address}\n'
        f'every = "{every}"\n{more}\n'
        for name, (line, profile, address, more) in DEVICES.items()
    )
    return HEAD + ALL + devices


class Desk:
    """What the gateway's sources said, by device; and what the simulator served."""

    def __init__(self) -> None:
        self.readings: dict[str, list[Reading]] = {}
        self.states: dict[str, list[SourceState]] = {}
        self.served: dict[str, list[dict]] = {}
        self._news = asyncio.Event()

    async def put(self, item: object) -> None:
        if isinstance(item, Reading):
            self.readings.setdefault(item.device, []).append(item)
        elif isinstance(item, StateChange):
            self.states.setdefault(item.name, []).append(item.state)
        self._news.set()

    def serve(self, device: str, values: dict) -> None:
        self.served.setdefault(device, []).append(values)

    async def until(self, done) -> None:
        async with asyncio.timeout(20):
            while not done():
                self._news.clear()
                await self._news.wait()


@contextlib.asynccontextmanager
async def rehearsed(path: Path, desk: Desk) -> AsyncIterator[tuple[Site, Plan]]:
    """Simulate a configuration and run the gateway's lines and sources on the overlay of it."""
    plan = load_plan(path)
    clock = SystemClock()
    site = build(plan, Way(path.parent, clock.monotonic, real=False, served=desk.serve))
    async with site.open():
        out = path.with_name("site.rehearsal.toml")
        text, _ = overlay(plan, {line.name: line.port.address for line in site.lines}, out)
        out.write_text(text, encoding="utf-8")
        made = load_plan(out)
        lines = {line.name: Line(line, clock) for line in made.settings.line}
        sources = [
            Source(device, made.drivers[device.name], lines[device.line.name], clock, desk.put)
            for device in made.devices
        ]
        tasks = [asyncio.create_task(part.run()) for part in (*lines.values(), *sources)]
        try:
            yield site, made
        finally:
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_every_protocol_is_read_as_it_is_meant(tmp_path: Path) -> None:
    desk = Desk()
    path = written(tmp_path, whole())
    async with rehearsed(path, desk) as (site, _):
        assert site.left_out == []
        good = {}

        def all_good() -> bool:
            for name, readings in desk.readings.items():
                if all(value.quality == "good" for value in readings[-1].points.values()):
                    good.setdefault(name, readings[-1])
            return good.keys() == DEVICES.keys()

        await desk.until(all_good)
    for name, reading in good.items():
        shown = [
            point
            for point, value in reading.points.items()
            if not any(same(value, served[point]) for served in desk.served[name])
        ]
        assert shown == [], name
    assert all(station.counts.refused == 0 for station in site.stations.values())


async def test_a_script_moves_values_and_unplugs_a_line(tmp_path: Path) -> None:
    desk = Desk()
    path = written(
        tmp_path,
        HEAD + '[[line]]\nname = "plant"\ntcp = "127.0.0.1:9"\n[[line]]\nname = "wire"\nserial = "/dev/ttyS9"\n'
        '[[device]]\nname = "shed"\nline = "plant"\nprofile = "eastron-sdm120"\nevery = "50ms"\n'
        '[[device]]\nname = "level"\nline = "wire"\nprofile = "qdy30a"\nevery = "50ms"\n'
    )  # fmt: skip
    script = written(
        tmp_path,
        '[[script]]\nset = "level.level"\nvalue = 2.83\n'
        '[[script]]\nat = "100ms"\nfor = "900ms"\nfault = "unplug"\nline = "wire"\n'
        '[[script]]\nat = "1s"\nset = "shed.power"\nvalue = 777\n',
        "play.toml",
    )
    async with rehearsed(path, desk) as (site, _):
        played = fit(*read_script(script), site.stations, [line.name for line in site.lines])
        playing = asyncio.create_task(site.play(played))
        await desk.until(lambda: SourceState.OFFLINE in desk.states.get("level", []))
        await desk.until(lambda: desk.readings["shed"][-1].points["power"].value == 777)
        await desk.until(lambda: desk.states["level"][-1] is SourceState.ONLINE)
        await desk.until(lambda: desk.readings["level"][-1].points["level"].value == 2.83)
        await playing
        await site.play(fit(*read_script(written(tmp_path, "", "none.toml")), site.stations, []))
        await desk.until(lambda: desk.readings["shed"][-1].points["power"].value != 777)
    assert SourceState.OFFLINE not in desk.states["shed"]


LEVEL = HEAD + '[[line]]\nname = "wire"\ntcp = "127.0.0.1:9"\n' + "".join(
    f'[[device]]\nname = "{name}"\nline = "wire"\nprofile = "{profile}"\naddress = {address}\n'
    for name, profile, address in (
        ("level", "qdy30a", "3"), ("meter", "dlt645-2007-single-phase", '"202312345678"'),
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ('[[script]]\nset = "levle.level"\nvalue = 1', 'script[1].set: there is no device "levle"; did you mean'),
        ('[[script]]\nset = "level.lvel"\nvalue = 1', 'level has no point "lvel"; did you mean "level"?'),
        ('[[script]]\nset = "level.level"\nvalue = "high"', "script[1].value: level.level is a number"),
        ('[[script]]\nset = "level.level"', "needs one of value, ramp, sine, steps"),
        ('[[script]]\nset = "level.level"\nvalue = 1\nsine = { low = 1, high = 2, period = "5s" }', "it has 2"),
        ('[[script]]\nset = "level.level"\nramp = { from = 1, to = 2 }', "ramp.over: is missing"),
        ('[[script]]\nfault = "silense"\ndevice = "level"', 'did you mean "silence"?'),
        ('[[script]]\nfault = "silence"', "has no place"),
        ('[[script]]\nfault = "silence"\ndevice = "level"\nline = "wire"', "has no place, or two"),
        ('[[script]]\nfault = "cut"\ndevice = "level"', "is a fault of a line"),
        ('[[script]]\nfault = "na"\nline = "wire"', "is a fault of one device"),
        ('[[script]]\nfault = "cut"\nline = "wrie"', 'did you mean "wire"?'),
        ('[[script]]\nfault = "wrong-crc"\ndevice = "level"', "has no checksum"),
        ('[[script]]\nfault = "silence"\ndevice = "level"\npercent = 5', "percent: belongs to noise"),
        ('[[script]]\nfault = "na"\ndevice = "meter"\npoints = ["volts"]', 'no point "volts"'),
        ('[[script]]\nat = 5\nfault = "cut"\nline = "wire"', "script[1].at: has no unit"),
        ('[[script]]\nfault = "cut"\nline = "wire"\nvalue = 5', "belongs to set"),
        ("[[script]]\nat = ", "play.toml:2:"),
        ('sead = 3', 'sead: is not a known key; did you mean "seed"?'),
    ],
)  # fmt: skip
def test_a_bad_script_is_explained(script: str, problem: str, tmp_path: Path) -> None:
    plan = load_plan(written(tmp_path, LEVEL))
    site = build(plan, Way(tmp_path, lambda: 0.0))
    path = written(tmp_path, script, "play.toml")
    with pytest.raises(ConfigError) as refused:
        fit(*read_script(path), site.stations, [line.name for line in site.lines])
    assert len(refused.value.problems) == 1
    assert problem in refused.value.problems[0]
    assert refused.value.problems[0].startswith(f"{path}:")


def test_what_is_not_simulated_is_said(tmp_path: Path) -> None:
    nothing = load_plan(written(tmp_path, HEAD))
    with pytest.raises(ConfigError, match="nothing here can be simulated"):
        build(nothing, Way(tmp_path, lambda: 0.0))
    odd = LEVEL + (
        '[[line]]\nname = "odd"\nserial = "/dev/ttyS9"\n[[device]]\nname = "odd"\nline = "odd"\ndriver = "line"\n'
        "options = { pattern = '(?P<weight>[0-9.]+)(?<!.)' }\n[device.points.weight]\nat = \"weight\"\n"
    )
    site = build(load_plan(written(tmp_path, odd)), Way(tmp_path, lambda: 0.0))
    assert list(site.stations) == ["level", "meter"]
    assert site.left_out == ["device odd: the simulator finds no line that this pattern matches; "
                             "write it with plain groups"]  # fmt: skip


def test_the_overlay_keeps_the_site_and_nothing_that_leaves_it(tmp_path: Path) -> None:
    text = LEVEL.replace('"127.0.0.1:0"', '"0.0.0.0:8470"\ntls_cert = "/x.crt"\ntls_key = "/x.key"') + (
        '[uplink.mqtt]\nurl = "mqtts://broker.example:8883"\n'
        '[[camera]]\nname = "gate"\nurl = "rtsp://camera.lan/1"\npurpose = "gate"\n[camera.vehicles]\n'
        '[[alarm]]\nname = "high"\ntext = { zh = "高", en = "high \\"!\\"" }\nwhen = "level.level > 2.5"\n'
        '[[alarm]]\nname = "deny"\nwhen = "event(gate, deny)"\n'
    )
    plan = load_plan(written(tmp_path, text))
    out = tmp_path / "site.rehearsal.toml"
    made, dropped = overlay(plan, {"wire": "127.0.0.1:4711"}, out)
    out.write_text(made, encoding="utf-8")
    again = load_plan(out)
    assert dropped == [
        "camera gate: the simulation draws no pictures; play a recorded clip of it instead: "
        f"linli replay gate FILE -c {plan.path}",
        "alarm deny: it needs what is left out (gate)",
        "uplink mqtt: nothing leaves this machine",
    ]
    assert again.settings.line[0].tcp == "127.0.0.1:4711"
    assert again.settings.device == plan.settings.device
    assert again.settings.alarm == plan.settings.alarm[:1]
    assert again.settings.api.listen == "127.0.0.1:8470"
    assert again.settings.gateway.state == tmp_path / "site.rehearsal.state"
    assert (again.settings.uplink.mqtt, again.settings.camera) == (None, ())
