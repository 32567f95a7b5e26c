"""The files that a configuration names: secrets, certificates, lists."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.plan.findings import Findings, Sketch
from gateway.settings.document import Keys, Problem
from gateway.settings.secret import is_public, unreadable

UPLINK_FILES = ("ca_file", "cert_file", "key_file", "token_file", "password_file")
PUBLIC = frozenset({"ca_file", "cert_file"})


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file at a key. ``private``: a secret or private key; ``needed``: the daemon does not start without it."""

    problem_at: Problem
    path: Path
    private: bool
    needed: bool

    def fault(self) -> Problem | None:
        """Say why the daemon could not use the file, or None."""
        sentence = unreadable(self.path, credential=self.private)
        return self.problem_at.document.problem(self.problem_at.keys, sentence) if sentence else None


def named_files(sketch: Sketch, findings: Findings) -> tuple[NamedFile, ...]:
    """List every file that the configuration names."""
    return tuple(
        NamedFile(findings.document.problem(keys, ""), path, private, needed)
        for keys, path, private, needed in _files(sketch)
        if path is not None
    )


def check_files(files: tuple[NamedFile, ...], findings: Findings) -> None:
    """Warn of files that are missing or open to everybody."""
    for file in files:
        fault = file.fault()
        if fault is not None:
            findings.warnings.append(fault)
        elif file.private and is_public(file.path):
            findings.warning(
                file.problem_at.keys,
                f"every user of this machine can read {file.path}; run: sudo chmod o= {file.path}",
            )


def _files(sketch: Sketch) -> Iterator[tuple[Keys, Path | None, bool, bool]]:
    api, uplink = sketch.settings.api, sketch.settings.uplink
    yield ("api", "tls_cert"), api.tls_cert, False, True
    yield ("api", "tls_key"), api.tls_key, True, True
    for name, table in (("mqtt", uplink.mqtt), ("http", uplink.http), ("gat1400", uplink.gat1400)):
        for key in UPLINK_FILES:
            yield ("uplink", name, key), getattr(table, key, None), key not in PUBLIC, True
    for keys, device in sketch.items("device"):
        yield (*keys, "password_file"), device.password_file, True, True
    for keys, camera in sketch.items("camera"):
        yield (*keys, "password_file"), camera.password_file, True, True
        if camera.vehicles is not None:
            for key in ("allow", "deny"):
                yield (*keys, "vehicles", "lists", key), getattr(camera.vehicles.lists, key), False, False
