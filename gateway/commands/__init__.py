"""What can be asked of the daemon: one place for the local socket, HTTP and MQTT."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from gateway import __version__
from gateway.commands.arguments import LONGEST_TEXT, VALUE, Argument, checked
from gateway.commands.cursors import position
from gateway.commands.diagnosis import Problem, diagnose
from gateway.contract import SEND_ORDER, STREAMS, Clock, CommandError, Cursor, Scalar, Stream
from gateway.rules import AlarmState, Phase, Rules, Transition
from gateway.settings import Settings
from gateway.settings.nearest import did_you_mean

if TYPE_CHECKING:
    from gateway.commands.frames import Frames
    from gateway.commands.writing import Writes
    from gateway.links import AnyLine
    from gateway.sources import AnySource
    from gateway.store import Store

__all__ = ["Commands", "Problem"]

ANSWER_BYTES = 8 << 20  # of records in one answer: the gateway's memory is small
RANGE = {
    "stream": Argument(str),
    "after": Argument(str),
    "limit": Argument(int, default=1000, least=1, most=10_000),
}
DAYS = Argument(int, default=30, least=1, most=3660)
PLATE = {"plate": Argument(str, required=True), "reason": Argument(str, required=True)}
VERBS: dict[str, dict[str, Argument]] = {
    "status": {},
    "ping": {},
    "devices": {},
    "read": {"device": Argument(str, required=True), "point": Argument(str), "frames": Argument(bool, default=False)},
    "write": {
        "device": Argument(str, required=True),
        "point": Argument(str, required=True),
        "value": Argument(VALUE, required=True),
        "spelled": Argument(bool, default=False),
    },
    "peek": {"camera": Argument(str, required=True)},
    "alarms": {"all": Argument(bool, default=False)},
    "ack": {"alarm": Argument(str, required=True), "note": Argument(str)},
    "records": RANGE,
    "evidence": {
        name: Argument(str, default=usual) for name, usual in (("what", "export"), ("records", ""), ("reason", ""))
    },
    "replay": RANGE,
    "frames": {"line": Argument(str), "after": Argument(int), "wait_ms": Argument(int, default=0, most=60_000)},
    "vehicles-find": {**PLATE, "export": Argument(bool, default=False)},
    "vehicles-erase": {**PLATE, "damaged_too": Argument(bool, default=False)},
    "parking": {},
    "parking-reset": {
        "area": Argument(str, required=True),
        "inside": Argument(int, required=True, most=100_000),
        "note": Argument(str),
    },
    "falls": {"days": DAYS, "last": Argument(int, default=50, least=1, most=5000)},
    "fall-label": {name: Argument(str, required=True) for name in ("record", "label", "why")},
    "falls-export": {"days": DAYS, "reason": Argument(str, required=True)},
    "drop-test": {
        "camera": Argument(str, required=True),
        "seconds": Argument(int, default=0, most=1800),
        "throws": Argument(str, default=""),
    },
    "drop-tests": {},
    "exchange": {
        "line": Argument(str, required=True),
        "send": Argument(str, required=True),
        "wait_ms": Argument(int, required=True, least=1, most=5000),
        "baud": Argument(int),
        "format": Argument(str),
    },
}
NOT_BUILT = ("reload",)


class Viewed(Protocol):
    """A part of the gateway that shows its state."""

    def view(self) -> Mapping[str, Any]:
        """The state, ready for JSON."""


class Watching(Viewed, Protocol):
    """A camera."""

    async def peek(self) -> dict[str, Any]:
        """A picture of now for whoever aims it; CommandError 409 without one."""

    async def drop_test(self, seconds: float) -> bool:
        """Mark what falls within so many seconds as thrown for a test; whether one ran. CommandError if it cannot."""

    def forget(self, plate: str, gone: Callable[[str], bool]) -> None:
        """Show a plate's passages no more, nor a last picture whose file, by its SHA-256, is gone."""


class Acting(Protocol):
    """What alarms do on the spot, as it can be seen."""

    def view(self) -> Sequence[Mapping[str, Any]]:
        """Every point that an alarm holds, ready for JSON."""

    def problems(self) -> Sequence[Problem]:
        """What could not be done."""


class Vouching(Viewed, Protocol):
    """Signs records with media, and hands them out."""

    def problems(self) -> Sequence[Problem]:
        """What keeps it from signing."""

    async def answer(self, what: str, records: Sequence[str], reason: str, actor: str) -> dict[str, Any]:
        """Everything of a bundle but its files."""


class Counting(Protocol):
    """Who counts vehicles, as far as it can be asked."""

    def view(self) -> Sequence[Mapping[str, Any]]:
        """Every parking area, ready for JSON."""

    async def reset(self, area: str, inside: int, by: str, note: str | None) -> Mapping[str, Any]:
        """So many are inside now; CommandError 404 for an area that does not exist."""

    def problems(self) -> Sequence[Problem]:
        """Counts that cannot be right."""


class Commands:
    """Executes verbs. Answers are ready for ``msgspec.json.encode``; a record in them is its stored bytes.

    ``apply`` stores and acts on a transition; ``acting`` is who sets points for alarms, if any do.
    """

    def __init__(
        self,
        settings: Settings,
        store: "Store",
        rules: Rules,
        sources: Mapping[str, "AnySource"],
        lines: Sequence["AnyLine"],
        cameras: Sequence[Watching],
        uplinks: Sequence[Viewed],
        clock: Clock,
        apply: Callable[[Transition], Awaitable[None]],
        acting: Acting | None = None,
        writes: "Writes | None" = None,
    ) -> None:
        self._settings, self._store, self._rules, self._sources = settings, store, rules, sources
        self._lines, self._cameras, self._uplinks = lines, cameras, uplinks
        self._clock, self._apply = clock, apply
        self._acting, self._writes = acting, writes
        self.parking: Counting | None = None
        self.strangers: Callable[[], Sequence[Mapping[str, Any]]] = tuple  # whom the API slows down
        self.evidence: Vouching | None = None
        self._started, self._started_at = clock.monotonic(), clock.wall()

    async def execute(self, verb: str, arguments: Mapping[str, Any], actor: str) -> Any:  # noqa: ANN401 - any JSON
        """Do ``verb`` for ``actor``.

        CommandError says why it was refused (400 arguments, 404 no such thing, 409 not in this state, 410 cursor of
        another epoch, 501 not built yet); DeviceError and LinkError come from a device that was asked.
        """
        if verb in NOT_BUILT:
            raise CommandError(
                f"{verb} is not built yet in this version; restart the gateway: systemctl restart linli", 501
            )
        if verb not in VERBS:
            raise CommandError(f'no command "{verb[:80]}"; {did_you_mean(verb, VERBS)}', 404)
        values = checked(verb, VERBS[verb], arguments)
        if "-" in verb or verb in ("falls", "parking"):
            on = self._on_falls if verb.startswith(("fall", "drop")) else self._on_vehicles
            return await on(verb, values, actor)
        match verb:
            case "status" | "devices":
                return self.status() if verb == "status" else self._devices()
            case "read" | "peek":
                return await (self._read(values) if verb == "read" else self._camera(values["camera"]).peek())
            case "write":
                return await self._write(values, actor)
            case "alarms" | "ack":
                return self._alarms(values["all"]) if verb == "alarms" else await self._ack(values, actor)
            case "frames" | "exchange":
                return await self._on_the_wire(verb, values)
            case "records" | "replay" | "evidence":
                return await (self._records(values) if verb != "evidence" else self._take_out(values, actor))
        time = self._clock.rfc3339(self._clock.wall())
        return {"gateway": self._settings.gateway.id, "version": __version__, "time": time}

    @property
    def writes(self) -> "Writes":
        """The audited way to the devices; loaded when something is written for the first time."""
        if self._writes is None:
            from gateway.commands.writing import Writes  # a gateway that only reads needs none

            self._writes = Writes(self._sources, self._store, self._clock)
        return self._writes

    @cached_property
    def _frames(self) -> "Frames":
        """The bytes on the lines; loaded when somebody looks at them for the first time."""
        from gateway.commands.frames import Frames

        return Frames(self._lines, self._clock)

    def status(self) -> dict[str, Any]:
        """Everything about how the gateway is, as ``GET /v1/status`` answers it."""
        gateway, store = self._settings.gateway, self._store
        state: dict[str, Any] = {
            "gateway": gateway.id,
            "site": gateway.site,
            "contact": gateway.contact,
            "epoch": store.epoch,
            "version": __version__,
            "time": self._clock.rfc3339(self._clock.wall()),
            "timequality": self._clock.quality(),
            "uptime_s": round(self._clock.monotonic() - self._started, 1),
            "problems": [],
            "devices": self._devices(),
            "cameras": [dict(camera.view()) for camera in self._cameras],
            "lines": [line.view() for line in self._lines],
            "alarms": self._alarms(True),
            "uplinks": [dict(uplink.view()) for uplink in self._uplinks],
            "streams": {stream: self._stream(stream) for stream in STREAMS},
            "consumers": self._consumers(),
            "store": {"quota": self._settings.store.records, **store.view()},
        }
        started = self._clock.rfc3339(self._started_at)
        found = diagnose({**state, "strangers": self.strangers()}, state["timequality"], started)
        if self._acting is not None:
            state["actions"] = [dict(row) for row in self._acting.view()]
            found = [*self._acting.problems(), *found]
        if self.evidence is not None:
            state["evidence"] = dict(self.evidence.view())
            found = [*self.evidence.problems(), *found]
        if self.parking is not None:
            state["parking"] = [dict(area) for area in self.parking.view()]
            found = [*found, *self.parking.problems()]
        state["problems"] = found
        return state

    def _stream(self, stream: Stream) -> dict[str, int]:
        first, last = self._store.bounds(stream)
        return {"first": first, "last": last, "unstored": self._store.unstored(stream)}

    def _devices(self) -> list[dict[str, Any]]:
        return [source.view() for source in self._sources.values()]

    def _camera(self, name: str) -> Watching:
        for camera in self._cameras:
            if camera.view()["name"] == name:
                return camera
        names = [camera.view()["name"] for camera in self._cameras]
        raise CommandError(f'no camera "{name[:80]}"; {did_you_mean(name, names, what="cameras")}', 404)

    def _alarms(self, everything: bool) -> list[dict[str, Any]]:
        return [self._alarm(state) for state in self._rules.states() if everything or state.phase is not Phase.NORMAL]

    def _alarm(self, state: AlarmState) -> dict[str, Any]:
        return {
            "name": state.name,
            "active": state.active,
            **state.data(self._clock.rfc3339),
            "blind": dict(state.blind or {}),
            # Alarms do not depend on the disk: this one may be known here only until it recovers.
            "stored": self._store.failing is None or not self._store.unstored("alarm"),
        }

    def _consumers(self) -> list[dict[str, Any]]:
        consumers = [(consumer.name, consumer.streams, consumer.required) for consumer in self._settings.api.consumer]
        consumers += self._settings.uplink.consumers()
        rows = []
        for name, streams, required in consumers:
            for stream in (stream for stream in SEND_ORDER if stream in streams):
                position = self._store.position(name, stream)
                rows.append(
                    {
                        "consumer": name,
                        "stream": stream,
                        "acked": str(Cursor(self._store.epoch, stream, position)),
                        "lag": max(0, self._store.bounds(stream).last - position),
                        "required": required,
                    }
                )
        return rows

    async def _read(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, point, frames = asked["device"], asked["point"], asked["frames"]
        source = self._sources.get(name)
        if source is None:
            raise CommandError(f'no device "{name[:80]}"; {did_you_mean(name, self._sources)}', 404)
        wanted = None if point is None else frozenset({point})
        if frames:
            with self._frames.during(source.view()["line"]) as rows:
                reading = await source.read_now(wanted)
            seen = {"frames": [self._frames.shown(row) for row in rows]}
        else:
            reading, seen = await source.read_now(wanted), {}
        values: dict[str, dict[str, Any]] = {}
        for key, value in reading.points.items():
            shown = {"value": value.value, "unit": reading.units.get(key, ""), "quality": value.quality}
            values[key] = shown if value.reason is None else {**shown, "reason": value.reason}
        return {"device": name, "time": self._clock.rfc3339(reading.time), "points": values, **seen}

    async def _on_the_wire(self, verb: str, values: Mapping[str, Any]) -> dict[str, Any]:
        if verb == "frames":
            return await self._frames.recent(values["line"], values["after"], values["wait_ms"] / 1000)
        from gateway.commands.exchange import exchange  # only a search needs it

        return await exchange(self._lines, self._clock, values)

    async def _write(self, values: Mapping[str, Any], actor: str) -> dict[str, Any]:
        spelled = values["spelled"]
        return await self.writes.command(values["device"], values["point"], values["value"], actor, spelled=spelled)

    async def _on_vehicles(self, verb: str, values: Mapping[str, Any], actor: str) -> Any:  # noqa: ANN401 - any JSON
        if verb == "parking":
            return [dict(area) for area in self.parking.view()] if self.parking else []
        if verb == "parking-reset":
            if self.parking is None:
                raise CommandError("no camera counts for a parking area; give one spaces or area", 404)
            return await self.parking.reset(values["area"], values["inside"], actor, values["note"])
        from gateway.commands.personal import Personal  # asked for a few times a year

        personal = Personal(self._store, self._clock, self._settings.gateway.state)
        plate, reason = values["plate"], values["reason"]
        if verb == "vehicles-erase":
            try:
                return await personal.erase(plate, reason, actor, damaged_too=values["damaged_too"])
            finally:
                for camera in self._cameras:
                    camera.forget(plate, lambda sha256: self._store.media(sha256) is None)
        return await personal.find(plate, reason, actor, "export" if values["export"] else "find")

    async def _on_falls(self, verb: str, values: Mapping[str, Any], actor: str) -> dict[str, Any]:
        from gateway.commands.fallen import Fallen  # asked for a few times a year

        return await Fallen(self._store, self._clock, self._settings.camera, self._camera).answer(verb, values, actor)

    async def refused(self, verb: str, arguments: Mapping[str, Any], actor: str, error: CommandError) -> None:
        """Record that a write was refused before it came here (too old, used before)."""
        device, point, value = (arguments.get(name) for name in ("device", "point", "value"))
        source = self._sources.get(device) if isinstance(device, str) else None
        if verb != "write" or source is None or not isinstance(point, str) or not isinstance(value, Scalar):
            return
        if point in source.view().get("writable", ()):
            from gateway.commands.writing import Wish

            value = value[:LONGEST_TEXT] if isinstance(value, str) else value
            await self.writes.refused(Wish(source.name, point, value, actor), error)

    async def _ack(self, values: Mapping[str, Any], actor: str) -> dict[str, Any]:
        clock, alarm, note = self._clock, values["alarm"], values["note"]
        transition = self._rules.acknowledge(alarm, actor, note, clock.wall(), clock.monotonic())
        await self._apply(transition)
        return self._alarm(transition.state)

    async def _take_out(self, values: Mapping[str, Any], actor: str) -> dict[str, Any]:
        if self.evidence is None:
            raise CommandError("this gateway has no camera, so it has no evidence", 404)
        return await self.evidence.answer(values["what"], values["records"].split(), values["reason"], actor)

    async def _records(self, values: Mapping[str, Any]) -> dict[str, Any]:
        cursor = self._cursor(values["stream"], values["after"])
        found = await self._store.records(cursor.stream, cursor.sequence, values["limit"], ANSWER_BYTES)
        end = found[-1].sequence if found else cursor.sequence
        return {
            "records": [msgspec.Raw(record.json) for record in found],
            "next": str(cursor._replace(sequence=end)),
            "more": self._store.bounds(cursor.stream).last > end,
        }

    def _cursor(self, stream: str | None, after: str | None) -> Cursor:
        known = next((name for name in STREAMS if name == stream), None)
        if stream is not None and known is None:
            raise CommandError(f'no stream "{stream[:80]}"; {did_you_mean(stream, STREAMS)}', 404)
        if after is None:
            if known is None:
                raise CommandError(f"say which stream: {', '.join(STREAMS)}")
            return Cursor(self._store.epoch, known, 0)
        cursor = Cursor.parse(after)
        position(self._store, known or cursor.stream, cursor)
        return cursor
