"""Runs the demo from curtain to curtain: stage, platform and screen together, then the sums."""

import asyncio
import json
import signal
import sys

from gateway.cli.demo.puller import Desk, Http, Puller
from gateway.cli.demo.screen import Lines, show_for, summary, summary_json
from gateway.cli.demo.stage import DemoError, Stage, Stopwatch, staged, tail
from gateway.cli.demo.story import Story

CATCH_UP_SECONDS = 5.0
TURN_SECONDS = 0.25


async def play(seconds: float | None, port: int, as_json: bool) -> bool:
    """Play for ``seconds`` or until Ctrl-C, print the sums; True when every stream is complete.

    DemoError when the daemon does not start, dies, or does not stop in order.
    """
    story, watch, stop = Story(), Stopwatch(), asyncio.Event()
    show = show_for(story, sys.stderr if as_json else sys.stdout)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with staged(port, show.say, watch) as stage:
            show.begin(stage)
            await _watch(stage, show, story, stop, watch, seconds)
            show.turn(watch.seconds(), None)
            ran = watch.seconds()
    finally:
        show.end()
    if as_json:
        print(json.dumps(summary_json(story, ran, stage.plates), ensure_ascii=False))
    else:
        print("\n".join(summary(story, ran, stage.plates)))
    return not story.faults


async def _watch(
    stage: Stage, show: Lines, story: Story, stop: asyncio.Event, watch: Stopwatch, seconds: float | None
) -> None:
    http = Http(stage.address, stage.token)
    puller = Puller(http, story, show.say)
    desk = Desk(Http(stage.state / "linli.sock"), story)
    pulling = asyncio.create_task(puller.run(), name="platform")
    try:
        while not stop.is_set() and (seconds is None or watch.seconds() < seconds):
            if stage.daemon.returncode is not None:
                raise DemoError(
                    f"the daemon died (exit code {stage.daemon.returncode}); its last words:\n{tail(stage.log)}"
                )
            if pulling.done():
                await pulling
            show.turn(watch.seconds(), puller.away)
            await desk.look(watch.seconds())
            await _wait(stop, TURN_SECONDS if seconds is None else min(TURN_SECONDS, seconds - watch.seconds()))
        await _catch_up(http, story)
    finally:
        pulling.cancel()
        await asyncio.gather(pulling, return_exceptions=True)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        return


async def _catch_up(http: Http, story: Story) -> None:
    """Let the platform pull what is stored by now, so that the sums are about whole streams."""
    try:
        streams = (await http.ask("GET", "/v1/status"))["streams"]
    except (OSError, TimeoutError) as error:
        raise DemoError(f"the gateway does not answer any more: {error or 'timeout'}") from error
    lacking = list(streams)
    try:
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while lacking := story.behind(streams):  # noqa: ASYNC110 - books have no event, and this is for once
                await asyncio.sleep(0.05)
    except TimeoutError:
        for stream in lacking:
            story.ledgers[stream].faults.append(f"not all was pulled within {CATCH_UP_SECONDS:.0f} s")
