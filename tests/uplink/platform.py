"""A platform at the other end of a real broker: collects batches and asks commands, with its own paho client."""

import asyncio
import contextlib
import json
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Platform:
    """Subscribes to everything of one gateway and remembers it."""

    def __init__(self, port: int, gateway: str = "gw", **options: Any) -> None:
        self._client = aiomqtt.Client(
            "127.0.0.1",
            port,
            protocol=aiomqtt.ProtocolVersion.V5,
            identifier=options.pop("identifier", None),
            **options,
        )
        self._gateway = gateway
        self.messages: list[aiomqtt.Message] = []
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.states: list[dict[str, Any]] = []
        self.answers: dict[bytes, aiomqtt.Message] = {}
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Platform":
        await self._client.__aenter__()
        await self._client.subscribe(f"linli/v1/{self._gateway}/+", qos=1)
        await self._client.subscribe("answers/#", qos=1)
        self._task = asyncio.ensure_future(self._collect())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(aiomqtt.MqttError):  # the broker may have gone first
            await self._client.__aexit__(None, None, None)

    async def until(self, condition: Any, seconds: float = 15.0) -> None:
        """Wait until the condition holds of what arrived."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()

    def sequences(self, stream: str) -> list[int]:
        return [int(event["sequence"]) for event in self.events.get(stream, [])]

    async def ask(self, verb: str, correlation: bytes, payload: Any, response: str = "answers/1") -> aiomqtt.Message:
        """Send a command and wait for its answer."""
        await self.send(verb, correlation, payload, response)
        await self.until(lambda: correlation in self.answers)
        return self.answers.pop(correlation)

    async def send(self, verb: str, correlation: bytes, payload: Any, response: str = "answers/1") -> None:
        about = Properties(PacketTypes.PUBLISH)
        if response:
            about.ResponseTopic = response
        if correlation:
            about.CorrelationData = correlation
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self._client.publish(f"linli/v1/{self._gateway}/cmd/{verb}", body, qos=1, properties=about)

    async def _collect(self) -> None:
        async for message in self._client.messages:
            levels = str(message.topic).split("/")
            if levels[0] == "answers":
                self.answers[getattr(message.properties, "CorrelationData", b"")] = message
            elif levels[-1] == "state":
                self.states.append(json.loads(message.payload))
            else:
                self.messages.append(message)
                self.events.setdefault(levels[-1], []).extend(json.loads(message.payload))
            self._arrived.set()
