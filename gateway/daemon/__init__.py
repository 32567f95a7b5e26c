"""The daemon: builds every part from the plan, runs them in one TaskGroup, stops them in order. Read this first."""

from gateway.daemon.run import run

__all__ = ["run"]
