"""The program itself: its version, the Python below it, and the extras that the configuration needs."""

import platform
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from gateway import __version__
from gateway.cli.doctor.finding import Finding, Probe, ok, wrong
from gateway.cli.doctor.machine import Machine

OLDEST, NEWEST = (3, 11), (3, 13)
VISION = ("av", "cryptography", "numpy", "onnxruntime", "cv2")  # what the extra `vision` brings


def version(_machine: Machine) -> Iterator[Finding]:
    """Version and Python."""
    text = f"linli {__version__} on Python {platform.python_version()}, {platform.machine()}, in {sys.prefix}"
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        yield ok("", text)
    else:
        yield wrong(
            "", f"{text}: this Python is not supported", "use Python 3.11, 3.12 or 3.13: sudo packaging/install"
        )


def extras(machine: Machine) -> Iterator[Finding]:
    """What cameras need beyond the core; what drivers need is said by the configuration."""
    if machine.plan is None or not machine.plan.settings.camera:
        return
    missing = [name for name in VISION if find_spec(name) is None]
    if missing:
        what = f"cameras are configured, but the extra `vision` is not whole: {', '.join(missing)} missing"
        yield wrong("", what, "sudo packaging/install (without --sensors-only), or scripts/setup in a checkout")
    else:
        yield ok("", "the extra `vision`, which the cameras need, is installed")


PROBES = (Probe("the program", version), Probe("extras", extras))
