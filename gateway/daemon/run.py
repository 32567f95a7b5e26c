"""Life of the daemon: start every part, wait for the end, stop in the order that loses nothing."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from gateway import __version__
from gateway.clock import CHECK_EVERY, SystemClock, boot_id
from gateway.contract import ConfigError, LinliError
from gateway.daemon.parts import Parts, build
from gateway.daemon.thrift import give_back, one_heap
from gateway.journal import set_up
from gateway.notify import notify, watchdog_seconds
from gateway.plan import Plan, load_plan
from gateway.store import Store
from gateway.words import many

EXIT_STOPPED, EXIT_FAILED, EXIT_CONFIG = 0, 1, 78
# Together below ten seconds and below TimeoutStopSec of the unit.
DRAIN_SECONDS, COMMIT_SECONDS, FLUSH_SECONDS = 2.0, 2.0, 3.0
# Records and pictures are nobody else's business; others may only pass through to the socket, which has its own mode.
UMASK = 0o026
SYNCED = "gateway/synced"  # the fact that names the last boot whose clock we saw synchronised

log = logging.getLogger("linli.daemon")


def run(path: Path, clock_of: Callable[[str | None], SystemClock] = SystemClock) -> int:
    """Run the daemon in the foreground until SIGTERM or SIGINT; returns the exit code.

    ``clock_of`` makes the clock of the gateway's time zone.
    """
    one_heap()
    set_up()
    os.umask(UMASK)
    try:
        plan = load_plan(path)
        plan.refuse_missing_files()
    except ConfigError as error:
        for problem in error.problems:
            log.error("%s", problem)
        notify("STATUS=configuration is wrong, see the journal")
        return EXIT_CONFIG
    for warning in plan.warnings:
        log.warning("%s", warning)
    plan = plan.lean()
    code = EXIT_STOPPED
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_live(plan, clock_of(plan.settings.gateway.timezone)))
    except* LinliError as group:
        for sentence in dict.fromkeys(str(failure) for failure in _leaves(group)):
            log.error("%s", sentence)
        code = EXIT_FAILED
    return code


async def _live(plan: Plan, clock: SystemClock) -> None:
    settings = plan.settings
    stop = _stop_signal()
    store = await Store.open(settings.store, settings.gateway.state, settings.gateway.id, clock, settings.required())
    clock.remember(store.newest, store.facts(SYNCED).get(SYNCED) == boot_id().encode())
    try:
        parts = build(plan, store, clock)
        await parts.announce_start()
        async with asyncio.TaskGroup() as group:
            running = _start(parts, group)
            await stop.wait()
            await _stop_in_order(parts, running)
        await parts.announce_stop()
    finally:
        await store.close()
    log.info("stopped")


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


class Running(NamedTuple):
    """The tasks, by when they end."""

    inputs: list[asyncio.Task[None]]
    lines: list[asyncio.Task[None]]
    uplinks: list[asyncio.Task[None]]
    core: list[asyncio.Task[None]]


def _start(parts: Parts, group: asyncio.TaskGroup) -> Running:
    def start(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return group.create_task(work, name=name)

    core = [
        start("core", parts.core.run()),
        start("tick", parts.core.tick()),
        start("pictures", parts.core.file()),
        start("watchdog", _watchdog(parts)),
        start("time", _watch_time(parts)),
        start("api", parts.api.run()),
    ]
    if parts.evidence is not None:
        core.append(start("evidence", parts.evidence.run()))
    uplinks = [start(f"uplink {uplink.name}", uplink.run()) for uplink in parts.uplinks]
    lines = [start(f"line {line.name}", line.run()) for line in parts.lines]
    inputs = [start(f"device {name}", source.run()) for name, source in parts.sources.items()]
    inputs += [start(f"camera {camera.name}", camera.run()) for camera in parts.cameras]
    if parts.actions is not None:
        inputs.append(start("actions", parts.actions.run()))
    if parts.clocks is not None:
        inputs.append(start("clocks", parts.clocks.run()))
    if parts.parking is not None:
        inputs.append(start("parking", parts.parking.run()))
    if parts.recall is not None:
        inputs.append(start("recall", parts.recall.run()))
    give_back()
    parts_of = f"{many(len(parts.sources), 'device')}, {many(len(parts.cameras), 'camera')}"
    notify(f"READY=1\nSTATUS={parts_of}")
    log.info("linli %s runs: %s", __version__, parts_of)
    return Running(inputs, lines, uplinks, core)


async def _stop_in_order(parts: Parts, running: Running) -> None:
    """Loses nothing that was taken; each step has a deadline."""
    notify("STOPPING=1")
    log.info("stopping")
    await _cancel(running.inputs)  # before their lines, or every device would seem to have lost its line
    await _cancel(running.lines)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await parts.core.drained()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(COMMIT_SECONDS):
            await parts.store.committed()
    await asyncio.gather(*(uplink.flush(FLUSH_SECONDS) for uplink in parts.uplinks))
    await _cancel(running.uplinks + running.core)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _watchdog(parts: Parts) -> None:
    """Feed systemd's watchdog, but only while items really pass through the core."""
    seconds = watchdog_seconds()
    if not seconds:
        return
    while True:
        await parts.clock.sleep(seconds / 3)
        if parts.clock.monotonic() - parts.core.turned < seconds / 2:
            notify("WATCHDOG=1")


async def _watch_time(parts: Parts) -> None:
    """Say when the time becomes known or is lost, and remember for a restart that it was synchronised."""
    clock, before, remembered = parts.clock, "synced", parts.store.facts(SYNCED).get(SYNCED) == boot_id().encode()
    while True:
        quality = clock.quality()
        if quality == "unknown" != before:
            log.warning("the time is not known: readings wait up to 10 minutes for it, alarms go at once")
        elif before == "unknown" != quality:
            log.info("the time is known: %s", quality)
        before = quality
        if clock.was_synced and not remembered:
            remembered = True
            await parts.store.put([], facts={SYNCED: boot_id().encode()})
        await parts.store.committed(())  # raises what has ended the store, also when nobody puts anything
        await clock.sleep(CHECK_EVERY)


def _leaves(group: BaseExceptionGroup[LinliError]) -> list[LinliError]:
    found: list[LinliError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
