"""One connection to the broker; the one place that reaches through aiomqtt into paho, for what aiomqtt hides."""

import asyncio
import logging
import ssl
import struct
from collections.abc import Callable
from typing import Any

import aiomqtt
from aiomqtt.types import PahoSocket
from paho.mqtt.client import (
    MQTT_ERR_CONN_LOST,
    MQTT_ERR_KEEPALIVE,
    MQTT_ERR_PROTOCOL,
    MQTT_ERR_SUCCESS,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    time_func,
)
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import MQTTException, Properties  # type: ignore[attr-defined] # imported there
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.uplink import frames, reasons
from gateway.uplink.address import Broker
from gateway.uplink.answers import Ack
from gateway.uplink.dial import ConnectionFailedError, dial

KEEP_ALIVE = 15
CONNACK_SECONDS = 10.0
# So long without a byte while an answer is waited for, and we ask; no byte for so long again, and the link is dead.
DOUBT_SECONDS = 5.0
SIDE_SECONDS = 30.0
# Publishes beside the outbox that may wait for their PUBACK at once: so many places it leaves free.
SIDE_PLACES = 2
# A link that is back within this time never looked offline: the will waits, and the session with it.
WILL_DELAY = 5
LARGEST_COMMAND = 64 * 1024
COMMANDS_WAITING = 32
RECEIVE_MAXIMUM = 65535  # MQTT 5.0, 3.2.2.3.3: the value when the broker names none
LARGEST_PACKET = 268_435_455
READ_BYTES = 16 * 1024
REFUSED = 0x80
# What reading raises when the connection is over, and what paho raises on packets that are none.
UNREADABLE = (OSError, frames.MalformedError, MQTTException, ValueError, LookupError, AssertionError, struct.error)

# paho speaks per packet at DEBUG and repeats at ERROR what ends the connection, which is said once by the uplink.
paho_log = logging.getLogger("linli.uplink.paho")
paho_log.setLevel(logging.CRITICAL)


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
        self._topics: dict[str, bytes] = {}
        self._frames = frames.Frames()
        self._heard_at = self._waits_since = 0.0
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
        # Not awaited itself: a stop meanwhile would cancel the future, and aiomqtt asks it for its exception later.
        await asyncio.wait((self._connected,), timeout=CONNACK_SECONDS)
        if not self._connected.done():
            raise ConnectionFailedError(f"{self._broker.url} takes the connection but does not answer")
        try:
            self._connected.result()
        except aiomqtt.MqttCodeError as error:
            code = error.rc.value if isinstance(error.rc, ReasonCode) else 0x80
            text = self._farewell.text if self._farewell else ""
            sentence, discreet = reasons.connect_sentence(code, text), reasons.connect_sentence(code)
            raise ConnectionFailedError(sentence, code, refused=True, discreet=discreet) from None
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
            why = f"the broker ends the connection with {reasons.name(code)} {reasons.meaning(code)}"
            return ConnectionFailedError(f"{why}{said}{hint}", code, discreet=f"{why}{hint}")
        if error is not None and not isinstance(error, aiomqtt.MqttError):
            return ConnectionFailedError(f"the connection to {self._broker.url} broke: {error}")
        return ConnectionFailedError(f"the connection to {self._broker.url} broke")

    async def close(self, *, politely: bool = False) -> None:
        """End the connection: with a DISCONNECT, so that the will is dropped, or at once."""
        connected = self._connected.done() and not self._disconnected.done()
        if politely and connected and self._client.disconnect() == MQTT_ERR_SUCCESS:
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
        self, topic: str, payload: bytes, done: Callable[[Ack], None], *, about: bytes, retain: bool = False
    ) -> None:
        """Publish with QoS 1; ``done`` is called with the answer, or never when the connection ends before.

        ``about``: the packed properties, their length before them.
        """
        # Not paho's publish(): it works longer on a packet than the socket does, and it keeps a message that the outbox
        # keeps already. Packets go through paho's queue, so they never mix with its own.
        client = self._client
        number = client._mid_generate()  # noqa: SLF001
        while number in self._acks:
            number = client._mid_generate()  # noqa: SLF001
        name = self._topics.get(topic) or self._topics.setdefault(topic, frames.text(topic))
        packet = frames.publish(name, number, about, payload, retain=retain)
        client._out_packet.append(  # noqa: SLF001
            {"command": frames.PUBLISH, "mid": number, "qos": 1, "pos": 0, "to_process": len(packet),
             "packet": packet, "info": None}
        )  # fmt: skip
        if not self._acks:
            self._waits_since = time_func()
        self._acks[number] = done
        # A socket that waits to be writable would only refuse once more.
        if not client._registered_write and client.loop_write() != MQTT_ERR_SUCCESS:  # noqa: SLF001
            raise ConnectionFailedError(f"the connection to {self._broker.url} broke")

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
            self.send(topic, payload, done, about=about.pack(), retain=retain)  # type: ignore[no-untyped-call]
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

    def _on_socket_open(
        self,
        client: Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        sock: PahoSocket,
    ) -> None:
        self._loop.add_reader(sock.fileno(), self._read)
        self._misc_task = self._loop.create_task(self._misc_loop())

    async def _misc_loop(self) -> None:
        while self._client.loop_misc() == MQTT_ERR_SUCCESS:
            self._doubt()
            await asyncio.sleep(1)

    def _doubt(self) -> None:
        """Ask for a sign of life when an answer is late, and hang up without one: an alarm should not wait for the
        keep alive to find out that the link is dead."""
        client, now = self._client, time_func()
        if not self._acks or now - max(self._heard_at, self._waits_since) < DOUBT_SECONDS:
            return
        if not client._ping_t:  # noqa: SLF001
            client._send_pingreq()  # noqa: SLF001
        elif now - client._ping_t >= DOUBT_SECONDS:  # noqa: SLF001
            client._loop_rc_handle(MQTT_ERR_KEEPALIVE)  # noqa: SLF001

    def _read(self) -> None:
        """Take what has arrived. Measured: paho asks the system three times for each PUBACK, and it drops the
        connection on the PUBACK with 0x95 that mosquitto sends, since 3.4.2.1 does not list that code."""
        client = self._client
        try:
            while client._sock is not None:  # noqa: SLF001
                data = client._sock_recv(READ_BYTES)  # noqa: SLF001
                if not data:
                    raise ConnectionResetError
                self._heard_at = client._last_bytes_received = time_func()  # noqa: SLF001
                for kind, body in self._frames.feed(data):
                    if kind == frames.PUBACK:
                        self._acknowledge(body)
                    else:
                        self._pass_on(kind, body)
                # A TLS socket may hold more that the system does not tell of.
                if len(data) < READ_BYTES and not (isinstance(client._sock, ssl.SSLSocket) and client._sock.pending()):  # noqa: SLF001
                    return
        except BlockingIOError:
            return
        except UNREADABLE as error:
            code = MQTT_ERR_CONN_LOST if isinstance(error, OSError) else MQTT_ERR_PROTOCOL
            client._loop_rc_handle(code)  # noqa: SLF001

    def _acknowledge(self, body: bytes) -> None:
        number, code, about = frames.acknowledged(body)
        done = self._acks.pop(number, None)
        if done is None:
            return
        said = ""
        if about and code >= REFUSED:
            told = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]
            told.unpack(about)  # type: ignore[no-untyped-call]
            said = reasons.clean(getattr(told, "ReasonString", ""))
        done(Ack(code, said))

    def _pass_on(self, kind: int, body: bytes) -> None:
        """Let paho judge a packet of any other kind."""
        client = self._client
        client._in_packet = {  # noqa: SLF001
            "command": kind, "have_remaining": 1, "remaining_count": [], "remaining_mult": 1,
            "remaining_length": len(body), "packet": bytearray(body), "to_process": 0, "pos": 0,
        }  # fmt: skip
        result = client._packet_handle()  # noqa: SLF001
        if result > 0:
            client._loop_rc_handle(result)  # noqa: SLF001

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
