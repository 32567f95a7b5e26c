"""What a fire station reports, as happenings: one for every change of a component, system or device, and operation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drivers.gb26875.memory import alerts, part_of, place_of
from drivers.gb26875.objects import ComponentState, Operated, SystemKey
from drivers.gb26875.words import (
    DEVICE_OPERATIONS,
    FAULTS,
    OPERATIONS,
    STATES,
    component_name,
    system_name,
    words,
)
from gateway.links.calls import Happening

STATION = "the station itself"


def of_component(said: ComponentState, before: int) -> Happening | None:
    """A component's state has changed; None when it has not, as far as it matters."""
    data = {
        "system": _system(said.key.system),
        "component": {
            "type": said.type,
            "name": component_name(said.type),
            "circuit": said.key.circuit,
            "number": said.key.number,
        },
        **({"note": said.note} if said.note else {}),
    }
    return _change(part_of(said), alerts(said.state, STATES), alerts(before, STATES), data, said.time)


def of_system(
    state: int, before: int, names: dict[str, int], time: datetime | None, key: SystemKey | None
) -> Happening | None:
    """The state of a system, or of the station itself, has changed."""
    what = STATION if key is None else place_of(key)
    data = {} if key is None else {"system": _system(key)}
    return _change(what, alerts(state, names), alerts(before, names), data, time)


def of_operation(said: Operated) -> tuple[Happening, bool, bool, bool]:
    """Somebody operated a panel or the station: what, and whether it calls a fire, ends such a call, resets."""
    names = OPERATIONS if said.system is not None else DEVICE_OPERATIONS
    done = words(said.flags, {name: bit for bit, name in enumerate(names)})
    called = "manual-alarm" in done
    what = STATION if said.system is None else place_of(said.system)
    data: dict[str, Any] = {
        "event": "manual_alarm" if called else "operation",
        "text": f"{', '.join(done) or 'an operation'} at {what}, operator {said.operator}",
        "states": done,
        "operator": said.operator,
        **({} if said.system is None else {"system": _system(said.system)}),
    }
    over = not called and ("alarm-cleared" in done or "reset" in done)
    return Happening(data, alarm=called, time=said.time), called, over, "reset" in done


def _change(
    what: str, now: list[str], before: list[str], data: Mapping[str, Any], time: datetime | None
) -> Happening | None:
    begun, over = [name for name in now if name not in before], [name for name in before if name not in now]
    if not begun and not over:
        return None
    event = "over"
    if begun:
        event = "fire" if "fire" in begun else "fault" if set(begun) & set(FAULTS) else "state"
    text = f"{', '.join(begun)}: {what}" if begun else f"over ({', '.join(over)}): {what}"
    whole = {"event": event, "text": text, "states": now, **({"over": over} if over else {}), **data}
    return Happening(whole, alarm="fire" in begun or "fire" in over, time=time)


def _system(key: SystemKey) -> dict[str, Any]:
    return {"type": key.type, "name": system_name(key.type), "address": key.address}
