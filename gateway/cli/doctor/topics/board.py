"""The board: its power supply as a Raspberry Pi feels it, and its temperature."""

from collections.abc import Iterator

from gateway.cli.doctor.finding import Finding, Probe, look, ok, wrong
from gateway.cli.doctor.machine import Machine
from gateway.cli.output import duration

# Bits of the firmware's get_throttled: now, and 16 higher: at some time since the start.
FLAGS = {
    0: ("the supply voltage is too low", "the supply voltage was too low"),
    1: ("the processor is held slow for lack of voltage", "the processor was held slow for lack of voltage"),
    2: ("the processor is throttled", "the processor was throttled"),
    3: ("the processor is at its soft temperature limit", "the processor was at its soft temperature limit"),
}
SUPPLY = "use the maker's power supply and a short, thick cable; unplug what draws current from its USB ports"
COOL = "give it air or a heat sink; the enclosure may stand in the sun"
HEAT_BITS = (3,)
WARM, HOT = 75.0, 85.0  # °C; a Raspberry Pi slows down from 80 and throttles at 85


def model(machine: Machine) -> Iterator[Finding]:
    """What it is and how long it has been on."""
    name = machine.text("/proc/device-tree/model") or machine.text("/sys/class/dmi/id/product_name") or "this machine"
    words = (machine.text("/proc/uptime") or "").split()
    if words:
        yield ok("", f"{name}, on for {duration(float(words[0]))}")


def power(machine: Machine) -> Iterator[Finding]:
    """Undervoltage and throttling, by the firmware's flags, or the kernel's alarm where those are not offered."""
    flags = None
    for path in sorted(machine.at("/sys/devices/platform").glob("soc*/*firmware/get_throttled")):
        try:
            flags = int(path.read_text().strip(), 16)
        except (OSError, ValueError):
            continue
    if flags is None:
        alarms = [machine.number(f"/sys/class/hwmon/{path.parent.name}/in0_lcrit_alarm")
                  for path in machine.at("/sys/class/hwmon").glob("*/name")
                  if machine.text(f"/sys/class/hwmon/{path.parent.name}/name") == "rpi_volt"]  # fmt: skip
        # The kernel asks the firmware every two seconds and clears what it noted, so the alarm is about now.
        if any(alarms):
            yield wrong("", "the supply voltage is too low", SUPPLY)
        elif alarms:
            yield ok("", "the supply voltage is right now; sudo dmesg | grep -i voltage says whether it always was")
        return
    now = [bit for bit in FLAGS if flags >> bit & 1]
    for bit in now:
        yield wrong("", f"{FLAGS[bit][0]} (flags {flags:#x})", COOL if bit in HEAT_BITS else SUPPLY)
    before = [bit for bit in FLAGS if flags >> (bit + 16) & 1 and bit not in now]
    for bit in before:
        what = f"{FLAGS[bit][1]} at some time since the start (flags {flags:#x})"
        yield look("", what, COOL if bit in HEAT_BITS else SUPPLY)
    if not now and not before:
        yield ok("", "supply voltage and speed are right, and nothing else is noted since the start")


def temperature(machine: Machine) -> Iterator[Finding]:
    """The hottest sensor."""
    found = []
    for zone in machine.at("/sys/class/thermal").glob("thermal_zone*"):
        thousandths = machine.number(f"/sys/class/thermal/{zone.name}/temp")
        if thousandths is not None:
            found.append((thousandths / 1000, machine.text(f"/sys/class/thermal/{zone.name}/type") or zone.name))
    if not found:
        return
    degrees, where = max(found)
    if degrees >= HOT:
        yield wrong(where, f"{degrees:.0f} °C: it is throttled, and ages fast", COOL)
    elif degrees >= WARM:
        yield look(where, f"{degrees:.0f} °C, which leaves little for a hot day", COOL)
    else:
        yield ok(where, f"{degrees:.0f} °C")


PROBES = (Probe("the board", model), Probe("the power supply", power), Probe("temperature", temperature))
