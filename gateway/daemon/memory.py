"""What drivers have learned of their devices: kept among the store's facts, bound to the device it was learned of."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.settings.resolve import ResolvedDevice
from gateway.store import Store

PREFIX = "learned/"


class LearnedFacts:
    """A ``Memory`` (see gateway.sources): a device of another model, driver or address begins anew."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def recall(self, device: ResolvedDevice) -> Mapping[str, Any]:
        """Return what was kept for this very device; empty when nothing was, or of another."""
        raw = self._store.facts(PREFIX).get(PREFIX + device.name)
        if raw is None:
            return {}
        try:
            kept = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.DecodeError:
            return {}
        learned = kept.get("learned")
        return learned if kept.get("of") == _identity(device) and isinstance(learned, dict) else {}

    async def keep(self, device: ResolvedDevice, learned: Mapping[str, Any]) -> None:
        """Keep this, as JSON, in place of what was kept before."""
        raw = msgspec.json.encode({"of": _identity(device), "learned": learned})
        await self._store.put([], facts={PREFIX + device.name: raw})


def _identity(device: ResolvedDevice) -> list[str]:
    return [device.spec.driver, device.model, str(device.spec.address)]
