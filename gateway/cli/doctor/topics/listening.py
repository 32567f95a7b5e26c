"""What of the gateway other machines can reach, and whether anything stands in its way."""

from collections.abc import Iterator

from gateway.cli.doctor.finding import Finding, Probe, look, ok, unseen, wrong
from gateway.cli.doctor.machine import Machine
from gateway.cli.doctor.processes import Listener, listeners, sockets_of
from gateway.settings.address import host_port


def open_ports(machine: Machine) -> Iterator[Finding]:
    """Compare what listens with what the configuration says."""
    meant = _meant(machine)
    if not machine.running:
        for listener in listeners(machine):
            if listener.port in meant:
                what = f"port {listener.port} is taken by another program, so the gateway could not open it"
                yield wrong(meant[listener.port], what, f"sudo ss -ltnp 'sport = :{listener.port}' says by which")
        return
    mine = _mine(machine)
    if mine is None:
        yield unseen("", "what the gateway listens on", "run this with sudo")
        return
    outward = [listener for listener in mine if not listener.is_local]
    for listener in outward:
        where = meant.get(listener.port)
        if where is None:
            what = f"{listener.place} can be reached by other machines, but the configuration does not say so"
            yield look("", what, "restart the gateway if the configuration was changed")
        else:
            yield ok(where, f"{listener.place} can be reached by other machines, as configured")
    if not outward:
        places = ", ".join(sorted(listener.place for listener in mine)) or "nothing"
        yield ok("", f"other machines cannot reach it: it listens on {places} only")


def _meant(machine: Machine) -> dict[int, str]:
    """The configured ports, and what for."""
    if machine.plan is None:
        return {}
    settings = machine.plan.settings
    ports = {host_port(settings.api.listen, any_port=True)[1]: "[api] listen"}
    for line in settings.line:
        if line.listen is not None:
            ports[host_port(line.listen)[1]] = f"line {line.name}"
    return {port: where for port, where in ports.items() if port}


def _mine(machine: Machine) -> list[Listener] | None:
    """Those of the gateway: by its sockets, else by its user when that is its own."""
    if machine.peer is None:
        return None
    sockets = sockets_of(machine, machine.peer.pid)
    if sockets is not None:
        return [listener for listener in listeners(machine) if listener.inode in sockets]
    if machine.account.who != "linli":
        return None
    return [listener for listener in listeners(machine) if listener.uid == machine.peer.uid]


PROBES = (Probe("open ports", open_ports),)
