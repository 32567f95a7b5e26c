"""Makes the plan of a configuration file, or says everything that is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.contract import ConfigError, Driver
from gateway.links.calls import StationDriver
from gateway.plan.alarms import compile_alarms
from gateway.plan.anew import explain_halves
from gateway.plan.checks import check_api, check_cameras, check_http, check_lines, check_mqtt, check_names
from gateway.plan.devices import resolve_devices
from gateway.plan.facades import check_facades
from gateway.plan.files import NamedFile, check_files, named_files
from gateway.plan.findings import sketch
from gateway.plan.gat1400 import check_gat1400
from gateway.plan.stations import check_stations
from gateway.plan.vehicles import broken_list_lines, check_vehicles
from gateway.rules import Rules
from gateway.settings import Settings
from gateway.settings.document import Document
from gateway.settings.load import refusal
from gateway.settings.profiles import Profiles, profile_folders
from gateway.settings.resolve import ResolvedDevice


@dataclass(frozen=True)
class Plan:
    """A checked configuration; ``warnings`` are lines ``FILE:LINE: key: sentence``."""

    path: Path
    settings: Settings
    devices: tuple[ResolvedDevice, ...]
    rules: Rules
    drivers: Mapping[str, Driver]
    stations: Mapping[str, StationDriver]
    warnings: tuple[str, ...]
    _files: tuple[NamedFile, ...] = field(repr=False)

    def lean(self) -> "Plan":
        """The same plan without the points as they were written: ``devices`` has them ready to use."""
        devices = tuple(device.model_copy(update={"points": {}}) for device in self.settings.device)
        return replace(self, settings=self.settings.model_copy(update={"device": devices}))

    @property
    def models_folder(self) -> Path:
        """Folder of the vision models."""
        from gateway.vision.packs import models_folder  # a gateway without cameras needs none

        return models_folder()

    def broken_list_lines(self) -> list[str]:
        """Sentences about lines of plate lists that are left out, ``LIST:LINE: …``."""
        return broken_list_lines(self.settings.camera, self.settings.gateway.timezone)

    def refuse_missing_files(self) -> None:
        """ConfigError when a secret or certificate is missing: ``check`` only warns, the daemon does not start."""
        faults = [fault for file in self._files if file.needed and (fault := file.fault()) is not None]
        if faults:
            raise refusal(faults)


def anchored(settings: Settings, path: Path) -> Settings:
    """Take a relative state directory from the configuration's own folder, wherever the command is run."""
    gateway = settings.gateway.model_copy(update={"state": path.parent / settings.gateway.state})
    return settings.model_copy(update={"gateway": gateway})


def load_plan(path: Path) -> Plan:
    """Read a configuration and everything it refers to; ConfigError with all problems ``FILE:LINE: key: …``."""
    sound, findings = sketch(Document.read(path))
    profiles = Profiles(profile_folders(path))
    if findings.errors:
        explain_halves(findings, profiles)
    if sound is None:
        raise refusal(findings.errors)
    checks = (check_names, check_api, check_mqtt, check_http, check_gat1400, check_lines, check_cameras, check_facades)
    for check in checks:
        check(sound, findings)
    devices = resolve_devices(sound, profiles, findings)
    check_stations(sound, devices.stations, findings)
    rules = compile_alarms(sound, devices, findings)
    check_vehicles(sound, devices, findings)
    files = named_files(sound, findings)
    if findings.errors or findings.unreadable:
        raise ConfigError(*findings.unreadable, *refusal(findings.errors).problems)
    check_files(files, findings)
    settings = anchored(sound.settings, path)
    return Plan(
        path=path,
        settings=settings,
        devices=tuple(devices.resolved.values()),
        rules=rules,
        drivers=devices.drivers,
        stations=devices.stations,
        warnings=refusal(findings.warnings).problems,
        _files=files,
    )
