"""What `linli replay` looks with: the very watchers of a camera's worker, without a daemon."""

from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.contract import LinkError

if TYPE_CHECKING:
    from gateway.contract import VisionEvent
    from gateway.settings import CameraSettings
    from gateway.vision.capture import Frame
    from gateway.vision.guest import Guest
    from gateway.vision.messages import Message

Stamp = Callable[[int], str]
Warn = Callable[[str], None]
LOOK_EVERY = 1.0  # seconds of the clip between looks at what lessens the result, as in a worker


class Eyes:
    """Takes a clip's frames in order and gives events to be recorded; what lessens the result goes to ``warn``.

    ``misfit`` says why nothing of the clip may be shown, once that is so: its masks were drawn for another size.
    """

    def __init__(
        self,
        camera: "CameraSettings",
        models: Path,
        providers: Sequence[str],
        stamp: Stamp,
        reads: bool,
        warn: Warn,
        faces: "Guest | None" = None,
        views: Path | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        """``faces`` are hidden in pictures; LinkError when the camera looks for nothing.

        ``views`` is where the gateway keeps the size of the pictures that masks, lanes and facades were drawn in;
        ``zone`` is that of lists.
        """
        from gateway.vision.areas import SizedAreas
        from gateway.vision.drawn_for import MaskedSize
        from gateway.vision.falling.sized import SizedFacade
        from gateway.vision.telling import Teller
        from gateway.vision.watchers import watchers_of

        areas = SizedAreas(camera, views, read_only=True)
        facade = SizedFacade(camera, views, read_only=True)
        self._watchers = watchers_of(camera, models, providers, faces, zone=zone, areas=areas, facade=facade)
        if not self._watchers:
            raise LinkError(
                f"camera {camera.name} looks for nothing; give it [camera.vehicles] or [camera.falling]", "nothing"
            )
        self._teller, self._warn = Teller(camera, stamp, reads=reads), warn
        self._masked = MaskedSize(camera, views, read_only=True)
        self.misfit = ""
        self._warned: set[str] = set()
        self._due = 0.0
        self._look_around(0.0)

    def offer(self, frame: "Frame", wall: int, seconds: float) -> "Iterator[VisionEvent]":
        """Look at the frame of ``wall`` (ns since 1970), ``seconds`` into the clip."""
        misfit = self._masked.misfit((frame.width, frame.height))
        if misfit:
            self.misfit = misfit
            self._say(misfit)
        for watcher in self._watchers:
            yield from self._told(watcher.look(frame, wall) or (), seconds)
        if seconds >= self._due:
            self._look_around(seconds)

    def finish(self, seconds: float) -> "Iterator[VisionEvent]":
        """The clip is over."""
        for watcher in self._watchers:
            yield from self._told(watcher.finish(), seconds)

    def _told(self, found: "Sequence[Message]", seconds: float) -> "Iterator[VisionEvent]":
        from gateway.vision.messages import Dwell, Fall, Passage

        for message in found:  # early words are for a daemon's rules
            if isinstance(message, Passage | Dwell | Fall):
                shown = msgspec.structs.replace(message, picture=None) if self.misfit else message
                yield self._teller.event(shown, seconds)

    def _look_around(self, seconds: float) -> None:
        self._due = seconds + LOOK_EVERY
        for watcher in self._watchers:
            for _, sentence in watcher.troubles:
                self._say(sentence)

    def _say(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            self._warn(sentence)


def damaged(frames: int, of: int) -> str:
    """The sentence for a clip of which some frames could not be decoded, or only in part."""
    some = f"1 frame of {of} is" if frames == 1 else f"{frames} frames of {of} are"
    return f"{some} damaged: what crosses the picture then may be missed, or told wrongly"
