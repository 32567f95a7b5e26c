"""The one bulkhead of the gateway: a bug in a driver costs its own device, and no other."""

from __future__ import annotations

import logging
from types import TracebackType

from gateway.contract import DeviceError, LinkError, LinliError

log = logging.getLogger("linli.sources")


class DriverBugError(LinliError):
    """A driver failed in a way that it must not; the log has the trace, and the driver is to be made anew."""


class bulkhead:  # noqa: N801 - stands behind ``with``; a class, for it is passed at every poll and costs a third
    """Let a driver work: DeviceError and LinkError pass, anything else becomes a DriverBugError and a log entry."""

    __slots__ = ("_device", "_driver")

    def __init__(self, device: str, driver: str) -> None:
        self._device, self._driver = device, driver

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, raised: BaseException | None, _at: TracebackType | None) -> None:
        if raised is None:
            return
        try:
            raise raised
        except (DeviceError, LinkError):
            raise
        except Exception as error:
            log.exception("device %s: driver %s failed; it is restarted", self._device, self._driver)
            raise DriverBugError(f"the driver {self._driver} has an error; report the log of the gateway") from error
