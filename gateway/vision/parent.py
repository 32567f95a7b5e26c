"""What ties a worker process to the gateway that started it: it ends with it, and never ends without a word."""

import ctypes
import os
import queue
import signal
import sys
import threading
from types import TracebackType

import msgspec

from gateway.vision.messages import Ask, Peek, Stop

PR_SET_PDEATHSIG = 1


def end_with_parent(asked: "queue.SimpleQueue[Ask | Peek | Stop]") -> None:
    """Never outlive the gateway: the kernel ends us with it, and so does the end of our standard input."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def listen() -> None:
        for line in sys.stdin.buffer:
            asked.put(msgspec.json.decode(line, type=Ask | Peek | Stop))
        os._exit(0)

    threading.Thread(target=listen, name="parent", daemon=True).start()


def end_by(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The hook for what nobody has caught: said on standard error, and the end of it, whatever other threads do."""
    sys.__excepthook__(kind, error, trace)
    sys.stderr.flush()
    os._exit(1)
