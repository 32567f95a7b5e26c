"""The whole configuration as one frozen tree."""

from gateway.settings.base import Table
from gateway.settings.camera import CameraSettings
from gateway.settings.core import ApiSettings, GatewaySettings, StoreSettings, UplinkSettings
from gateway.settings.devices import DeviceSettings, LineSettings
from gateway.settings.rules import AlarmSettings


class Settings(Table):
    """Everything a linli.toml can say."""

    gateway: GatewaySettings
    store: StoreSettings = StoreSettings()
    api: ApiSettings = ApiSettings()
    uplink: UplinkSettings = UplinkSettings()
    line: tuple[LineSettings, ...] = ()
    device: tuple[DeviceSettings, ...] = ()
    alarm: tuple[AlarmSettings, ...] = ()
    camera: tuple[CameraSettings, ...] = ()
