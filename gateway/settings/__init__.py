"""TOML to frozen Settings: every key is known, every mistake is named with its place and its fix."""

from gateway.settings.camera import CameraSettings, FacadeSettings, FallingSettings, LaneSettings, VehicleSettings
from gateway.settings.core import (
    ApiSettings,
    ConsumerSettings,
    Gat1400Settings,
    GatewaySettings,
    HttpSettings,
    KeepSettings,
    MqttSettings,
    StoreSettings,
)
from gateway.settings.devices import (
    DeviceSettings,
    LineSettings,
    PointSettings,
    Profile,
    ReportSettings,
    SerialSettings,
)
from gateway.settings.rules import AlarmSettings, ClipAction, WriteAction
from gateway.settings.tree import Settings

__all__ = [
    "AlarmSettings",
    "ApiSettings",
    "CameraSettings",
    "ClipAction",
    "ConsumerSettings",
    "DeviceSettings",
    "FacadeSettings",
    "FallingSettings",
    "Gat1400Settings",
    "GatewaySettings",
    "HttpSettings",
    "KeepSettings",
    "LaneSettings",
    "LineSettings",
    "MqttSettings",
    "PointSettings",
    "Profile",
    "ReportSettings",
    "SerialSettings",
    "Settings",
    "StoreSettings",
    "VehicleSettings",
    "WriteAction",
]
