"""`linli status`: what is wrong first, since when and what to do; then devices, cameras, alarms, links and backlog."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.alarms import alarm_table
from gateway.cli.client import find, place
from gateway.cli.devices import device_table
from gateway.cli.fell import measures
from gateway.cli.output import (
    STATE_TONES,
    Block,
    Cell,
    Line,
    Table,
    Tone,
    Word,
    duration,
    json_option,
    moment,
    print_json,
    show,
    since,
    size,
)
from gateway.words import many, plural

CLOCK_OFF = 60  # seconds; less is what clocks do
SOON_SECONDS = 3  # records that leave so soon are no backlog
WEIGHT_TONES: dict[str, Tone] = {"major": "bad", "minor": "warn", "warning": "dim"}


@click.command()
@place
@json_option
def status(config: Path | None, state: Path | None, as_json: bool) -> None:
    """Say what is wrong, since when and what to do; then everything else."""
    answer = find(config, state).ask("status")
    if as_json:
        print_json(answer)
    else:
        show(summary(answer))


def summary(state: dict[str, Any]) -> list[Block]:
    """A status as a technician reads it."""
    blocks = [*_head(state), *_problems(state), *_alarms(state)]
    if state["devices"]:
        blocks += [*_heading("Devices"), device_table(state["devices"]), *_stations(state), *_writable(state)]
    if state["cameras"]:
        blocks += [*_heading("Cameras"), _cameras(state)]
    if state["lines"]:
        blocks += [*_heading("Lines"), _lines(state), *_refused(state)]
    if state["uplinks"]:
        blocks += [*_heading("Uplinks"), _uplinks(state)]
    if state["consumers"]:
        blocks += [*_heading("Delivered to"), _consumers(state)]
    return [*blocks, *_store(state)]


def _heading(text: str) -> list[Block]:
    return [Line([]), Line([Word(text, "strong")])]


def _head(state: dict[str, Any]) -> list[Block]:
    place_ = f", {state['site']}" if state.get("site") else ""
    up = f"linli {state['version']}, up {duration(state['uptime_s'])}, {moment(state['time'])}"
    blocks: list[Block] = [Line([Word(f"{state['gateway']}{place_}", "strong")]), Line([Word(up, "dim")])]
    if state.get("contact"):
        blocks.append(Line([Word(f"contact: {state['contact']}", "dim")]))
    return blocks


def _problems(state: dict[str, Any]) -> list[Block]:
    problems = state["problems"]
    if not problems:
        online = sum(device["state"] == "online" for device in state["devices"])
        seeing = sum(camera["state"] == "online" for camera in state["cameras"])
        cameras = f", {seeing} of {many(len(state['cameras']), 'camera')}" if state["cameras"] else ""
        text = f"No problems: {online} of {many(len(state['devices']), 'device')} online{cameras}."
        return [Line([]), Line([Word(text, "good")])]
    blocks: list[Block] = _heading(f"{many(len(problems), 'problem')}")
    for problem in problems:
        blocks.append(Line([Word("!", WEIGHT_TONES[problem["severity"]]), problem["text"]], 2))
        if problem["since"]:
            blocks.append(Line([Word(f"since {since(problem['since'], state['time'])}", "dim")], 4))
        blocks.append(Line([Word("do:", "dim"), problem["fix"]], 4))
    return blocks


def _alarms(state: dict[str, Any]) -> list[Block]:
    rows = [row for row in state["alarms"] if row["state"] != "normal"]
    if not rows:
        text = f"No alarms ({len(state['alarms'])} configured)."
        return [Line([Word(text, "good")])] if state["alarms"] else []
    blocks: list[Block] = [*_heading("Alarms"), alarm_table(rows, state["time"])]
    waiting = [row["name"] for row in rows if row["state"] != "acknowledged"]
    if waiting:
        blocks.append(Line([Word(f"to acknowledge: linli ack {waiting[0]}", "dim")], 2))
    return blocks


def _writable(state: dict[str, Any]) -> list[Block]:
    """Which points may be set, and which of them an alarm holds now."""
    names = [f"{row['name']}.{point}" for row in state["devices"] for point in row.get("writable", ())]
    if not names:
        return []
    held = {row["point"]: row for row in state.get("actions", ())}
    words = [f"{name} ({_hold(held[name])})" if name in held else name for name in names]
    return [Line([Word(f"may be set with linli write: {', '.join(words)}", "dim")], 2)]


def _hold(row: dict[str, Any]) -> str:
    wanted = {"True": "on", "False": "off"}.get(str(row["value"]), row["value"])
    return f"{wanted} for alarm {row['alarm']}" + ("" if row["state"] == "done" else f": {row['state']}")


def _cameras(state: dict[str, Any]) -> Table:
    rows: list[list[Cell]] = []
    for camera in state["cameras"]:
        frames = camera.get("frames") or {}
        rows.append(
            [
                Word(camera["name"], "strong"),
                Word(camera["state"], STATE_TONES.get(camera["state"], "")),
                camera.get("purpose", ""),
                f"{frames.get('offered', 0)} offered, {frames.get('looked', 0)} looked at",
                _last(camera, state["time"]),
            ]
        )
    return Table(("camera", "state", "purpose", "frames", "last"), rows)


def _last(camera: dict[str, Any], now: str) -> str:
    """What was seen last, or else how the camera is."""
    passages, falls = (camera.get(key) or [] for key in ("last_passages", "last_falls"))
    if falls and (not passages or falls[0]["time"] > passages[0]["time"]):
        floor, size, *_ = measures(falls[0])
        where = f"fell from floor {floor}" if floor != "-" else "fell"
        cut = "" if falls[0].get("complete", True) else ", its end was not seen"
        return f"{'test: ' if falls[0]['test'] else ''}{where}, {size}{cut}, {since(falls[0]['time'], now)}"
    return _passage(passages[0], now) if passages else camera.get("text") or ""


def _passage(passage: dict[str, Any], now: str) -> str:
    words = [passage.get(key) for key in ("plate", "direction", "lane", "list")]
    return ", ".join([*(str(word) for word in words if word), since(passage.get("time"), now)])


def _lines(state: dict[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [
            Word(line["name"], "strong"),
            Word(line["state"], STATE_TONES.get(line["state"], "")),
            f"{line['busy']:.0%}",
            str(line["transactions"]),
            str(line["errors"]),
            _took(line),
            Word(", ".join(trouble["reason"] for trouble in line.get("troubles", ())) or "-", "warn"),
            str(line["address"]),
        ]
        for line in state["lines"]
    ]
    return Table(("line", "state", "busy", "transactions", "errors", "mean, worst", "trouble", "address"), rows)


def _took(line: dict[str, Any]) -> str:
    """How long a transaction takes; of a line on which stations call, how many are connected."""
    if "connections" in line:
        return f"{len(line['connections'])} connected"
    return "-" if line.get("mean_ms") is None else f"{line['mean_ms']:.0f}, {line['worst_ms']:.0f} ms"


def _refused(state: dict[str, Any]) -> list[Block]:
    """Who called a line and was not let in."""
    blocks: list[Block] = []
    for line in state["lines"]:
        refused = line.get("refused") or {}
        if refused.get("count"):
            when = since(refused["time"], state["time"])
            text = f"{line['name']} refused {many(refused['count'], 'call')}, last {refused['peer']}, {when}"
            blocks.append(Line([Word(f"{text}: {refused['sentence']}", "warn")], 2))
    return blocks


def _stations(state: dict[str, Any]) -> list[Block]:
    """What stations said beside all points, and whose clock is wrong."""
    blocks: list[Block] = []
    for row in state["devices"]:
        unnamed, off = row.get("unnamed") or {}, row.get("clock_off_s")
        if unnamed.get("count"):
            times = many(unnamed["count"], "time")
            text = f"{row['name']} spoke {times} of what no point names, last of {unnamed['last']}"
            blocks.append(Line([Word(text, "dim")], 2))
        if off is not None and abs(off) > CLOCK_OFF:
            way = "ahead" if off > 0 else "behind"
            blocks.append(Line([Word(f"the clock of {row['name']} is {abs(off):g} s {way}", "warn")], 2))
    return blocks


def _uplinks(state: dict[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [
            Word(uplink["name"], "strong"),
            Word(uplink["state"], STATE_TONES.get(uplink["state"], "warn")),
            since(uplink.get("since"), state["time"]),
            _waiting(uplink),
            uplink.get("url", ""),
        ]
        for uplink in state["uplinks"]
    ]
    return Table(("uplink", "state", "since", "waiting", "url"), rows)


def _waiting(uplink: dict[str, Any]) -> Cell:
    """The backlog, how fast it is worked off, and the time left."""
    waiting = sum((uplink.get("backlog") or {}).values())
    if not waiting:
        return Word("nothing", "good")
    records = f"{waiting:,} {plural(waiting, 'record')}"
    left, rate = uplink.get("eta_s"), uplink.get("rate", 0.0)
    if left is None:
        return Word(records, "warn")
    if left < SOON_SECONDS:
        return records
    return Word(f"{records}, {rate:,.0f}/s, {duration(left)} left", "warn")


def _consumers(state: dict[str, Any]) -> Table:
    rows: list[list[Cell]] = [
        [
            row["consumer"] + (" (required)" if row["required"] else ""),
            row["stream"],
            row["acked"].rpartition(".")[2],
            Word(f"{row['lag']} waiting", "warn") if row["lag"] else Word("all", "good"),
        ]
        for row in state["consumers"]
    ]
    return Table(("consumer", "stream", "confirmed up to", "records"), rows)


def _store(state: dict[str, Any]) -> list[Block]:
    store = state["store"]
    counts = ", ".join(f"{stream} {bounds['last']}" for stream, bounds in state["streams"].items())
    parts = [f"records {size(store['bytes'])} of {size(store['quota'])}"]
    if "media_bytes" in store:
        parts.append(f"media {size(store['media_bytes'])} of {size(store['media_quota'])}")
    blocks = [*_heading("Store"), Line(["; ".join(parts)]), Line([f"last records: {counts}"])]
    evidence = state.get("evidence") or {}
    if evidence.get("public_key"):
        signed = many(evidence["links"], "record")
        blocks.append(Line([f"evidence: {signed} signed; public key {evidence['public_key']}"]))
    return blocks
