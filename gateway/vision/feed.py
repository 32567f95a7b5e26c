"""From packets to the frames worth looking at: every frame while something moves, else key frames alone."""

from collections.abc import Iterator, Sequence

from gateway.vision.capture import Capture, Frame
from gateway.vision.idle import KeyGate, SizeGate
from gateway.vision.ring import Coded

LINGER = 2.5  # seconds without anything stirring after which a lane is empty
PROBATION = 1.0  # the same after a wake that found nothing yet
LOOK_AT_MOST = 1.5  # seconds that must lie between two key frames that are looked at while asleep
# Seconds between key frames below which every picture is one, as with Motion JPEG: their sizes tell little, so so often
# one is looked at.
ALL_KEYS = 0.4
REACH = 4.2  # seconds between key frames beyond which a lane is never left to them


class Feed:
    """Decodes one opened camera. ``stir`` says that something moves; without ``sleeps`` it never sleeps."""

    def __init__(self, capture: Capture, *, sleeps: bool) -> None:
        self.asleep = False
        self._capture = capture
        self._sleeps = sleeps
        self._sizes = SizeGate()
        self._keys = KeyGate()
        self._waiting: list[Coded] = []  # not decoded yet, from the last key frame that was
        self._stirred = 0.0
        self._linger = LINGER
        self._wakened = False
        self._key_at: float | None = None
        self._spacing = REACH + 1.0

    def stir(self, seconds: float) -> None:
        """Something was moving at ``seconds`` of the stream."""
        if self._wakened:
            self._wakened = False
            self._sizes.woke(rightly=True)
        self._stirred = max(self._stirred, seconds)
        self._linger = LINGER
        if self.asleep:
            self.asleep = False

    def take(self, coded: Coded) -> Iterator[Frame]:
        """Give the frames that are worth a look now that this packet is there, each frame once, in order."""
        if coded.key:
            self._spacing = REACH + 1.0 if self._key_at is None else coded.time - self._key_at
            self._key_at = coded.time
        if self.asleep:
            yield from self._doze(coded)
            return
        if self._sleeps and coded.key and self._spacing <= REACH and coded.time - self._stirred > self._linger:
            yield from self._capture.drain()
            if self._wakened:
                self._wakened = False
                self._sizes.woke(rightly=False)
            self.asleep = True
            self._waiting = []
            yield from self._doze(coded)
            return
        if coded.time - self._stirred > PROBATION:
            self._sizes.surges(coded)
        yield from self._capture.decode(coded)

    def finish(self) -> Iterator[Frame]:
        """Give what the decoder still holds; of a sleeping lane, nothing is left."""
        if not self.asleep:
            yield from self._capture.drain()

    def _doze(self, coded: Coded) -> Iterator[Frame]:
        wait = LOOK_AT_MOST if self._spacing > ALL_KEYS else ALL_KEYS
        if coded.key and (not self._waiting or coded.time - self._waiting[0].time >= wait):
            frame = self._capture.alone(coded)
            if frame is not None and self._keys.changed(frame.luma):
                yield from self._wake([*self._waiting, coded])
                return
            self._waiting = [coded]
            if frame is not None:
                self._capture.skip(frame, coded)
                yield frame
            if not self.asleep:  # whoever looked at it wants to see what follows
                yield from self._wake([coded])
            return
        self._waiting.append(coded)
        if self._sizes.surges(coded) or self._waiting[-1].time - self._waiting[0].time > REACH:
            yield from self._wake(self._waiting)

    def _wake(self, packets: Sequence[Coded]) -> Iterator[Frame]:
        self.asleep, self._waiting = False, []
        self._wakened = True
        self._stirred = packets[-1].time
        self._linger = PROBATION
        for coded in packets:
            yield from self._capture.decode(coded)
