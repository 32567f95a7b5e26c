"""The gateway itself: identity, store, HTTP interface and MQTT uplink."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway.contract import SEND_ORDER, STREAMS, Stream
from gateway.settings.base import Duration, Name, Size, Table

DAY = 86400.0
MIB = 1 << 20


class GatewaySettings(Table):
    """``[gateway]``: who and where this gateway is."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{3,64}$")]
    site: str = ""
    state: Path = Path("/var/lib/linli")
    contact: str = ""
    timezone: str | None = None


class KeepSettings(Table):
    """``keep``: how long each stream and the media are kept, in seconds."""

    perception: Duration = 30 * DAY
    management: Duration = 190 * DAY
    alarm: Duration = 365 * DAY
    disposal: Duration = 365 * DAY
    media: Duration = 30 * DAY


class StoreSettings(Table):
    """``[store]``: quotas in bytes, retention, and the group-commit window in seconds."""

    records: Annotated[Size, Field(ge=MIB)] = 2048 * MIB
    media: Annotated[Size, Field(ge=MIB)] = 8192 * MIB
    keep: KeepSettings = KeepSettings()
    commit: Annotated[Duration, Field(ge=0.01, le=60)] = 0.5


class ConsumerSettings(Table):
    """``[[api.consumer]]``: who may pull which streams; the token itself is never stored."""

    name: Name
    token_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    required: bool = False
    streams: tuple[Stream, ...] = STREAMS


class ApiSettings(Table):
    """``[api]``: the HTTP interface; anything but loopback needs TLS."""

    listen: str = "127.0.0.1:8470"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    consumer: tuple[ConsumerSettings, ...] = ()


class MqttSettings(Table):
    """``[uplink.mqtt]``: the broker, what goes there and what counts as delivered."""

    url: str
    insecure: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    streams: tuple[Stream, ...] = SEND_ORDER
    ack: Literal["broker", "platform"] = "broker"
    window: Annotated[int, Field(ge=1, le=1000)] = 100
    zstd: bool = False
    required: bool = False


class UplinkSettings(Table):
    """``[uplink.*]``: the ways out, one table each."""

    mqtt: MqttSettings | None = None
