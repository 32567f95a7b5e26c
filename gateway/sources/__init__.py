"""Runs devices: pace, timeout, back-off, states; the only place that stamps a device's Reading."""

from typing import TYPE_CHECKING

from gateway.sources.source import Source

if TYPE_CHECKING:
    from gateway.sources.station import Station  # a site where nobody calls us does not load it

    AnySource = Source | Station

__all__ = ["Source"]
