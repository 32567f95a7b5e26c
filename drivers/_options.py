"""The options of a device: what a driver asks beside address and points, each checked where it is taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.contract import DeviceSpec
from gateway.settings.nearest import did_you_mean

ALWAYS = frozenset({"framing", "max_read", "gap"})  # keys of their own in the configuration


class Options:
    """Takes the options of one device; ``problems`` then holds one sentence ``options.KEY: what; fix`` a mistake."""

    def __init__(self, spec: DeviceSpec) -> None:
        self.problems: list[str] = []
        self._given = {key: value for key, value in spec.options.items() if key not in ALWAYS}
        self._known: list[str] = []

    def number(self, key: str, default: int, low: int, high: int) -> int:
        """Take a whole number from ``low`` to ``high``."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.problems.append(f"options.{key}: {value!r} does not fit; write a whole number from {low} to {high}")
            return default
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Take true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            self.problems.append(f"options.{key}: {value!r} does not fit; write true or false")
            return default
        return value

    def word(self, key: str, default: str, words: Iterable[str]) -> str:
        """Take one of some words."""
        value = self._take(key, default)
        if not isinstance(value, str) or value not in words:
            self.problems.append(f"options.{key}: {value!r} does not fit; write one of {', '.join(words)}")
            return default
        return value

    def text(self, key: str, default: str | None = None) -> str | None:
        """Take a text that is not empty."""
        value = self._take(key, default)
        if value is not None and (not isinstance(value, str) or not value):
            self.problems.append(f"options.{key}: {value!r} does not fit; write a text in quotes")
            return default
        return value

    def hexadecimal(self, key: str) -> bytes:
        """Take bytes written as ``"FF 07"``; empty without."""
        value = self._take(key, "")
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError):
            self.problems.append(f'options.{key}: {value!r} does not fit; write bytes in hexadecimal, such as "FF 07"')
            return b""

    def finish(self) -> list[str]:
        """Return all problems, unknown options among them; call it last."""
        for key in self._given:
            if key not in self._known:
                hint = did_you_mean(key, self._known, what="options: this driver has none")
                self.problems.append(f"options.{key}: there is no such option; {hint}")
        return self.problems

    def _take(self, key: str, default: object) -> Any:  # noqa: ANN401 - whatever the TOML holds
        self._known.append(key)
        return self._given.get(key, default)
