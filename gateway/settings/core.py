"""The gateway itself: identity, store, HTTP interface and uplinks."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.contract import SEND_ORDER, STREAMS, Kept, Stream
from gateway.settings.address import BrokerUrl, ListenOn, PlatformUrl
from gateway.settings.base import Duration, MisfitError, Name, Size, Table, duration_text, pattern
from gateway.settings.nearest import did_you_mean

DAY = 86400.0
MIB = 1 << 20
# How far the media that records name have been uploaded is a position of its own.
MEDIA_CONSUMER = "http-media"

GatewayId = Annotated[str, pattern(r"^[a-z0-9-]{3,64}$", "expected 3 to 64 of a-z, 0-9 and -")]
TokenHash = Annotated[
    str, pattern(r"^[0-9a-f]{64}$", "expected the 64 hexadecimal digits that `linli token new NAME` prints")
]
DeviceId = Annotated[str, pattern(r"^[0-9]{20}$", "expected a code of 20 digits, which the platform's operator gives")]
DigestUser = Annotated[
    str, pattern(r"^[!#-9;-\[\]-~]{1,64}$", 'expected ASCII characters without space, colon, " or \\')
]
Heading = Literal["north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"]


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones  # only few configurations need it

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones(), what='zones, such as "Asia/Shanghai"')
        raise ValueError(f'"{name}" is not a time zone; {hint}') from None
    return name


TimeZone = Annotated[str, AfterValidator(_zone)]
Streams = Annotated[tuple[Stream, ...], Field(min_length=1)]
# What several ways out have.
CertFile = Annotated[Path | None, Field(description="file of the client certificate, PEM; needs key_file")]
KeyFile = Annotated[Path | None, Field(description="file of the client certificate's private key, PEM")]
PlatformCa = Annotated[
    Path | None,
    Field(description="file of the authority that signed the platform's certificate, PEM; without it, the system's"),
]
PlainHttp = Annotated[bool, Field(description="allow plain http:// beyond loopback; shows in status")]
AnswerTime = Annotated[Duration, Field(ge=1, le=30, description="how long the platform may take for an answer")]
Required = Annotated[bool, Field(description="retention waits for this uplink")]


class GatewaySettings(Table):
    """``[gateway]``: who and where this gateway is."""

    id: GatewayId = Field(
        description="the gateway's name towards the platform, never changed later: 3 to 64 of a-z, 0-9 and -",
        examples=["sh-pudong-0421"],
    )
    site: str = Field(default="", description="where it stands, for people", examples=["Garden Lane 12, gate house"])
    state: Path = Field(
        default=Path("/var/lib/linli"),
        description="folder of the store, media and identity; a relative one lies beside this file",
    )
    contact: str = Field(default="", description="whom to call; shown on the status page and in the acceptance report")
    timezone: TimeZone | None = Field(
        default=None,
        description="zone of the times in records, instead of the machine's own",
        examples=["Asia/Shanghai"],
    )


class KeepSettings(Table):
    """``keep``: how long each stream and the media are kept; never beyond the quota."""

    perception: Duration = Field(default=30 * DAY, gt=0, description="age at which readings and passages go")
    management: Duration = Field(default=190 * DAY, gt=0, description="age at which device states and gaps go")
    alarm: Duration = Field(default=365 * DAY, gt=0, description="age at which alarm records go")
    disposal: Duration = Field(default=365 * DAY, gt=0, description="age at which acknowledgements and commands go")
    media: Duration = Field(default=30 * DAY, gt=0, description="age at which pictures and clips go")
    vehicle_media: Duration | None = Field(
        default=None, gt=0, description="age at which those of ordinary passages go, if it is another than media"
    )

    unlisted_vehicles: Duration | None = Field(
        default=None, gt=0, description="age at which ordinary passages of vehicles on no list go, with their pictures"
    )

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        longer = f"is longer than perception ({duration_text(self.perception)})"
        if self.vehicle_media is not None and self.vehicle_media > self.perception:
            sentence = "a picture whose record is gone can neither be found nor erased by its plate"
            raise MisfitError(f"{longer}: {sentence}; make it as long at most", "vehicle_media")
        if self.unlisted_vehicles is not None and self.unlisted_vehicles > self.perception:
            raise MisfitError(f"{longer}, after which they go with all others; make it shorter", "unlisted_vehicles")
        return self

    def of_media(self) -> dict[Kept, float]:
        """Age (s) at which pictures and clips go, by how they are kept."""
        vehicle = self.media if self.vehicle_media is None else self.vehicle_media
        return {"": self.media, "vehicle": vehicle, "unlisted": min(vehicle, self.unlisted_vehicles or vehicle)}


class StoreSettings(Table):
    """``[store]``: quotas, retention, and the group-commit window."""

    records: Size = Field(
        default=2048 * MIB, ge=MIB, description="hard quota of all records; gap records account for what is evicted"
    )
    media: Size = Field(default=8192 * MIB, ge=MIB, description="hard quota of pictures and clips")
    keep: KeepSettings = Field(default=KeepSettings(), description="how long each stream and the media are kept")
    commit: Duration = Field(
        default=0.5, ge=0.01, le=60, description="readings are on disk at most this much later; alarms at once"
    )


class ConsumerSettings(Table):
    """``[[api.consumer]]``: who may pull which streams; the token itself is never stored."""

    name: Name = Field(description="the consumer's name", examples=["district-platform"])
    token_sha256: TokenHash = Field(
        description="SHA-256 of the consumer's token, 64 hexadecimal digits; `linli token new NAME` prints it"
    )
    required: bool = Field(default=False, description="retention waits for this consumer's acknowledgement")
    streams: Streams = Field(
        default=STREAMS, description="the streams that this consumer may pull; all four without this key"
    )


class ApiSettings(Table):
    """``[api]``: the HTTP interface; anything but loopback needs TLS."""

    listen: ListenOn = Field(
        default="127.0.0.1:8470",
        description="ADDRESS:PORT to serve on; anything but loopback needs tls_cert and tls_key",
    )
    tls_cert: Path | None = Field(default=None, description="file of the server's certificate chain, PEM")
    tls_key: Path | None = Field(default=None, description="file of the server's private key, PEM")
    consumer: tuple[ConsumerSettings, ...] = Field(default=(), description="who may pull")


class MqttSettings(Table):
    """``[uplink.mqtt]``: the broker, what goes there and what counts as delivered."""

    url: BrokerUrl = Field(
        description="mqtts://HOST:PORT of the broker, or mqtt:// without TLS", examples=["mqtts://broker.example:8883"]
    )
    insecure: bool = Field(default=False, description="allow plain mqtt:// beyond loopback; shows in status")
    ca_file: Path | None = Field(
        default=None,
        description="file of the authority that signed the broker's certificate, PEM; without it, the system's",
    )
    cert_file: CertFile = None
    key_file: KeyFile = None
    fallback: tuple[BrokerUrl, ...] = Field(
        default=(),
        description="further addresses of the same platform, tried in turn while url cannot be used",
        examples=[["mqtts://broker-2.example:8883"]],
    )
    user: str | None = Field(default=None, min_length=1, description="user name for the broker")
    password_file: Path | None = Field(
        default=None, description="file or systemd credential with the broker's password"
    )
    streams: Streams = Field(default=SEND_ORDER, description="the streams that are sent")
    ack: Literal["broker", "platform"] = Field(
        default="broker", description="whose acknowledgement counts as delivered"
    )
    window: int = Field(default=100, ge=1, le=1000, description="publishes in flight")
    rate: Size | None = Field(
        default=None,
        ge=1024,
        description="bytes a second at most, for metered links; alarms and disposal count, but never wait for it",
        examples=["64KiB"],
    )
    zstd: bool = Field(default=False, description="compress batches with zstd")
    required: Required = False


class HttpSettings(Table):
    """``[uplink.http]``: where batches are posted, what counts as delivered is a 2xx."""

    url: PlatformUrl = Field(
        description="https:// address that batches of records are posted to, or http:// without TLS",
        examples=["https://platform.example/linli/v1/records"],
    )
    insecure: PlainHttp = False
    ca_file: PlatformCa = None
    cert_file: CertFile = None
    key_file: KeyFile = None
    token_file: Path | None = Field(
        default=None, description="file or systemd credential with the bearer token that the platform expects"
    )
    user: str | None = Field(
        default=None, min_length=1, description="user name for the platform (basic authentication), instead of a token"
    )
    password_file: Path | None = Field(default=None, description="file or systemd credential with the user's password")
    streams: Streams = Field(default=SEND_ORDER, description="the streams that are sent")
    window: int = Field(default=4, ge=1, le=16, description="requests at a time, each over its own connection")
    timeout: AnswerTime = 20
    compress: Literal["none", "gzip", "zstd"] = Field(default="none", description="encoding of the requests' bodies")
    rate: Size | None = Field(
        default=None, ge=1 << 10, description="bytes a second that records may take on a metered link"
    )
    media: bool = Field(default=False, description="upload pictures and clips, too, after the records that name them")
    media_url: PlatformUrl | None = Field(
        default=None, description="address below which media are put by SHA-256; without it, url with /media behind it"
    )
    media_rate: Size | None = Field(default=None, ge=1 << 10, description="bytes a second that media may take")
    required: Required = False


class ViewedCameraSettings(Table):
    """``[uplink.gat1400.camera.NAME]``: what the platform knows of a camera whose passages go there."""

    device_id: DeviceId = Field(
        description="the camera's own code at the platform (ApeID), 20 digits", examples=["31011500001190000001"]
    )
    tollgate_id: DeviceId | None = Field(default=None, description="code of the gate that it stands at, 20 digits")
    heading: Heading | None = Field(
        default=None, description="where vehicles go by the compass that come in; those that go out go the other way"
    )
    lanes: dict[Name, Annotated[int, Field(ge=1, le=99)]] = Field(
        default={}, description="number of each lane, 1 for the leftmost", examples=[{"main": 1}]
    )


class Gat1400Settings(Table):
    """``[uplink.gat1400]``: passages to a view library by GA/T 1400; only those of the cameras named here."""

    url: PlatformUrl = Field(
        description="https:// address of the view library, or http:// without TLS; /VIID/… is put behind it",
        examples=["https://viid.example:8443"],
    )
    insecure: PlainHttp = False
    ca_file: PlatformCa = None
    cert_file: CertFile = None
    key_file: KeyFile = None
    device_id: DeviceId = Field(
        description="this gateway's code at the platform, 20 digits", examples=["31011500001200000001"]
    )
    user: DigestUser | None = Field(default=None, description="user name to register with; without it, device_id")
    password_file: Path = Field(description="file or systemd credential with the password to register with")
    camera: dict[Name, ViewedCameraSettings] = Field(
        min_length=1, description="the cameras whose passages go, by name; no other camera's do"
    )
    keepalive: Duration = Field(default=60, ge=10, le=600, description="how often the registration is kept alive")
    timeout: AnswerTime = 20
    batch: int = Field(default=10, ge=1, le=100, description="vehicles in one request at most")
    pictures: bool = Field(default=True, description="send the picture with the vehicle")
    picture_limit: Size = Field(
        default=MIB, ge=16 << 10, le=8 * MIB, description="a larger picture stays here, and the vehicle goes without"
    )
    numbers: Literal["number", "text"] = Field(
        default="number", description='how whole numbers are written, which platforms want differently: 1 or "1"'
    )
    required: Required = False


class UplinkSettings(Table):
    """``[uplink.*]``: the ways out, one table each."""

    mqtt: MqttSettings | None = Field(default=None, description="MQTT 5 to a broker")
    http: HttpSettings | None = Field(default=None, description="batches posted to a platform over HTTPS")
    gat1400: Gat1400Settings | None = Field(
        default=None, description="passages to a view library of the police by GA/T 1400; off unless written"
    )

    def consumers(self) -> list[tuple[str, tuple[Stream, ...], bool]]:
        """Name, streams, and whether retention waits, of every position that uplinks have in the store."""
        found: list[tuple[str, tuple[Stream, ...], bool]] = []
        if self.mqtt is not None:
            found.append(("mqtt", self.mqtt.streams, self.mqtt.required))
        if self.http is not None:
            found.append(("http", self.http.streams, self.http.required))
            if self.http.media:
                found.append((MEDIA_CONSUMER, self.http.streams, False))
        if self.gat1400 is not None:
            found.append(("gat1400", ("perception",), self.gat1400.required))
        return found
