"""One connection to the broker; the one place that reaches through aiomqtt into paho, for what aiomqtt hides."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any

import aiomqtt
from aiomqtt.types import PahoSocket
from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.uplink import reasons
from gateway.uplink.address import Broker
from gateway.uplink.answers import Ack
from gateway.uplink.dial import ConnectionFailedError, dial

KEEP_ALIVE = 15
CONNACK_SECONDS = 10.0
SIDE_SECONDS = 30.0
# Publishes beside the outbox that may wait for their PUBACK at once: so many places it leaves free.
SIDE_PLACES = 2
# A link that is back within this time never looked offline: the will waits, and the session with it.
WILL_DELAY = 5
LARGEST_COMMAND = 64 * 1024
COMMANDS_WAITING = 32
RECEIVE_MAXIMUM = 65535  # MQTT 5.0, 3.2.2.3.3: the value when the broker names none
LARGEST_PACKET = 268_435_455

# paho speaks per packet at DEBUG and repeats at ERROR what ends the connection, which is said once by the uplink.
paho_log = logging.getLogger("linli.uplink.paho")
paho_log.setLevel(logging.CRITICAL)

# Measured: mosquitto refuses a large publish with PUBACK 0x95. MQTT 5.0, 3.4.2.1 does not list that code for PUBACK,
# so paho takes the packet for malformed and drops the connection. Every code from 0x80 is a refusal and nothing else.
ReasonCode.names = {
    **ReasonCode.names,
    **{
        code: {name: [*packets, PacketTypes.PUBACK] for name, packets in ReasonCode.names[code].items()}
        if code in ReasonCode.names
        else {reasons.meaning(code): [PacketTypes.PUBACK]}
        for code in range(0x80, 0x100)
        if not any(PacketTypes.PUBACK in packets for packets in ReasonCode.names.get(code, {}).values())
    },
}


def properties(packet: int, **values: Any) -> Properties:  # noqa: ANN401 - each property has its own type
    """Build MQTT 5 properties (2.2.2.2) for a kind of packet, by paho's names."""
    built = Properties(packet)  # type: ignore[no-untyped-call] # paho does not annotate it
    for name, value in values.items():
        setattr(built, name, value)
    return built


class Session(aiomqtt.Client):
    """A connection from CONNECT to its end. A reconnect is a new session, so paho never holds a message of ours."""

    def __init__(
        self,
        broker: Broker,
        gateway: str,
        *,
        will: aiomqtt.Will,
        clean: bool,
        user: str | None,
        password: str | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        connect = properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=WILL_DELAY,
            ReceiveMaximum=COMMANDS_WAITING,
            MaximumPacketSize=LARGEST_COMMAND,
        )
        super().__init__(
            broker.host,
            broker.port,
            identifier=gateway,
            protocol=aiomqtt.ProtocolVersion.V5,
            username=user,
            password=password,
            will=will,
            clean_start=clean,
            keepalive=KEEP_ALIVE,
            properties=connect,
            max_queued_incoming_messages=COMMANDS_WAITING,
            max_inflight_messages=0,  # the outbox counts; paho must send at once what it is given
            logger=paho_log,
        )
        self._broker, self._tls = broker, tls
        self._acks: dict[int, Callable[[Ack], None]] = {}
        self._farewell: Ack | None = None
        self._taps: dict[str, Callable[[bytes], None]] = {}
        self._side = asyncio.Semaphore(SIDE_PLACES)
        self.receive_maximum = RECEIVE_MAXIMUM
        self.largest_packet = LARGEST_PACKET
        self.round_trip = 0.0

    # ------------------------------------------------------------------------------------------------ life

    async def open(self) -> None:
        """Connect; ConnectionFailedError in one sentence otherwise."""
        dialled = await dial(self._broker, self._tls)
        # paho would dial and shake hands in the loop's thread pool, where neither a stop nor a cancel can reach it.
        self._client._create_socket = lambda: dialled  # type: ignore[method-assign]  # noqa: SLF001
        began = self._loop.time()
        self._client_connect()
        try:
            async with asyncio.timeout(CONNACK_SECONDS):
                await self._connected
        except TimeoutError:
            raise ConnectionFailedError(f"{self._broker.url} takes the connection but does not answer") from None
        except aiomqtt.MqttCodeError as error:
            code = error.rc.value if isinstance(error.rc, ReasonCode) else 0x80
            text = self._farewell.text if self._farewell else ""
            raise ConnectionFailedError(reasons.connect_sentence(code, text), code, refused=True) from None
        self.round_trip = self._loop.time() - began

    @property
    def ended(self) -> bool:
        """Whether the connection is over."""
        return self._disconnected.done()

    async def lost(self) -> ConnectionFailedError:
        """Wait for the end of the connection and say why it ended."""
        await asyncio.wait((self._disconnected,))
        error = self._disconnected.exception()
        if self._farewell is not None:
            code, text, _ = self._farewell
            said = f' ("{text}")' if text else ""
            hint = ": another client uses this gateway's id" if code == reasons.TAKEN_OVER else ""
            sentence = f"the broker ends the connection with {reasons.name(code)} {reasons.meaning(code)}{said}{hint}"
            return ConnectionFailedError(sentence, code)
        if error is not None and not isinstance(error, aiomqtt.MqttError):
            return ConnectionFailedError(f"the connection to {self._broker.url} broke: {error}")
        return ConnectionFailedError(f"the connection to {self._broker.url} broke")

    async def close(self, *, politely: bool = False) -> None:
        """End the connection: with a DISCONNECT, so that the will is dropped, or at once."""
        if politely and not self._disconnected.done() and self._client.disconnect() == MQTT_ERR_SUCCESS:
            await asyncio.wait((self._disconnected,), timeout=1.0)
        self._client._sock_close()  # noqa: SLF001 - paho has no public call that closes without a goodbye
        for future in (self._connected, self._disconnected):
            if future.done() and not future.cancelled():
                future.exception()  # seen: asyncio must not complain about it later
        if self._misc_task is not None:
            self._misc_task.cancel()
            await asyncio.wait((self._misc_task,))

    # ------------------------------------------------------------------------------------------------ publish

    @property
    def unacknowledged(self) -> int:
        """Publishes of QoS 1 that wait for their PUBACK."""
        return len(self._acks)

    def send(
        self, topic: str, payload: bytes, done: Callable[[Ack], None], *, about: Properties, retain: bool = False
    ) -> None:
        """Publish with QoS 1; ``done`` is called with the answer, or never when the connection ends before."""
        info = self._client.publish(topic, payload, 1, retain, about)
        if info.rc != MQTT_ERR_SUCCESS:
            raise ConnectionFailedError(f"the connection to {self._broker.url} broke")
        self._acks[info.mid] = done

    async def deliver(self, topic: str, payload: bytes, *, about: Properties, retain: bool = False) -> Ack:
        """Publish beside the outbox and wait for the answer; without room for it under the broker's receive
        maximum it goes with QoS 0 and counts as taken."""
        if self.receive_maximum < 3:
            self._client.publish(topic, payload, 0, retain, about)
            return Ack(0, "")
        answer: asyncio.Future[Ack] = self._loop.create_future()

        def done(ack: Ack) -> None:
            if not answer.done():
                answer.set_result(ack)

        async with self._side:
            self.send(topic, payload, done, about=about, retain=retain)
            await asyncio.wait((answer, self._disconnected), timeout=SIDE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ConnectionFailedError(f"{self._broker.url} does not acknowledge what is sent on {topic}")
        return answer.result()

    # ------------------------------------------------------------------------------------------------ receive

    async def listen(self, topic: str, tap: Callable[[bytes], None] | None = None) -> int:
        """Subscribe with QoS 1, without what is retained; returns the broker's reason code.

        ``tap`` takes every payload at once; without it messages wait for ``receive``, and too many are dropped.
        """
        if tap is not None:
            self._taps[topic] = tap
        result, mid = self._client.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=2))
        if result != MQTT_ERR_SUCCESS or mid is None:
            raise ConnectionFailedError(f"the connection to {self._broker.url} broke")
        # Not aiomqtt's subscribe(): Python 3.11's wait_for in it swallows a cancel that comes with the answer.
        answer: asyncio.Future[tuple[int, ...] | list[ReasonCode]] = self._loop.create_future()
        self._pending_subscribes[mid] = answer
        await asyncio.wait((answer, self._disconnected), timeout=SIDE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ConnectionFailedError(f"{self._broker.url} does not answer a subscription to {topic}")
        return max(code.value if isinstance(code, ReasonCode) else code for code in answer.result())

    async def receive(self) -> aiomqtt.Message | None:
        """Return the next message, or None when the connection has ended."""
        try:
            return await anext(self.messages)
        except aiomqtt.MqttError:
            return None

    # ------------------------------------------------------------------------------------------------ paho calls

    def _on_connect(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        flags: ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if properties is not None:
            self.receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)
            self.largest_packet = getattr(properties, "MaximumPacketSize", LARGEST_PACKET)
            self._farewell = _ack(reason_code, properties) if reason_code.is_failure else None
            # MQTT 5.0, 3.2.2.3.14 lets the broker ask for another keep alive. A shorter one holds; we may well ping
            # more often than a longer one asks, and so find out in time that a connection is dead.
            client._keepalive = min(client._keepalive or KEEP_ALIVE, KEEP_ALIVE)  # noqa: SLF001
            if getattr(properties, "MaximumQoS", 1) < 1:
                reason_code = ReasonCode(PacketTypes.CONNACK, identifier=0x9B)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._farewell = _ack(reason_code, properties)
        if not self._connected.done():
            # aiomqtt would wait for its timeout, though nothing can come any more.
            why = "does it take our client certificate, and is it" if self._broker.tls else "is it"
            sentence = f"{self._broker.url} hangs up without an answer: {why} an MQTT 5 broker, and the right port?"
            self._connected.set_exception(ConnectionFailedError(sentence))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_message(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        message: MQTTMessage,
    ) -> None:
        tap = self._taps.get(message.topic)
        if tap is not None:
            tap(bytes(message.payload))
        else:
            super()._on_message(client, userdata, message)

    def _on_publish(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        # Measured: aiomqtt's own publish() returns normally on PUBACK 0x87; here is where the code is still to be had.
        done = self._acks.pop(mid, None)
        if done is not None:
            done(_ack(reason_code, properties))

    def _on_socket_register_write(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        sock: PahoSocket,
    ) -> None:
        # All of paho runs in the loop here, so no detour through call_soon: the descriptor cannot be closed meanwhile.
        self._loop.add_writer(sock.fileno(), client.loop_write)


def _ack(reason: ReasonCode, properties: Properties | None) -> Ack:
    return Ack(int(reason.value), reasons.clean(getattr(properties, "ReasonString", "")))
