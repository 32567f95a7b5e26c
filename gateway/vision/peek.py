"""Live pictures of a camera, made only while somebody looks: at most two a second, shared by all who look."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.contract import Clock, CommandError

if TYPE_CHECKING:
    from gateway.vision.messages import View

AT_MOST_EVERY = 0.5  # seconds between pictures, however many look
PATIENCE = 8.0  # seconds: a lane that sleeps gives a picture at each key frame only


class Peeks:
    """Asks a camera's worker for views and hands each to everybody who waits for one."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name, self._clock = name, clock
        self._last: tuple[float, View] | None = None
        self._waiting: asyncio.Future[View] | None = None

    async def view(self, ask: Callable[[], bool]) -> dict[str, Any]:
        """The newest picture and its findings, as JSON values; ``ask`` asks the worker, False when there is none.

        CommandError 409 when the camera gives no picture.
        """
        if self._last is not None and self._clock.monotonic() - self._last[0] < AT_MOST_EVERY:
            return told(self._name, self._last[1], self._clock.rfc3339)
        if self._waiting is None:
            if not ask():
                raise CommandError(f"camera {self._name} gives no picture now; linli status says why", 409)
            self._waiting = asyncio.get_running_loop().create_future()
        waiting = self._waiting
        try:
            async with asyncio.timeout(PATIENCE):
                view = await asyncio.shield(waiting)
        except TimeoutError:
            if self._waiting is waiting:
                self._waiting = None
            raise CommandError(f"camera {self._name} gave no picture within {PATIENCE:g} s", 409) from None
        except asyncio.CancelledError:
            if waiting.cancelled():  # the worker went away, not who asked
                raise CommandError(f"camera {self._name} stopped just now; linli status says why", 409) from None
            raise
        return told(self._name, view, self._clock.rfc3339)

    def take(self, view: "View") -> None:
        """The worker sent a picture."""
        self._last = (self._clock.monotonic(), view)
        if self._waiting is not None:
            self._waiting.set_result(view)
            self._waiting = None

    def lost(self) -> None:
        """The worker is gone: whoever waits is told."""
        self._last = None
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def told(camera: str, view: "View", stamp: Callable[[int], str]) -> dict[str, Any]:
    """A view as JSON values; ``jpeg`` stays bytes."""
    return {
        "camera": camera,
        "time": stamp(view.time),
        "size": [view.width, view.height],
        "plates": [
            {"width": plate.width, "tilt": plate.tilt, "sharpness": plate.sharpness, "burnt": plate.burnt}
            for plate in view.plates
        ],
        "middle": view.middle,
        "dark": round(view.dark, 3),
        "burnt": round(view.burnt, 3),
        "sharpness": round(view.sharpness, 3),
        "advice": list(view.advice),
        "jpeg": view.jpeg,
    }
