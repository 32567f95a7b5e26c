"""The running gateway: whether it answers, for how long, how big it is, and what it says is wrong."""

from collections.abc import Iterator
from pathlib import Path

from gateway import __version__
from gateway.cli.doctor.finding import Finding, Probe, look, ok, parted, unseen, wrong
from gateway.cli.doctor.machine import Machine
from gateway.cli.output import duration, since, size
from gateway.words import many

JUST_NOW = 1.0  # seconds between the file's time and the daemon's start


def answers(machine: Machine) -> Iterator[Finding]:
    """Whether it runs and answers, and with which version."""
    if machine.status is None:
        if machine.state is None:
            yield unseen("", "where the gateway keeps its state is not known", "name it: -c FILE or --state DIR")
        elif machine.running:
            verdict = unseen if "may not use" in machine.silence else wrong
            what, _, do = machine.silence.partition(". ") if ". " in machine.silence else (machine.silence, "", "")
            yield verdict("", what, do or "see: journalctl -u linli -e")
        else:
            yield _absent(machine)
        return
    status = machine.status
    big = _memory(machine)
    yield ok("", f"{status['gateway']} answers, up {duration(status['uptime_s'])}{big}")
    if status["version"] != __version__:
        what = f"linli {status['version']} runs, but {__version__} is installed"
        yield look("", what, "restart it to use what is installed: sudo systemctl restart linli")


def _absent(machine: Machine) -> Finding:
    if machine.has_systemd and machine.at("/etc/systemd/system/linli.service").exists():
        return wrong("", "the gateway does not run", "sudo systemctl start linli; then: journalctl -u linli -e")
    return look("", "the gateway does not run", f"start it with: linli run -c {machine.config or 'FILE'}")


def _memory(machine: Machine) -> str:
    if machine.peer is None:
        return ""
    for line in (machine.text(f"/proc/{machine.peer.pid}/status") or "").splitlines():
        key, _, rest = line.partition(":")
        if key == "VmRSS" and rest.split()[0].isdecimal():
            return f", {size(int(rest.split()[0]) * 1024)} of memory"
    return ""


def problems(machine: Machine) -> Iterator[Finding]:
    """What it says is wrong with devices, lines, cameras and uplinks."""
    if machine.status is None:
        return
    for problem in machine.status["problems"]:
        when = since(problem["since"], machine.status["time"])
        text = f"{problem['text']}, since {when}" if when else problem["text"]
        yield Finding("wrong" if problem["severity"] == "major" else "look", "", text, problem["fix"])
    if not machine.status["problems"]:
        devices, cameras = machine.status["devices"], machine.status["cameras"]
        online = sum(device["state"] == "online" for device in devices)
        parts = f"{online} of {many(len(devices), 'device')} online, {many(len(cameras), 'camera')}"
        yield ok("", f"it has no problems of its own: {parts}")


def changed(machine: Machine) -> Iterator[Finding]:
    """Whether it works with the configuration that stands in the file now."""
    path = machine.config
    if machine.status is None or path is None:
        return
    began = machine.clock.wall() / 1e9 - machine.status["uptime_s"]
    try:
        written = Path(path).stat().st_mtime
    except OSError:
        return
    if written > began + JUST_NOW:
        what = f"{path} was changed after the gateway started, which still works with what it said before"
        yield parted("", f"{what}; linli check -c {path}, then restart it: sudo systemctl restart linli", "", "look")


PROBES = (
    Probe("the gateway", answers),
    Probe("what the gateway says", problems),
    Probe("changes of the configuration", changed),
)
