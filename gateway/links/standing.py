"""Whether a line can be used, why not, and who waits to hear of it; the same for lines we ask and lines that call."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from gateway.contract import LineKind, LinkError

log = logging.getLogger("linli.links")


class Standing:
    """States: ``opening`` (first try), ``open``, ``down``; ``reason`` and ``sentence`` say why it is down."""

    def __init__(self, name: str, kind: LineKind, address: str) -> None:
        self.name, self.kind, self.address = name, kind, address
        self.state, self.reason, self.sentence = "opening", "", ""
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for the next change of ``state``."""
        await self._changed.wait()

    def _view(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind.value,
            "address": self.address,
            "state": self.state,
            "reason": self.reason,
            "sentence": self.sentence,
        }

    def _fall(self, error: LinkError, *, quiet: bool = False) -> None:
        """The line is down: tell the log once an outage."""
        first = self.state != "down"
        if first and not quiet:
            log.warning("line %s: %s", self.name, error)
        self.reason, self.sentence = error.reason, str(error)
        if first:
            self._enter("down")

    def _enter(self, state: str) -> None:
        self.state = state
        if state == "open":
            self.reason = self.sentence = ""
        self._changed.set()
        self._changed = asyncio.Event()
