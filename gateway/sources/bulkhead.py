"""The one bulkhead of the gateway: a bug in a driver costs its own device, and no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.contract import DeviceError, LinkError, LinliError

log = logging.getLogger("linli.sources")


class DriverBugError(LinliError):
    """A driver failed in a way that it must not; the log has the trace, and the driver is to be made anew."""


@contextmanager
def bulkhead(device: str, driver: str) -> Iterator[None]:
    """Let a driver work: DeviceError and LinkError pass, anything else becomes a DriverBugError and a log entry."""
    try:
        yield
    except (DeviceError, LinkError):
        raise
    except Exception as error:
        log.exception("device %s: driver %s failed; it is restarted", device, driver)
        raise DriverBugError(f"the driver {driver} has an error; report the log of the gateway") from error
