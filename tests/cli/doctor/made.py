"""A made machine: a folder with the files of /proc, /sys, /etc and /dev that a test needs, and nothing else.

No file here was copied from a real machine; the formats are those of proc(5), sysfs and the kernel's documentation.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.cli.doctor.finding import Finding
from gateway.cli.doctor.machine import Machine
from tests.conftest import FakeClock


def made(folder: Path, files: Mapping[str, str] | None = None, **fields: Any) -> Machine:
    """A machine whose root is ``folder`` with ``files`` by absolute path; ``fields`` are those of Machine."""
    root = folder / "made"
    root.mkdir(exist_ok=True)
    for path, text in (files or {}).items():
        write(root, path, text)
    return replace(Machine(root=root, clock=FakeClock()), **fields)


def write(root: Path, path: str, text: str) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def look_at(machine: Machine, look: Callable[[Machine], Iterable[Finding]]) -> list[Finding]:
    return list(look(machine))


def verdicts(found: Iterable[Finding]) -> list[str]:
    return [finding.verdict for finding in found]


def only(found: Iterable[Finding]) -> Finding:
    (finding,) = found
    return finding


def planned(folder: Path, text: str = "") -> Machine:
    """A made machine with a real plan of a real configuration."""
    from gateway.plan import load_plan

    file = folder / "linli.toml"
    head = f'[gateway]\nid = "made-gate"\nstate = "{folder / "state"}"\n'
    file.write_text(text if "[gateway]" in text else head + text)
    plan = load_plan(file)
    return made(folder, config=file, state=plan.settings.gateway.state, plan=plan)


def status(**fields: Any) -> dict[str, Any]:
    """As much of a daemon's status as probes read."""
    from gateway import __version__

    store = {"bytes": 1 << 20, "quota": 1 << 30, "media_bytes": 0, "media_quota": 1 << 30}
    return {
        "gateway": "made-gate", "version": __version__, "uptime_s": 60.0, "time": "2026-11-22T08:00:00.000+08:00",
        "timequality": "synced", "problems": [], "devices": [], "cameras": [], "store": store, **fields,
    }  # fmt: skip
