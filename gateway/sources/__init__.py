"""Runs devices: pace, timeout, back-off, states; the only place that stamps a device's Reading."""

from gateway.sources.source import Source

__all__ = ["Source"]
