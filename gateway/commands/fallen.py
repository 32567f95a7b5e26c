"""Answers the verbs about falls: what was recorded, what people say of it, and drop tests."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.commands.droptest import DropTests, Tried
from gateway.commands.falling import Falls
from gateway.contract import Clock

if TYPE_CHECKING:
    from gateway.settings import CameraSettings
    from gateway.store import Store


class Fallen:
    """For one gateway; ``camera`` finds one by its name, CommandError 404 without it."""

    def __init__(
        self, store: "Store", clock: Clock, cameras: "Sequence[CameraSettings]", camera: Callable[[str], Tried]
    ) -> None:
        self._falls, self._camera = Falls(store, clock, cameras), camera
        self._tests = DropTests(store, clock, self._falls)

    async def answer(self, verb: str, values: Mapping[str, Any], actor: str) -> dict[str, Any]:
        """Do ``verb`` with checked arguments for ``actor``."""
        if verb == "falls":
            return await self._falls.recent(values["days"], values["last"])
        if verb == "fall-label":
            return await self._falls.label(values["record"], values["label"], values["why"], actor)
        if verb == "falls-export":
            return await self._falls.export(values["days"], values["reason"], actor)
        if verb == "drop-tests":
            return self._tests.last()
        name, seconds = values["camera"], values["seconds"]
        camera = self._camera(name)
        if seconds:
            return await self._tests.begin(name, camera, seconds, actor)
        return await self._tests.end(name, camera, values["throws"], actor)
