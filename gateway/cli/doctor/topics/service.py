"""The systemd service: whether it is installed, enabled, watched, and how often it was restarted."""

from collections.abc import Iterator

from gateway.cli.doctor.finding import Finding, Probe, look, ok, unseen, wrong
from gateway.cli.doctor.machine import UNIT, Machine
from gateway.contract import LinliError
from gateway.words import many

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NRestarts",
    "ExecMainStatus",
    "Result",
    "WatchdogUSec",
    "NeedDaemonReload",
)
CONFIGURATION = "78"  # the daemon's exit status for a configuration that cannot be used
NO_WATCHDOG = ("", "0", "infinity")


def unit(machine: Machine) -> Iterator[Finding]:
    """Ask systemd, if it runs this machine."""
    if not machine.has_systemd:
        yield look(
            "", "systemd does not run this machine, so nothing starts or watches the gateway", "start it by hand"
        )
        return
    try:
        text = machine.run(("systemctl", "show", UNIT, f"--property={','.join(PROPERTIES)}"))
    except LinliError as error:
        yield unseen("", str(error), "look at it by hand: systemctl status linli")
        return
    shown = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if shown.get("LoadState") == "not-found":
        do = "sudo packaging/install, so that it starts by itself after a power cut"
        yield look("", "the gateway is not installed as a service", do)
        return
    yield _state(shown)
    yield from _lasting(shown)


def _state(shown: dict[str, str]) -> Finding:
    active, sub = shown.get("ActiveState", ""), shown.get("SubState", "")
    if active == "active":
        return ok("", f"{UNIT} is active ({sub})")
    if shown.get("ExecMainStatus") == CONFIGURATION:
        what = f"{UNIT} is {active}: its configuration cannot be used, so systemd does not try again"
        return wrong("", what, "sudo linli check says why; then: sudo systemctl restart linli")
    result = shown.get("Result", "")
    why = f" ({result})" if result not in ("", "success") else ""
    return wrong("", f"{UNIT} is {active}{why}", "journalctl -u linli -e says why; sudo systemctl start linli")


def _lasting(shown: dict[str, str]) -> Iterator[Finding]:
    if shown.get("UnitFileState") not in ("enabled", "enabled-runtime"):
        what = f"{UNIT} is {shown.get('UnitFileState') or 'not enabled'}: after a power cut it stays off"
        yield wrong("", what, "sudo systemctl enable linli")
    restarts = shown.get("NRestarts", "0")
    if restarts != "0":
        what = f"systemd restarted it {many(int(restarts), 'time')} by itself since it was last started by hand"
        yield look("", what, "journalctl -u linli -p warning says why")
    if shown.get("WatchdogUSec", "") in NO_WATCHDOG:
        do = "systemctl cat linli shows who changed WatchdogSec=; packaging/install restores it"
        yield look("", "the watchdog is off: a gateway that hangs is not restarted", do)
    if shown.get("NeedDaemonReload") == "yes":
        do = "sudo systemctl daemon-reload && sudo systemctl restart linli"
        yield look("", "the unit's file was changed, but systemd works with the old one", do)


PROBES = (Probe("the service", unit, 8.0),)
