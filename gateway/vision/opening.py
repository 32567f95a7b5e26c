"""Opening a camera that may not be there for weeks: one process tries again and again, which costs next to nothing."""

import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gateway.contract import LinkError
from gateway.vision.messages import Message, Shut

if TYPE_CHECKING:
    from gateway.vision.capture import Capture

BACK_OFF = (0.5, 10.0)
STEADY = 30.0  # seconds of good work after which the back-off begins anew
PATIENCE = 600.0  # seconds after which a new process has a try
LOGIN_PATIENCE = 60.0  # the same where the login is refused: the next one has the password read anew


def pauses() -> Iterator[float]:
    """Waits (s) that grow, with some jitter, so that cameras that were lost together are not called together."""
    pause, longest = BACK_OFF
    while True:
        yield pause * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
        pause = min(longest, pause * 2)


def opened(
    open_once: "Callable[[], Capture]", say: Callable[[Message], None], wait: Callable[[float], None]
) -> "Capture":
    """Open the camera, however long it takes; each failure goes out as ``Shut``.

    ``wait`` comes back at a moment of the monotonic clock (s). LinkError, the last failure, when patience ends.
    """
    began = time.monotonic()
    waits = pauses()
    while True:
        try:
            return open_once()
        except LinkError as error:
            now = time.monotonic()
            if now - began > (LOGIN_PATIENCE if error.reason == "unauthorized" else PATIENCE):
                raise
            say(Shut(error.reason, str(error)))
        wait(now + next(waits))
