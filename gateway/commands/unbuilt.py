"""Rows of status for what is configured but does not run, because this version cannot run it yet."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.commands.diagnosis import Problem
from gateway.settings import CameraSettings, DeviceSettings, LineSettings

PREFIX = "not built: "


class Unbuilt:
    """Makes the rows; the sentences come from the notices of the start (``device NAME``, ``not built: …``)."""

    def __init__(self, notices: Iterable[Problem]) -> None:
        self._notices = {notice["part"]: notice for notice in notices}

    def device(self, device: DeviceSettings) -> dict[str, Any]:
        """A device without a driver, or on a line that does not run."""
        return {
            "name": device.name,
            "model": device.profile or "",
            "line": device.line,
            "address": device.address,
            **self._state("device", device.name, "offline", "its driver or its kind of line is not built yet"),
            "last": {},
            "polls": 0,
            "errors": 0,
        }

    def camera(self, camera: CameraSettings) -> dict[str, Any]:
        """A camera that is to see what cannot be seen yet."""
        state = self._state("camera", camera.name, "offline", "what it is to see is not built yet")
        return {
            "name": camera.name,
            "purpose": camera.purpose,
            "url": camera.url,
            **state,
            "text": state["sentence"],
            "size": None,
            "frames": {},
            "last_picture": None,
            "last_passages": [],
        }

    def line(self, line: LineSettings) -> dict[str, Any]:
        """A line of a kind that cannot be opened yet."""
        return {
            "name": line.name,
            "kind": line.kind.value,
            "address": str(line.serial or line.tcp or line.udp or line.listen),
            **self._state("line", line.name, "down", "this kind of line is not built yet"),
            "busy": 0.0,
            "transactions": 0,
            "errors": 0,
        }

    def _state(self, kind: str, name: str, state: str, otherwise: str) -> Mapping[str, Any]:
        notice = self._notices.get(f"{kind} {name}")
        sentence = notice["text"].removeprefix(PREFIX) if notice else otherwise
        return {
            "state": state,
            "reason": "not_built",
            "sentence": sentence,
            "since": notice["since"] if notice else None,
        }
