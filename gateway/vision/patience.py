"""How long a camera's worker may say nothing before it is ended: longer at its start, and longer after a slow one."""

from gateway.vision.messages import Message, Opened, Shut

SILENT = 9.5  # seconds without a word after which a worker hangs: it says something every second
STARTS = 20.0  # seconds that a worker may take to load its libraries and models on a slow machine
LONGEST_START = 160.0  # seconds that it gets after others had too few: cameras that start together share the machine
SLOW = "this machine is slow to start its cameras: wait, it gets there by itself; if not, give it less to do"


class Patience:
    """With the workers of one camera, one after the other."""

    def __init__(self) -> None:
        self._start, self._opening = STARTS, True

    @property
    def seconds(self) -> float:
        """How long the next message is waited for."""
        return self._start if self._opening else SILENT

    def begin(self) -> None:
        """Another worker starts; what the last one lacked it has."""
        self._opening = True

    def heard(self, message: Message) -> None:
        """It has said something; once it gives pictures its start was no slow one."""
        if isinstance(message, Opened):
            self._start = STARTS
        self._opening = isinstance(message, Shut) or (self._opening and not isinstance(message, Opened))

    def spent(self, suspect: str) -> str:
        """It has said nothing for too long: a sentence, and twice the time for the next if this one was starting.

        ``suspect`` is the model that was at work, or empty.
        """
        silent = f"the worker has been silent for {self.seconds:g} s"
        if not self._opening:
            return f"{silent} and is started anew; {f'model {suspect} was at work' if suspect else 'check the camera'}"
        self._start = min(2 * self._start, LONGEST_START)
        at = f", with model {suspect} at work," if suspect else ""
        return f"{silent} at its start{at} and is started anew with {self._start:g} s; {SLOW}"
