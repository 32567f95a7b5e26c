"""The whole configuration as one frozen tree."""

from pydantic import Field

from gateway.contract import Stream
from gateway.settings.base import Table
from gateway.settings.camera import CameraSettings
from gateway.settings.core import ApiSettings, GatewaySettings, StoreSettings, UplinkSettings
from gateway.settings.devices import DeviceSettings, LineSettings
from gateway.settings.rules import AlarmSettings
from gateway.settings.vision import VisionSettings


class Settings(Table):
    """Everything a linli.toml can say."""

    gateway: GatewaySettings = Field(description="the table [gateway] with the gateway's id")
    store: StoreSettings = Field(default=StoreSettings(), description="quotas, retention, commit window")
    api: ApiSettings = Field(default=ApiSettings(), description="the HTTP interface")
    uplink: UplinkSettings = Field(default=UplinkSettings(), description="the ways out")
    line: tuple[LineSettings, ...] = Field(default=(), description="wires and sockets to the devices")
    device: tuple[DeviceSettings, ...] = Field(default=(), description="devices on the lines")
    alarm: tuple[AlarmSettings, ...] = Field(default=(), description="what is watched for")
    camera: tuple[CameraSettings, ...] = Field(default=(), description="cameras")
    vision: VisionSettings = Field(default=VisionSettings(), description="what the cameras' models run on")

    def required(self) -> dict[str, frozenset[Stream]]:
        """The consumers that retention waits for, and which streams they have to confirm."""
        found = {consumer.name: frozenset(consumer.streams) for consumer in self.api.consumer if consumer.required}
        return found | {name: frozenset(streams) for name, streams, waits in self.uplink.consumers() if waits}
