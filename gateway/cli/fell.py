"""How a fall stands in the tables of the command line."""

from collections.abc import Mapping
from typing import Any

HEAD = ("floor", "size", "speed", "sure")


def measures(fall: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """The cells under ``HEAD`` of a fall as the gateway's answers have it; `-` for what is not known."""
    floor = "-" if fall["floor"] is None else str(fall["floor"])
    if fall["interval"] and fall["interval"][0] != fall["interval"][-1]:
        floor += f" ({fall['interval'][0]} to {fall['interval'][-1]})"
    size = "-" if fall["size_px"] is None else f"{fall['size_px']:g} px"
    size += f", {fall['size_cm']:g} cm" if fall["size_cm"] else ""
    speed = "-" if fall["impact_speed"] is None else f"{fall['impact_speed']:g} m/s"
    return floor, size, speed, f"{fall['confidence']:.2f}"
