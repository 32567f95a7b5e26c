"""Says what is wrong: turns the parts' views into sentences with since when and what to do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from gateway.words import many

Weight = Literal["major", "minor", "warning"]
View = Mapping[str, Any]

WEIGHTS: tuple[Weight, ...] = ("major", "minor", "warning")
WELL = frozenset({"online", "open"})
BEGINNING = frozenset({"starting", "opening"})
TROUBLES: Mapping[str, Weight] = {"echo": "warning", "silent": "major"}  # of a line; the others are minor
NOISE = "noise"
FULL = 0.9  # of the quota


class Problem(TypedDict):
    """One sentence for a technician: ``part`` is what it is about, ``since`` RFC 3339 or None when not known."""

    part: str
    severity: Weight
    text: str
    since: str | None
    fix: str


def diagnose(state: View, clock_quality: str, started: str) -> list[Problem]:
    """All problems of a status, the worst first; ``started`` is the daemon's start, RFC 3339."""
    found = [*_store(state["store"]), *_damage(state["store"].get("damage") or {})]
    found += _clock(clock_quality, started, state["store"].get("held", 0))
    found += _lines(state["lines"], state["devices"])
    broken = {line["name"] for line in state["lines"] if line["state"] not in WELL | BEGINNING}
    noisy = {line["name"] for line in state["lines"] if NOISE in [row["reason"] for row in line.get("troubles", ())]}
    for device in state["devices"]:
        if device["line"] not in broken and not (device["reason"] == NOISE and device["line"] in noisy):
            found += _device(device)
    found += [problem for camera in state["cameras"] for problem in _camera(camera)]
    found += [problem for uplink in state["uplinks"] for problem in _uplink(uplink)]
    found += _blind(state["alarms"], {problem["part"] for problem in found}, state["devices"])
    found += _waiting(state["consumers"], state["store"])
    found += _given_up(state["consumers"], state["streams"])
    found += [_stranger(stranger) for stranger in state.get("strangers", ())]
    return sorted(found, key=lambda problem: WEIGHTS.index(problem["severity"]))


def _store(store: View) -> Iterable[Problem]:
    if store.get("failing"):
        fix = "check the card or disk and its free space; alarms still act here and are written when it recovers"
        text = f"records cannot be written: {store['failing']}"
        yield Problem(part="store", severity="major", text=text, since=store.get("failing_since"), fix=fix)


def _damage(damage: View) -> Iterable[Problem]:
    """A database that was set aside, until what can be read of it is in the new one."""
    if damage.get("state") in ("found", "salvaging"):
        why = damage.get("trouble", "it could not be read")
        text = f"the store was damaged ({why}): what can be read of {damage['set_aside']} comes back, under new numbers"
        fix = "nothing now, it ends by itself; if it happens again, replace the card or disk"
        yield Problem(part="store", severity="minor", text=text, since=damage.get("raised_at"), fix=fix)


def _clock(quality: str, started: str, held: int) -> Iterable[Problem]:
    if quality == "unknown":
        fix = "connect a time server (timedatectl shows its state) or set the time with timedatectl set-time"
        text = "the time is not known, so records are marked timequality=unknown"
        if held:
            text = f"the time is not known: {many(held, 'record')} may wait up to 10 minutes for it, alarms go at once"
        yield Problem(part="clock", severity="minor", text=text, since=started, fix=fix)


def _stranger(stranger: View) -> Problem:
    return Problem(
        part="api",
        severity="warning",
        text=f"{stranger['address']} guesses tokens ({many(stranger['count'], 'time')}) and is slowed down until "
        f"{stranger['until']}",
        since=stranger["since"],
        fix="if it is a platform of yours, give it its token (linli token new NAME); if not, keep it off this network",
    )


def _lines(lines: Sequence[View], devices: Sequence[View]) -> Iterable[Problem]:
    for line in lines:
        if line["state"] in WELL | BEGINNING:
            yield from _troubles(line)
            yield from _overload(line, devices)
            continue
        mine = [device for device in devices if device["line"] == line["name"]]
        sinces = [device["since"] for device in mine if device["state"] != "online" and device.get("since")]
        fix = "check that the adapter is plugged in and that its path is right: ls -l /dev/serial/by-id"
        if line["kind"] != "serial":
            fix = f"check cable, power and address {line['address']} of the other end"
        why, fix = _parted(line, fix)
        count = f"; its {len(mine)} devices are not read" if len(mine) > 1 else ""
        count = f"; its device {mine[0]['name']} is not read" if len(mine) == 1 else count
        yield Problem(
            part=f"line {line['name']}",
            severity="major",
            text=f"line {line['name']} is {line['state']}: {why}{count}",
            since=line.get("since") or min(sinces, default=None),
            fix=fix,
        )


def _troubles(line: View) -> Iterable[Problem]:
    """What a line that is open suffers from: noise, an echo, silence."""
    for trouble in line.get("troubles", ()):
        what, _, fix = trouble["sentence"].rpartition("; ")
        weight = TROUBLES.get(trouble["reason"], "minor")
        yield Problem(part=f"line {line['name']}", severity=weight, text=what, since=trouble.get("since"), fix=fix)


def _overload(line: View, devices: Sequence[View]) -> Iterable[Problem]:
    """Devices that are asked less often than they should be, since there is no time for it on their line."""
    late = [device["name"] for device in devices if device["line"] == line["name"] and device.get("overloaded")]
    if late:
        yield Problem(
            part=f"line {line['name']}",
            severity="warning",
            text=f"line {line['name']} is too slow for every poll of {', '.join(late)} (busy {line['busy']:.0%})",
            since=None,
            fix="raise every of these devices or of others on the line, use a higher speed, or a second line",
        )


def _device(device: View) -> Iterable[Problem]:
    name, state = device["name"], device["state"]
    if state in WELL | BEGINNING or device.get("with_line"):
        return  # the line's trouble says it for all of them
    why, fix = _parted(device, "see what each point says")
    yield Problem(
        part=f"device {name}",
        severity="minor",
        text=f"device {name} is {state}: {why}",
        since=device.get("since"),
        fix=f"{fix}; to try it: linli read {name}",
    )


def _camera(camera: View) -> Iterable[Problem]:
    yield from _unmade(camera)
    yield from _unstored(camera)
    name, state = camera["name"], camera["state"]
    if state in WELL | BEGINNING:
        return
    usual = f"check its power and network, its user and password, and {camera.get('url', 'its url')}"
    ended = state == "ended"
    for view in camera.get("troubles") or [camera]:
        sentence = view.get("sentence") or view.get("text") or view.get("reason") or "no reason given"
        # What follows the advice says what is so until it is taken.
        why, _, fix = sentence.partition("; ")
        if ended:
            fix = "nothing to do: the file was played to its end; repeat = true plays it again and again"
        yield Problem(
            part=f"camera {name}",
            severity="warning" if ended else "minor",
            text=f"camera {name} {'has' if ended else 'is'} {state}: {why}",
            since=view.get("since"),
            fix=fix or usual,
        )


def _unmade(camera: View) -> Iterable[Problem]:
    """Clips of the last day that could not be made: each is on record, but nobody reads all records."""
    unmade = camera.get("unmade_clips")
    if unmade:
        name, count = camera["name"], unmade["count"]
        why, _, advice = unmade["text"].partition("; ")
        lost = "a clip could not be made and is lost" if count == 1 else f"{count} clips could not be made and are lost"
        fix = advice or f"see linli.media.lost.v1 of {name}: linli records perception"
        yield Problem(
            part=f"camera {name}",
            severity="warning",
            text=f"camera {name}: {lost}: {why}",
            since=unmade["since"],
            fix=fix,
        )


def _unstored(camera: View) -> Iterable[Problem]:
    """Pictures and clips of the last day that the disk did not take."""
    unstored = camera.get("unstored_media")
    if unstored:
        name, count = camera["name"], unstored["count"]
        lost = "a picture or clip was not stored and is lost"
        lost = lost if count == 1 else f"{count} pictures or clips were not stored and are lost"
        yield Problem(
            part=f"camera {name}",
            severity="minor",
            text=f"camera {name}: {lost}, the last at {unstored['last'][11:19]}: {unstored['text']}",
            since=unstored["since"],
            fix="check the card or disk, its free space (df -h), and [store] media",
        )


def _parted(view: View, fix: str) -> tuple[str, str]:
    """What happened and what to do: the parts' sentences give their own advice after a semicolon."""
    sentence = view.get("sentence") or view.get("text") or view.get("reason") or "no reason given"
    what, semicolon, advice = sentence.rpartition("; ")
    return (what, advice) if semicolon else (sentence, fix)


def _uplink(uplink: View) -> Iterable[Problem]:
    name, since = uplink["name"], uplink.get("since")
    if uplink["state"] not in WELL | BEGINNING:
        why = uplink.get("reason") or "no reason given"
        fix = f"check the network and {uplink.get('url', 'the broker')}; records wait here and go when it is back"
        text = f"uplink {name} is {uplink['state']}: {why}"
        yield Problem(part=f"uplink {name}", severity="major", text=text, since=since, fix=fix)
    for text in uplink.get("problems", ()):
        fix = f"see [uplink.{name}] in the configuration and the rights of this client at the other end"
        yield Problem(part=f"uplink {name}", severity="minor", text=f"uplink {name}: {text}", since=since, fix=fix)


def _blind(alarms: Sequence[View], known: set[str], devices: Sequence[View]) -> Iterable[Problem]:
    """Alarms whose condition cannot be judged, unless a problem that was named already explains it."""
    for alarm in alarms:
        unread = {name.partition(".")[0] for name in alarm["blind"]}
        rows = [device for device in devices if device["name"] in unread]
        explained = [row for row in rows if row["state"] != "online" or f"device {row['name']}" in known]
        waiting = set(alarm["blind"].values()) <= {"never_read"}  # a start takes its time; a device that fails says so
        if waiting or len(explained) == len(unread):
            continue
        why = ", ".join(f"{name} ({reason})" for name, reason in sorted(alarm["blind"].items()))
        yield Problem(
            part=f"alarm {alarm['name']}",
            severity="minor",
            text=f"alarm {alarm['name']} cannot be judged, its inputs are bad: {why}",
            since=None,
            fix="it holds its state until they are good again: linli read shows why they are not",
        )


def _waiting(consumers: Sequence[View], store: View) -> Iterable[Problem]:
    """A nearly full store that waits for a consumer is about to lose records."""
    quota = store.get("quota") or 0
    if not quota or store["bytes"] < FULL * quota:
        return
    for row in consumers:
        if row["required"] and row["lag"]:
            waiting = f"{many(row['lag'], 'record')} of {row['stream']} wait{'s' if row['lag'] == 1 else ''}"
            yield Problem(
                part=f"consumer {row['consumer']}",
                severity="minor",
                text=f"the store is {store['bytes'] / quota:.0%} full and {waiting} for {row['consumer']}; soon the "
                "oldest are given up, with a gap record",
                since=None,
                fix=f"find out why {row['consumer']} does not confirm, or raise [store] records",
            )


def _given_up(consumers: Sequence[View], streams: Mapping[str, View]) -> Iterable[Problem]:
    """Records that the quota or twice their time took before a required consumer had confirmed them."""
    for row in consumers:
        position = int(row["acked"].rpartition(".")[2])
        count = streams[row["stream"]]["first"] - 1 - position
        if row["required"] and count > 0:
            yield Problem(
                part=f"consumer {row['consumer']}",
                severity="major",
                text=f"given up before {row['consumer']} confirmed: {many(count, 'record')} of {row['stream']}; "
                "gap records say which",
                since=None,
                fix=f"find out why {row['consumer']} does not confirm, or raise [store] records or keep",
            )
