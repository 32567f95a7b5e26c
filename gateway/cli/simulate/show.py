"""Runs a simulated site for `linli simulate`: writes its configuration, shows its table, ends in order."""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click
import msgspec

from gateway.cli.output import Block, Cell, Line, Table, Word, print_json, show
from gateway.cli.simulate.line import SimulatedLine
from gateway.cli.simulate.overlay import overlay
from gateway.cli.simulate.script import Script, fit, read_script
from gateway.cli.simulate.site import Site, Way, build
from gateway.contract import ConfigError, Scalar
from gateway.plan import load_plan
from gateway.words import many

REFRESH = 1.0


@dataclass(frozen=True)
class Wishes:
    """What the command line says."""

    path: Path
    out: Path
    ports: Path | None
    script: Path | None
    seed: int | None
    real: bool
    turnaround: float
    seconds: float | None
    log: Path | None
    as_json: bool


def run(wishes: Wishes) -> None:
    """Simulate until Ctrl-C, SIGTERM or the end of the time; ConfigError or LinkError when it cannot be."""
    with contextlib.ExitStack() as stack:
        if wishes.ports is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="linli-lines-")))
        else:
            folder = wishes.ports
            _make_folder(folder)
        log = stack.enter_context(_log(wishes.log)) if wishes.log is not None else None
        asyncio.run(_simulate(wishes, folder.resolve(), log))


async def _simulate(wishes: Wishes, folder: Path, log: IO[bytes] | None) -> None:
    plan = load_plan(wishes.path)
    began = time.monotonic()

    def elapsed() -> float:
        return time.monotonic() - began

    document, script = read_script(wishes.script) if wishes.script is not None else (None, None)
    seed = wishes.seed if wishes.seed is not None else script.seed if script is not None else 0
    site = build(plan, Way(folder, elapsed, seed, wishes.real, wishes.turnaround, _served(log)))
    names = [line.name for line in site.lines]
    played = fit(document, script, site.stations, names) if document is not None and script is not None else None
    loop, end, again = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    lively = sys.stdout.isatty() and not wishes.as_json
    say: Callable[[str], None] = (lambda _text: None) if wishes.as_json else _say
    site.changed = lambda sentence: say(f"{elapsed():8.1f} s  {sentence}")
    async with site.open():
        text, dropped = overlay(plan, {line.name: line.port.address for line in site.lines}, wishes.out)
        _write(wishes.out, text, plan.path)
        _ready(wishes, site, dropped, lively)
        tasks = [asyncio.create_task(_play(wishes, site, played, again, say), name="script")]
        if lively:
            tasks.append(asyncio.create_task(_refresh(site), name="table"))
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wishes.seconds):
                    await end.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    _farewell(wishes, site, elapsed())


async def _play(
    wishes: Wishes, site: Site, script: Script | None, again: asyncio.Event, say: Callable[[str], None]
) -> None:
    """Play the script, and once more whenever it is to be read again."""
    while True:
        playing = asyncio.create_task(site.play(script)) if script is not None else None
        try:
            await again.wait()
        finally:
            if playing is not None:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
        again.clear()
        if wishes.script is None:
            say("SIGHUP: there is no --script to read again")
            continue
        try:
            document, read = read_script(wishes.script)
            script = fit(document, read, site.stations, [line.name for line in site.lines])
            say(f"{wishes.script}: read again, plays from its beginning")
        except ConfigError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            say("the script did not change")


def _say(text: str) -> None:
    """Print above the live table, which catches what goes to ``sys.stdout``; click.echo would pass it by."""
    print(text, flush=True)


def table(site: Site, most: int | None = None) -> list[Block]:
    """Lines and devices with what they did; lines only, and devices with faults, when there are more than ``most``."""
    lines = _lines(site)
    short = most is not None and len(lines) + len(site.stations) > most
    rows: list[list[Cell]] = []
    for name, ways in lines.items():
        stations = [station for way in ways for station in way.stations]
        state = Word("unplugged", "bad") if any(way.unplugged for way in ways) else Word("open", "good")
        unheard, questions = sum(way.unheard for way in ways), sum(way.questions for way in ways)
        where = f"{ways[0].port.address}, {unheard} of {many(questions, 'question')} heard by nobody"
        total = sum(station.counts.answered + station.counts.spoken for station in stations)
        rows.append([Word(name, "strong"), state, str(total), "", "", where])
        for station in stations:
            counts = station.counts
            if short and not station.faults:
                continue
            faults = ", ".join(sorted(fault.kind for fault in station.faults.values()))
            rows.append(
                [
                    f"  {station.name}",
                    Word(faults, "warn") if faults else Word("sound", "good"),
                    str(counts.answered + counts.spoken),
                    str(counts.refused),
                    str(counts.ignored),
                    station.what,
                ]
            )
    return [Table(("line or device", "state", "served", "refused", "ignored", "where or what"), rows)]


def _lines(site: Site) -> dict[str, list[SimulatedLine]]:
    """The lines by name: of one that stations call, each has a connection of its own."""
    found: dict[str, list[SimulatedLine]] = {}
    for line in site.lines:
        found.setdefault(line.name, []).append(line)
    return found


async def _refresh(site: Site) -> None:
    from rich.live import Live

    from gateway.cli.output import rendered

    with Live(auto_refresh=False, transient=True) as live:
        while True:
            live.update(rendered(table(site, live.console.height - 2), live.console.width), refresh=True)
            await asyncio.sleep(REFRESH)


def _ready(wishes: Wishes, site: Site, dropped: list[str], lively: bool) -> None:
    if wishes.as_json:
        print_json({"ready": True, "config": str(wishes.out), **_counted(site), "left_out": [*site.left_out, *dropped]},
                   indent=0)  # fmt: skip
        return
    devices = f"{many(len(site.stations), 'device')} on {many(len(_lines(site)), 'line')}"
    pace = "bytes take their time on serial lines" if wishes.real else "bytes take no time"
    blocks: list[Block] = [Line([f"{wishes.path}: simulates {devices}; {pace}."])]
    blocks += [Line([Word("not simulated:", "warn"), sentence]) for sentence in site.left_out]
    blocks += [Line([Word("not in the rehearsal:", "warn"), sentence]) for sentence in dropped]
    blocks.append(Line([Word("ready:", "good"), f"linli run -c {wishes.out}"]))
    blocks.append(Line(["Ctrl-C ends the simulation; a gateway that runs then finds its lines gone."]))
    show(blocks if lively else [*blocks, *table(site)])
    sys.stdout.flush()


def _farewell(wishes: Wishes, site: Site, seconds: float) -> None:
    if wishes.as_json:
        print_json({"ready": False, "seconds": round(seconds, 1), **_counted(site)}, indent=0)
        return
    total = sum(station.counts.answered + station.counts.spoken for station in site.stations.values())
    show([*table(site), Line([f"ended after {seconds:.0f} s: {many(total, 'answer')} served, all lines are closed"])])


def _counted(site: Site) -> dict[str, object]:
    return {
        "lines": [
            {"name": name, "address": ways[0].port.address, "questions": sum(way.questions for way in ways),
             "unheard": sum(way.unheard for way in ways)}
            for name, ways in _lines(site).items()
        ],
        "devices": [
            {"name": station.name, "line": line.name, "what": station.what, "answered": station.counts.answered,
             "refused": station.counts.refused, "ignored": station.counts.ignored, "spoken": station.counts.spoken}
            for line in site.lines
            for station in line.stations
        ],
    }  # fmt: skip


def _served(log: IO[bytes] | None) -> Callable[[str, Mapping[str, Scalar | None]], None]:
    if log is None:
        return lambda _device, _values: None

    def write(device: str, values: Mapping[str, Scalar | None]) -> None:
        entry = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "device": device, "values": values}
        log.write(msgspec.json.encode(entry) + b"\n")
        log.flush()

    return write


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--ports: {folder} cannot be made ({error.strerror}); name another folder") from None


def _log(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise ConfigError(f"--log: {path} cannot be written ({error.strerror}); name another file") from None


def _write(out: Path, text: str, origin: Path) -> None:
    """Write the rehearsal's configuration; it finds the profiles beside the original one, too."""
    if out.resolve() == origin.resolve():
        raise ConfigError(f"--out: {out} is the configuration itself; name another file")
    try:
        out.write_text(text, encoding="utf-8")
        profiles, beside = origin.resolve().parent / "devices", out.resolve().parent / "devices"
        if profiles.is_dir() and not beside.exists():
            beside.symlink_to(profiles)
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written ({error.strerror}); name another file") from None
