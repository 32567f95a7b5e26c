"""The numbers of GB/T 26875.3-2011 in words: states, systems, components, kinds of values, operations."""

from __future__ import annotations

from typing import NamedTuple

# Bits of the state of a system (type 1) and of a component (type 2), which has only the first nine.
STATES = {
    "run": 0, "fire": 1, "fault": 2, "shielded": 3, "supervised": 4, "started": 5, "feedback": 6, "delay": 7,
    "mains-fault": 8, "backup-fault": 9, "bus-fault": 10, "manual": 11, "changed": 12, "reset": 13,
}  # fmt: skip
COMPONENT_MASK = 0x01FF
# Bits of the transmission device itself (type 21).
DEVICE_STATES = {
    "run": 0, "fire": 1, "fault": 2, "mains-fault": 3, "backup-fault": 4, "channel-fault": 5, "line-fault": 6,
}  # fmt: skip
# What makes a state worth a record: run, manual and the changes of configuration are how things are.
ALERTS = frozenset(
    {
        "fire", "fault", "shielded", "supervised", "started", "feedback", "delay", "mains-fault", "backup-fault",
        "bus-fault", "channel-fault", "line-fault",
    }
)  # fmt: skip
FAULTS = ("fault", "mains-fault", "backup-fault", "bus-fault", "channel-fault", "line-fault")
# Bits of an operation at a panel (type 4) and at the transmission device (type 24).
OPERATIONS = ("reset", "silence", "manual-alarm", "alarm-cleared", "self-test", "confirm", "test")
DEVICE_OPERATIONS = ("reset", "silence", "manual-alarm", "alarm-cleared", "self-test", "duty-answer", "test")

SYSTEMS = {
    0: "general", 1: "fire alarm", 10: "linkage controller", 11: "hydrants", 12: "sprinklers", 13: "gas extinguishing",
    14: "water spray (pumps)", 15: "water spray (pressure)", 16: "foam", 17: "dry powder", 18: "smoke control",
    19: "fire doors and shutters", 20: "fire lift", 21: "emergency broadcast", 22: "emergency lighting",
    23: "fire power supply", 24: "fire telephone",
}  # fmt: skip
COMPONENTS = {
    0: "component", 1: "controller", 10: "combustible gas detector", 11: "point gas detector",
    12: "independent gas detector", 13: "line gas detector", 16: "electrical fire monitor",
    17: "residual current detector", 18: "temperature detector", 21: "detection loop", 22: "repeater panel",
    23: "manual call point", 24: "hydrant button", 25: "fire detector", 30: "heat detector", 31: "heat detector",
    32: "heat detector", 33: "heat detector", 34: "heat detector", 35: "heat detector", 36: "heat detector",
    37: "heat detector", 40: "smoke detector", 41: "ionisation smoke detector", 42: "photoelectric smoke detector",
    43: "beam smoke detector", 44: "aspirating smoke detector", 50: "combined detector", 51: "smoke and heat detector",
    52: "combined detector", 53: "combined detector", 61: "ultraviolet flame detector", 62: "infrared flame detector",
    69: "light detector", 74: "gas detector", 78: "image detector", 81: "gas fire controller", 84: "module",
    85: "input module", 86: "output module", 87: "input and output module", 88: "repeater module", 91: "fire pump",
    92: "water tank", 95: "sprinkler pump", 96: "flow switch", 97: "signal valve", 98: "alarm valve",
    99: "pressure switch", 101: "valve", 102: "valve", 103: "valve", 104: "valve", 105: "valve", 106: "fire door",
    111: "smoke fan", 113: "smoke damper", 114: "smoke damper", 115: "smoke damper", 116: "smoke damper",
    117: "fire shutter", 118: "fire shutter controller", 121: "alarm device",
}  # fmt: skip


class Kind(NamedTuple):
    """A kind of analogue value: ``step`` is what 1 of the number means in ``unit``, as a decimal text."""

    name: str
    unit: str
    step: str


ANALOGUE = {
    1: Kind("count", "", "1"),
    2: Kind("height", "m", "0.01"),
    3: Kind("temperature", "°C", "0.1"),
    4: Kind("pressure", "MPa", "0.1"),
    5: Kind("pressure", "kPa", "0.1"),
    6: Kind("gas", "%LEL", "0.1"),
    7: Kind("time", "s", "1"),
    8: Kind("voltage", "V", "0.1"),
    9: Kind("current", "A", "0.1"),
    10: Kind("flow", "L/s", "0.1"),
    11: Kind("air-volume", "m³/min", "0.1"),
    12: Kind("wind", "m/s", "1"),
}


def words(state: int, names: dict[str, int]) -> list[str]:
    """The names of the bits that are set."""
    return [name for name, bit in names.items() if state >> bit & 1]


def component_name(number: int) -> str:
    """What a type of component is called; 128 and above are the maker's own."""
    return COMPONENTS.get(number, f"component of type {number}")


def system_name(number: int) -> str:
    """What a type of system is called; 128 and above are the maker's own."""
    return SYSTEMS.get(number, f"system of type {number}")
