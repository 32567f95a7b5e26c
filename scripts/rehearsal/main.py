"""Rehearses a whole site with the commands that an installer has, prints the transcript, and asserts what must hold."""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "scripts" / "rehearsal"))

from wiring import HEAD, Wired, configuration, wired  # noqa: E402 - lies beside this file

# What stands on the labels; without it a scan tries every usual speed, and takes four minutes instead of one.
KNOWN = {"riser": ["--baud", "9600"], "meters": ["--baud", "2400", "--format", "8E1"], "plant-room": []}
LINLI = str(PROJECT / ".venv" / "bin" / "linli")
SECONDS = {"riser": 2.0, "meters": 30.0, "plant-room": 1.0}  # between two polls
EVERY = {line: f"{seconds:.0f}s" for line, seconds in SECONDS.items()}
WINDOW = 30.0  # seconds that are looked at
UNDISTURBED = 0.95
PATIENCE = 240.0
NEAR = 40.0  # seconds before a record's time in which the simulator may have said its value (a meter's whole read)
TEXT: list[str] = []


def say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)
        TEXT.append(line.rstrip())


def heading(text: str) -> None:
    say("", f"## {text}", "")


def block(command: str, output: str) -> None:
    say("```console", f"$ {command}", *output.rstrip().splitlines(), "```")


def must(holds: bool, sentence: str) -> None:
    say(f"- {'**holds**' if holds else '**DOES NOT HOLD**'}: {sentence}")


def linli(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINLI, *arguments], cwd=folder, capture_output=True, text=True, check=False)


class Site:
    """The simulation, the gateway, and what both said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wired = wired()
        (folder / "site.toml").write_text(configuration())
        (folder / "play.toml").write_text("")
        self.simulator = subprocess.Popen(
            [LINLI, "simulate", "site.toml", "--ports", "ports", "--script", "play.toml", "--log", "served.jsonl",
             "--json"],
            cwd=folder, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        ready = self.simulator.stdout.readline() if self.simulator.stdout else ""
        if not ready:
            sys.exit("the simulation did not start; see above")
        self.ports: dict[str, str] = {line["name"]: line["address"] for line in json.loads(ready)["lines"]}
        self.daemon: subprocess.Popen[bytes] | None = None

    def play(self, script: str) -> float:
        """Let something go wrong, or right again; returns when (seconds since 1970)."""
        (self.folder / "play.toml").write_text(script)
        self.simulator.send_signal(signal.SIGHUP)
        return time.time()

    def run(self) -> None:
        with (self.folder / "daemon.log").open("wb") as log:
            self.daemon = subprocess.Popen([LINLI, "run", "-c", "pasted.toml"], cwd=self.folder, stderr=log)

    def status(self) -> dict:
        done = linli("status", "-c", "pasted.toml", "--json", folder=self.folder)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout else {"devices": []}

    def until(self, reached: Callable[[dict], bool]) -> tuple[float, dict]:
        """Wait for a state of the gateway; seconds it took, or more than the patience there is."""
        began = time.monotonic()
        while True:
            status = self.status()
            took = time.monotonic() - began
            if reached(status) or took > PATIENCE:
                return took, status
            time.sleep(1.0)

    def served(self) -> list[tuple[float, str, dict]]:
        entries = [json.loads(line) for line in (self.folder / "served.jsonl").read_text().splitlines()]
        return [(datetime.fromisoformat(e["time"]).timestamp(), e["device"], e["values"]) for e in entries]

    def stop(self) -> None:
        for process in (self.daemon, self.simulator):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(30)


def scan(site: Site) -> dict[str, tuple[str, str]]:
    """What `linli scan` says of each line: its report and its TOML."""
    targets = {name: address if address.startswith("/") else f"tcp://{address}" for name, address in site.ports.items()}
    running = {
        name: subprocess.Popen([LINLI, "scan", target, *KNOWN[name]], cwd=site.folder, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        for name, target in targets.items()
    }  # fmt: skip
    found = {}
    for name, process in running.items():
        toml, said = process.communicate()
        report = said.partition("Ctrl-C stops\n")[2]
        found[name] = (report, toml.partition("\n")[2])
        command = " ".join(("linli scan", targets[name].replace(str(site.folder), ""), *KNOWN[name]))
        block(command, report.rstrip())
        say("")
    return found


def paste(site: Site, found: dict[str, tuple[str, str]]) -> dict[str, Wired]:
    """Put what the scan printed under a head; names and models as the labels say. Returns devices by their new name."""
    text, known, right = HEAD, {}, 0
    for line, (_, toml) in found.items():
        toml = re.sub(r'(\[\[line\]\]\nname = )"[^"]*"', rf'\1"{line}"', toml)
        toml = re.sub(r'\nline = "[^"]*"', f'\nline = "{line}"', toml)
        for paragraph in toml.strip().split("\n\n"):
            part = paragraph.split("\n[device.points")[0]
            if "[[device]]" not in part:
                text += "" if "[device.points" in part else f"{part}\n\n"
                continue
            device = tomllib.loads(part)["device"][0]
            there = next((w for w in site.wired if w.line == line and str(device["address"]).startswith(w.address)
                          and (line == "meters" or str(device["address"]) == w.address)), None)  # fmt: skip
            if there is None:
                say(f"- on {line} there is no device {device['address']}, and the scan says there is")
                continue
            right += device.get("profile") == there.profile
            for key, value in (("profile", there.profile), ("name", there.name), ("every", EVERY[line])):
                part = re.sub(rf'\n({key}|driver) = "[^"]*"', "", part)
                part = part.replace("[[device]]", f'[[device]]\n{key} = "{value}"')
            text += f"{part}\n\n"
            known[there.name] = there
    (site.folder / "pasted.toml").write_text(text)
    say(f"The scan found {len(known)} of {len(site.wired)} devices; {right} of their models were right at once, "
        f"{len(known) - right} are corrected after their labels (registers alone do not tell them apart).")  # fmt: skip
    return known


def compare(site: Site) -> tuple[int, int, int]:
    """Good values in records: all, those that the simulator meant, and devices they come from."""
    done = linli("records", "perception", "-c", "pasted.toml", "--json", folder=site.folder)
    by_device: dict[str, list[tuple[float, dict]]] = {}
    for moment, device, values in site.served():
        by_device.setdefault(device, []).append((moment, values))
    values = same = 0
    devices = set()
    for line in done.stdout.splitlines():
        record = json.loads(line)
        if record["type"] != "linli.reading.v1":
            continue
        moment = datetime.fromisoformat(record["time"]).timestamp()
        near = [said for at, said in by_device.get(record["subject"], []) if moment - NEAR < at < moment + 2]
        for name, point in record["data"]["points"].items():
            if point["quality"] == "good":
                values += 1
                equal = any(_equal(point["value"], said[name]) for said in near)
                same += equal
                devices.add(record["subject"])
                if not equal and values - same <= 5:
                    said = ", ".join(sorted({str(entry[name]) for entry in near})[:4]) or "nothing"
                    say(f"- {record['subject']}.{name}: {point['value']}, but the simulator said {said}")
    return values, same, len(devices)


def _equal(value: object, said: object) -> bool:
    if isinstance(value, bool | str) or isinstance(said, bool | str) or not isinstance(value, int | float):
        return value == said
    return isinstance(said, int | float) and abs(value - said) <= 1e-6 * max(1.0, abs(value))


def polls(site: Site, begin: float, devices: dict[str, float]) -> tuple[int, int]:
    """Polls of these devices (name: seconds between two) from ``begin`` on, answered and due."""
    end = begin + WINDOW
    moments: dict[str, list[float]] = {name: [] for name in devices}
    for at, device, _ in site.served():
        every = devices.get(device)
        if every is not None and begin - every <= at < end:
            moments[device].append(at)
    answered = due = 0
    for name, every in devices.items():
        # One poll may take several questions; a pause of half the time between two polls begins the next.
        starts = [
            at for before, at in zip([0.0, *moments[name]], moments[name], strict=False) if at - before > every / 2
        ]
        ends = [*starts, end]
        answered += len(starts)
        due += len(starts) + sum(max(0, round((after - at) / every) - 1) for at, after in pairwise(ends))
        due += 0 if starts else round(WINDOW / every)
    return answered, due


def states(status: dict) -> dict[str, str]:
    return {device["name"]: device["state"] for device in status["devices"]}


def undisturbed(site: Site, during: float, devices: set[str], what: str) -> bool:
    every = {device.name: SECONDS[device.line] for device in site.wired if device.name in devices}
    answered, due = polls(site, during, every)
    ratio = answered / due if due else 0.0
    must(ratio >= UNDISTURBED, f"{what}: {answered} of {due} polls answered in {WINDOW:.0f} s ({ratio:.1%})")
    return ratio >= UNDISTURBED


def rehearse(folder: Path) -> bool:
    site = Site(folder)
    try:
        return _rehearse(site)
    finally:
        site.stop()


def _rehearse(site: Site) -> bool:
    heading("The site is simulated")
    say(f"{len(site.wired)} devices on {len(site.ports)} lines, as `scripts/rehearsal/wiring.py` wires them.", "")
    block(
        "linli simulate site.toml --ports ports",
        "\n".join(f"{name}: {at.removeprefix(f'{site.folder}/')}" for name, at in site.ports.items()),
    )
    heading("Every line is scanned")
    found = scan(site)
    known = paste(site, found)
    heading("What it printed is pasted, checked and run")
    checked = linli("check", "-c", "pasted.toml", folder=site.folder)
    block("linli check -c pasted.toml", checked.stdout + checked.stderr)
    site.run()
    block("linli run -c pasted.toml &", "")
    took, status = site.until(lambda now: len(now["devices"]) == len(known) and set(states(now).values()) == {"online"})
    say("")
    online = Counter(states(status).values())
    results = [len(known) == len(site.wired), checked.returncode == 0, online["online"] == len(site.wired)]
    must(results[0], f"the scan found {len(known)} of {len(site.wired)} devices")
    must(results[1], "linli check has nothing against what was pasted")
    must(results[2], f"{online['online']} of {len(site.wired)} devices are online after {took:.0f} s")
    time.sleep(5)
    calm = time.time()
    time.sleep(WINDOW)
    everyone = {device.name for device in site.wired}
    results.append(undisturbed(site, calm, everyone, "nothing is wrong"))

    heading("The wire of the riser is cut")
    of = {line: {device.name for device in site.wired if device.line == line} for line in site.ports}
    cut = site.play('[[script]]\nfault = "cut"\nline = "riser"\n')
    took, status = site.until(lambda now: all(states(now).get(name) == "offline" for name in of["riser"]))
    gone = sum(states(status).get(name) == "offline" for name in of["riser"])
    results.append(gone == len(of["riser"]))
    must(results[-1], f"{gone} of {len(of['riser'])} devices of the riser are offline {took:.0f} s later")
    time.sleep(max(0.0, cut + WINDOW + 5 - time.time()))
    for line in ("meters", "plant-room"):
        results.append(undisturbed(site, cut, of[line], f"the line {line} goes on"))

    heading("It is plugged back")
    site.play("")
    took, status = site.until(lambda now: set(states(now).values()) == {"online"})
    back = Counter(states(status).values())["online"]
    results.append(back == len(site.wired))
    must(results[-1], f"{back} of {len(site.wired)} devices are online {took:.0f} s later")

    heading("One device of the riser dies")
    time.sleep(5)
    dead = next(device.name for device in site.wired if device.line == "riser")
    died = site.play(f'[[script]]\nfault = "silence"\ndevice = "{dead}"\n')
    time.sleep(WINDOW + 5)
    state = states(site.status()).get(dead)
    results.append(state == "offline")
    must(results[-1], f"{dead} is {state}")
    results.append(undisturbed(site, died, of["riser"] - {dead}, "the others on its wire go on"))

    heading("The values")
    values, same, devices = compare(site)
    results.append(values > 0 and values == same and devices == len(site.wired))
    must(results[-1], f"{same} of {values} good values in records, of {devices} devices, are what the simulator meant")
    site.stop()
    code = site.daemon.returncode if site.daemon else 1
    results.append(code == 0)
    must(results[-1], f"the gateway stops with exit code {code}")
    return all(results)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", action="store_true", help="write the transcript to docs/rehearsal.md")
    wanted = options.parse_args()
    began = time.monotonic()
    say(
        "# A site is rehearsed",
        "",
        f"Written by `scripts/rehearse --write` on {datetime.now(UTC):%Y-%m-%d}. Every device is simulated by",
        "`linli simulate`, with the time that bytes take on a wire; everything else is the real command.",
    )
    folder = Path(tempfile.mkdtemp(prefix="linli-reh-", dir="/tmp"))
    try:
        good = rehearse(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(
        "",
        f"{'Everything holds' if good else 'NOT everything holds'}. It took {(time.monotonic() - began) / 60:.0f} min.",
    )
    if wanted.write:
        (PROJECT / "docs" / "rehearsal.md").write_text("\n".join(TEXT) + "\n", encoding="utf-8")
    return 0 if good else 1


sys.exit(main())
