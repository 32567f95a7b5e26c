"""What a fire station has said so far and what of it still holds: components, systems, the device, manual alarms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from drivers.gb26875.objects import ComponentKey, ComponentState, SystemKey
from drivers.gb26875.words import ALERTS, DEVICE_STATES, FAULTS, STATES, component_name, system_name, words

MOST_COMPONENTS = 4096  # not normal, at once; a site has fewer parts, and a hostile peer gets no more
MOST_SYSTEMS = 256
FIRE_MASK = 1 << STATES["fire"]
ALERT_MASK = sum(1 << bit for name, bit in STATES.items() if name in ALERTS)
Known = Literal["never", "before", "yes"]


@dataclass(slots=True)
class Memory:
    """States by address. Components without an alert are forgotten, unless a point names them.

    ``known``: whether the station's word covers everything: ``never`` since we started, or only ``before`` it was
    silent. ``vouched``: systems that were wholly without fire, or reset, since; all that are ``heard`` of make ``yes``.
    ``overfull``: more components reported alerts than are kept, so that nothing counts as over.
    """

    named: frozenset[ComponentKey]
    components: dict[ComponentKey, ComponentState] = field(default_factory=dict)
    systems: dict[SystemKey, int] = field(default_factory=dict)
    device: int | None = None
    manual: bool = False
    known: Known = "never"
    overfull: bool = False
    heard: set[SystemKey] = field(default_factory=set)
    vouched: set[SystemKey] = field(default_factory=set)

    def vouch(self, system: SystemKey | None) -> None:
        """A system as a whole (or, None, the station) has said that nothing of it burns."""
        if system is not None:
            self._hear(system)
            self.vouched.add(system)
        if system is None or self.heard <= self.vouched:
            self.known = "yes"

    def doubt(self) -> None:
        """Nothing is sure until it is said again."""
        self.vouched.clear()
        if self.known == "yes":
            self.known = "before"

    def take_component(self, said: ComponentState) -> int:
        """Remember a component's state; return the one before, 0 when it was not known."""
        self._hear(said.key.system)
        before = self.components.pop(said.key, None)
        if said.state & ALERT_MASK or said.key in self.named:
            if len(self.components) >= MOST_COMPONENTS + len(self.named):
                self.overfull = True
            else:
                self.components[said.key] = said
        return before.state if before else 0

    def take_system(self, key: SystemKey, state: int) -> int:
        """Remember a system's state; return the one before, 0 when it was not known."""
        self._hear(key)
        before = self.systems.get(key, 0)
        if key in self.systems or len(self.systems) < MOST_SYSTEMS:
            self.systems[key] = state
        else:
            self.overfull = self.overfull or bool(state & ALERT_MASK)
        return before

    def reset(self, system: SystemKey | None) -> None:
        """A panel (or, None, the station as a whole) was reset: what it had reported is over until said again."""
        self.clear(system, ALERT_MASK)
        if system is None:
            self.manual = self.overfull = False
            if self.device is not None:
                self.device &= ~(1 << DEVICE_STATES["fire"])

    def clear(self, system: SystemKey | None, mask: int) -> None:
        """Some states are over in a system, or everywhere."""
        for key, said in list(self.components.items()):
            if system is None or key.system == system:
                self.components[key] = replace(said, state=said.state & ~mask)
                if not self.components[key].state & ALERT_MASK and key not in self.named:
                    del self.components[key]
        for system_key in [key for key in self.systems if system is None or key == system]:
            self.systems[system_key] &= ~mask
        self.vouch(system)

    def burning(self, state: str) -> Iterator[ComponentState]:
        """The components that say so now, the newest last."""
        mask = 1 << STATES[state] if state in STATES else 0
        return (said for said in self.components.values() if said.state & mask)

    def anything(self, state: str) -> bool:
        """Whether anything says so; ``fault`` is a fault of any kind, a ``fire`` may be called by hand, too."""
        if self.overfull or (state == "fire" and self.manual):
            return True
        names = FAULTS if state == "fault" else (state,)
        mask = sum(1 << STATES[name] for name in names if name in STATES)
        device_mask = sum(1 << DEVICE_STATES[name] for name in names if name in DEVICE_STATES)
        return (
            any(said.state & mask for said in self.components.values())
            or any(state_ & mask for state_ in self.systems.values())
            or bool((self.device or 0) & device_mask)
        )

    def places(self, state: str) -> list[str]:
        """What says so beside components: systems, somebody by hand, the station itself."""
        system_mask = 1 << STATES[state] if state in STATES else 0
        device_mask = 1 << DEVICE_STATES[state] if state in DEVICE_STATES else 0
        found = [
            f"{key.type}/{key.address} {system_name(key.type)}"
            for key, state_ in self.systems.items()
            if state_ & system_mask
        ]
        if state == "fire" and self.manual:
            found.append("manual alarm")
        if (self.device or 0) & device_mask:
            found.append("the station itself")
        return found

    def _hear(self, system: SystemKey) -> None:
        if len(self.heard) < MOST_SYSTEMS:
            self.heard.add(system)


def place_of(key: SystemKey) -> str:
    """Where a system is, in words."""
    return f"{system_name(key.type)} {key.address}"


def part_of(said: ComponentState) -> str:
    """Which component it is, in words and by its address, with the station's own text."""
    where = f"{component_name(said.type)}, circuit {said.key.circuit}, number {said.key.number}"
    return f"{where} of {place_of(said.key.system)}" + (f": {said.note}" if said.note else "")


def alerts(state: int, names: dict[str, int]) -> list[str]:
    """The alerts among the bits of a state, the gravest first."""
    return [name for name in words(state, names) if name in ALERTS]
