"""Where the daemon's local socket lies: beside its records, or in memory while their disk cannot be written."""

import hashlib
import os
from pathlib import Path

SOCKET_NAME = "linli.sock"
RUNTIME = Path("/run/linli")  # RuntimeDirectory= of the unit


def spare_socket(state: Path) -> Path:
    """The socket of the daemon with this state directory while that cannot be written."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(state))).hexdigest()[:16]
    return RUNTIME / f"{name}.sock"
