"""What alarms do to points: raise, let go, several at once, silent devices, restarts; on a real Modbus slave."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.commands.writing import Writes
from gateway.contract import Draft, PointValue, Reading
from gateway.daemon.actions import Actions
from gateway.rules import compile_rules
from gateway.settings import AlarmSettings
from gateway.settings.parking import GateAction
from gateway.store.types import schema
from tests.conftest import FakeClock
from tests.modbus_farm import Slave
from tests.sources.test_writing import farmed, slave, until


class Kept:
    """A store that keeps drafts and facts, and whose disk is dead: nothing is ever committed."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.kept: dict[str, bytes] = {}

    async def put(self, drafts: Sequence[Draft], *, urgent: bool = False, facts: Any = ()) -> None:
        assert urgent, "an alarm's action waits for no disk"
        self.drafts += drafts
        for name, value in dict(facts).items():
            self.kept = {key: kept for key, kept in self.kept.items() if key != name}
            if value is not None:
                self.kept[name] = value

    async def committed(self, streams: object = ()) -> None:
        await asyncio.get_running_loop().create_future()

    def facts(self, prefix: str) -> dict[str, bytes]:
        return {name: value for name, value in self.kept.items() if name.startswith(prefix)}


def alarm(name: str, *do: dict[str, Any], over: float = 10) -> dict[str, Any]:
    return {"name": name, "when": f"tank.{name} > {over}", "do": list(do)}


class Bench:
    """Alarms named after points of a tank, a real slave, and a clock that only the test moves."""

    def __init__(
        self,
        one: Slave,
        source: Any,
        alarms: list[dict[str, Any]],
        store: Kept | None = None,
        gate: dict[str, Any] | None = None,
    ) -> None:
        self.slave, self.store, self.clock = one, store or Kept(), FakeClock()
        self.settings = [AlarmSettings.model_validate(each) for each in alarms]
        points = {"tank": frozenset(("a", "b", "fire"))}
        self.rules, problems = compile_rules(self.settings, points, frozenset())
        assert not problems
        sources = {"siren": source}
        writes = Writes(sources, self.store, self.clock)  # type: ignore[arg-type]
        opens = {"gate": GateAction.model_validate(gate)} if gate else {}
        self.actions = Actions(self.settings, sources, self.store, self.clock, writes, opens)  # type: ignore[arg-type]

    def start(self, saved: dict[str, bytes] | None = None) -> asyncio.Task[None]:
        for step in self.rules.load(saved or {}, self.clock.wall(), self.clock.monotonic()):
            self.actions.act(step)
        self.actions.resume(self.rules.states())
        return asyncio.create_task(self.actions.run())

    def read(self, **levels: float) -> None:
        self.clock.now += 1
        self.clock.wall_ns += 10**9
        points = {name: PointValue(level) for name, level in levels.items()}
        for step in self.rules.feed(Reading("tank", self.clock.wall(), self.clock.monotonic(), points)):
            self.actions.act(step)

    def acknowledge(self, name: str) -> None:
        self.actions.act(self.rules.acknowledge(name, "desk", None, self.clock.wall(), self.clock.monotonic()))

    def told(self) -> list[tuple[Any, ...]]:
        """Cause, value, outcome of every record so far."""
        return [tuple(draft.data[key] for key in ("cause", "value", "outcome")) for draft in self.store.drafts]

    async def settled(self, state: str = "done") -> None:
        await until(lambda: all(row["state"] == state for row in self.actions.view()))
        await asyncio.sleep(0.02)


@asynccontextmanager
async def bench(*alarms: dict[str, Any], one: Slave | None = None) -> AsyncIterator[Bench]:
    one = one or slave()
    async with farmed(one) as source:
        site = Bench(one, source, list(alarms))
        running = site.start()
        try:
            yield site
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


ON = {"write": "siren.output", "value": True}


async def test_raised_and_let_go_when_cleared(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "linli.actions")
    async with bench(alarm("a", {**ON, "until": "cleared"})) as site:
        site.read(a=11)
        await until(lambda: site.slave.bits[0])
        await until(lambda: len(site.store.drafts) == 1)
        site.acknowledge("a")
        site.read(a=5)
        await until(lambda: not site.slave.bits[0])
        await until(lambda: not site.store.kept)
        first, second = site.store.drafts
        assert site.told() == [("raised", True, "done"), ("cleared", False, "done")]
        assert (first.stream, first.type, first.source) == ("disposal", "linli.disposal.command.v1", "siren")
        assert (first.data["by"], first.data["alarm"]) == ("alarm:a", "a")
        assert first.data["occurrence"] == second.data["occurrence"] is not None
        assert site.actions.view() == []
    told = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert [line.rpartition("siren.output ")[2] for line in told] == ["to true", "to false"]


async def test_an_alarm_that_is_only_tested_sets_nothing_and_lets_nothing_go() -> None:
    async with bench(alarm("a", {**ON, "until": "cleared"})) as site:
        (rule,) = site.rules._alarms.values()
        site.actions.act(rule.tested(site.clock.wall(), site.rules.stamp))
        assert site.actions.view() == []
        site.read(a=11)
        await until(lambda: len(site.store.drafts) == 1)
        site.actions.act(rule.tested(site.clock.wall(), site.rules.stamp))
        await site.settled()
        assert site.told() == [("raised", True, "done")]
        assert site.slave.bits[0]


async def test_without_until_it_stays() -> None:
    async with bench(alarm("a", ON)) as site:
        site.read(a=11)
        await until(lambda: site.slave.bits[0])
        await site.settled()
        site.read(a=5)
        await until(lambda: not site.store.kept)
        assert (site.slave.bits[0], len(site.slave.written)) == (True, 1)


async def test_a_horn_until_somebody_acknowledges() -> None:
    async with bench(alarm("a", {**ON, "until": "acknowledged"})) as site:
        site.read(a=11)
        await until(lambda: site.slave.bits[0])
        site.read(a=5)
        site.read(a=12)  # again, before anybody has looked
        await until(lambda: len(site.slave.written) == 2)
        await site.settled()
        site.read(a=5)
        assert site.slave.bits[0]
        site.acknowledge("a")
        await until(lambda: not site.slave.bits[0])
        await until(lambda: len(site.store.drafts) == 3)
        assert site.told()[-1] == ("acknowledged", False, "done")


async def test_the_newest_alarm_decides_and_the_last_one_lets_go() -> None:
    level = {"write": "siren.level", "until": "cleared", "else": 0}
    async with bench(alarm("a", {**level, "value": 50.0}), alarm("b", {**level, "value": 80.0})) as site:
        for levels, raw in (({"a": 11}, 500), ({"b": 11}, 800), ({"b": 1}, 500), ({"a": 1}, 0)):
            site.read(**levels)
            await until(lambda raw=raw: site.slave.registers[10] == raw)
            await site.settled()
        assert [told[:2] for told in site.told()] == [
            ("raised", 50.0), ("raised", 80.0), ("uncovered", 50.0), ("cleared", 0),
        ]  # fmt: skip
        site.read(a=11)
        site.read(b=11)
        await site.settled()
        written = len(site.slave.written)
        site.read(a=1)  # the older one lets go: nothing changes
        site.read(b=1)
        await until(lambda: site.slave.registers[10] == 0)
        assert len(site.slave.written) == written + 1


async def test_two_alarms_that_want_the_same_write_it_no_third_time() -> None:
    both = {**ON, "until": "cleared"}
    async with bench(alarm("a", both), alarm("b", both)) as site:
        site.read(a=11)
        await site.settled()
        site.read(b=11)
        await site.settled()
        site.read(b=1)
        await asyncio.sleep(0.05)
        assert (len(site.slave.written), site.slave.bits[0]) == (2, True)
        assert [row["alarm"] for row in site.actions.view()] == ["a"]
        site.read(a=1)
        await until(lambda: not site.slave.bits[0])


async def passing(site: Bench, what: Callable[[], object]) -> None:
    """Let time pass until it is true: how much that takes depends on when a try, in real time, was over."""
    for _ in range(4000):
        if what():
            return
        await site.clock.advance(0.5)
        await asyncio.sleep(0.005)
    raise AssertionError("it never came true")


def trying() -> bool:
    return any(task.get_name().startswith("attempt ") for task in asyncio.all_tasks())


async def test_a_silent_device_is_tried_again_told_once_and_shown() -> None:
    one = slave()
    one.silent = True
    async with bench(alarm("a", {**ON, "until": "cleared"}), one=one) as site:
        site.read(a=11)
        await until(lambda: site.actions.problems())
        (problem,) = site.actions.problems()
        assert (problem["part"], problem["severity"]) == ("alarm a", "major")
        assert "no answer" in problem["text"]
        assert "linli read siren" in problem["fix"]
        for tries in range(2, 5):
            await passing(site, lambda tries=tries: site.actions.view()[0]["attempts"] == tries)
        assert site.told() == [("raised", True, "failed")]
        await until(lambda: not trying())  # a try is counted when it begins
        one.silent = False
        await passing(site, lambda: site.slave.bits[0])
        await site.settled()
        assert site.told() == [("raised", True, "failed"), ("raised", True, "done")]
        assert site.store.drafts[-1].data["attempts"] == 5
        assert site.actions.problems() == []


async def test_what_the_alarm_no_longer_wants_is_not_tried_again() -> None:
    one = slave()
    one.silent = True
    async with bench(alarm("a", ON), one=one) as site:
        site.read(a=11)
        await until(lambda: site.actions.problems())
        site.read(a=1)
        await until(lambda: not site.actions.view())
        one.silent = False
        await site.clock.advance(200)
        await asyncio.sleep(0.05)
        assert (one.written, site.actions.problems()) == ([], [])


async def test_a_release_is_tried_until_it_is_done() -> None:
    async with bench(alarm("a", {**ON, "until": "cleared"})) as site:
        site.read(a=11)
        await site.settled()
        site.slave.silent = True
        site.read(a=1)
        await until(lambda: site.actions.problems())
        site.slave.silent = False
        await site.clock.advance(5)
        await until(lambda: not site.slave.bits[0])


async def test_a_device_that_does_not_obey_is_told_with_both_values() -> None:
    one = slave()
    one.stuck = True
    async with bench(alarm("a", ON), one=one) as site:
        site.read(a=11)
        await until(lambda: site.store.drafts)
        data = site.store.drafts[0].data
        assert (data["outcome"], data["value"], data["after"]["value"]) == ("mismatch", True, False)
        assert "was set to true, but the device now says false" in data["text"]


async def test_what_never_works_is_given_up_in_the_end() -> None:
    one = slave()
    one.refused = {5: 4, 15: 4}
    async with bench(alarm("a", ON), one=one) as site:
        site.read(a=11)
        await until(lambda: site.actions.problems())
        site.clock.now += 100_000
        await site.clock.advance(40)
        await until(lambda: site.actions.view()[0]["state"] == "given_up")
        assert "tried no more" in site.actions.problems()[0]["fix"]


# ---- restarts


async def again(before: Bench, source: Any, alarms: list[dict[str, Any]]) -> tuple[Bench, asyncio.Task[None]]:
    """The same store and slave after a restart."""
    after = Bench(before.slave, source, alarms, before.store)
    return after, after.start(before.rules.dump())


@asynccontextmanager
async def restarted(before: list[dict[str, Any]], after: list[dict[str, Any]], *, silent: bool) -> AsyncIterator[Bench]:
    """An alarm was raised, the gateway restarts; ``silent``: the device did not hear of it."""
    one = slave()
    async with farmed(one) as source:
        first = Bench(one, source, before)
        running = first.start()
        one.silent = silent
        first.read(a=11)
        await until(lambda: first.store.drafts)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        one.silent = False
        one.written.clear()
        first.store.drafts.clear()
        second, running = await again(first, source, after)
        try:
            yield second
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


HORN = [alarm("a", {**ON, "until": "cleared"})]


async def test_what_was_done_is_known_after_a_restart() -> None:
    async with restarted(HORN, HORN, silent=False) as site:
        await asyncio.sleep(0.1)
        assert (site.slave.written, site.store.drafts) == ([], [])
        site.read(a=1)
        await until(lambda: not site.slave.bits[0])
        await until(lambda: site.told() == [("cleared", False, "done")])


async def test_what_was_not_done_is_done_after_a_restart() -> None:
    async with restarted(HORN, HORN, silent=True) as site:
        await until(lambda: site.slave.bits[0])
        await until(lambda: site.told() == [("restart", True, "done")])


async def test_an_alarm_that_is_gone_from_the_configuration_lets_go() -> None:
    async with restarted(HORN, [], silent=False) as site:
        await until(lambda: not site.slave.bits[0])
        await until(lambda: site.told() == [("cleared", False, "done")])
        await until(lambda: not site.store.kept)


async def test_another_value_in_the_configuration_is_written_at_the_start() -> None:
    level = {"write": "siren.level", "until": "cleared", "else": 0}
    before, after = alarm("a", {**level, "value": 50.0}), alarm("a", {**level, "value": 70.0})
    async with restarted([before], [after], silent=False) as site:
        await until(lambda: site.slave.registers[10] == 700)


async def test_saved_nonsense_is_no_reason_to_stop() -> None:
    one = slave()
    async with farmed(one) as source:
        store = Kept()
        store.kept = {
            "action/siren.output": b"\xff{", "action/nowhere.x": b"{}",
            "action/siren.level": json.dumps({"done": True, "other": 1}).encode(),
        }  # fmt: skip
        site = Bench(one, source, HORN, store)
        running = site.start()
        site.read(a=11)
        await until(lambda: one.bits[0])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


PULSE = {"write": "siren.output", "value": True, "for": "2s"}


async def test_a_pulse_ends_by_itself_though_the_alarm_goes_on() -> None:
    async with bench(alarm("a", PULSE)) as site:
        site.read(a=11)
        await until(lambda: site.slave.bits[0])
        await until(lambda: len(site.store.drafts) == 1)
        await site.clock.advance(1.9)
        assert site.slave.bits[0]
        await site.clock.advance(0.2)
        await until(lambda: not site.slave.bits[0])
        await until(lambda: not site.store.kept)
        assert site.told() == [("raised", True, "done"), ("ended", False, "done")]
        assert site.actions.view() == []
        site.read(a=5)
        await asyncio.sleep(0.02)
        assert len(site.slave.written) == 2


async def test_a_pulse_that_could_not_be_set_is_given_up_soon_and_nothing_is_set_back() -> None:
    one = slave()
    one.silent = True
    async with bench(alarm("a", PULSE), one=one) as site:
        site.read(a=11)
        await until(lambda: site.actions.problems())
        for _ in range(6):
            await site.clock.advance(3)
            await asyncio.sleep(0.1)
        await until(lambda: "no more" in site.actions.problems()[0]["fix"])
        one.silent = False
        await site.clock.advance(60)
        await asyncio.sleep(0.05)
        assert (site.slave.written, site.store.kept) == ([], {})


async def test_a_pulse_is_set_back_by_the_next_start() -> None:
    one = slave()
    async with bench(alarm("a", PULSE), one=one) as site:
        site.read(a=11)
        await until(lambda: site.slave.bits[0])
        await until(lambda: site.store.drafts)
        kept = Kept()
        kept.kept = dict(site.store.kept)
        one.silent = True  # the stop cannot set it back either
    one.silent = False
    async with farmed(one) as source:
        again = Bench(one, source, [alarm("a", PULSE)], kept)
        running = again.start({})
        await until(lambda: not one.bits[0])
        await until(lambda: kept.drafts)
        assert again.told() == [("restart", False, "done")]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_pulse_is_set_back_when_the_gateway_stops() -> None:
    one = slave()
    async with farmed(one) as source:
        site = Bench(one, source, [alarm("a", PULSE)])
        running = site.start()
        site.read(a=11)
        await until(lambda: one.bits[0])
        await until(lambda: site.store.drafts)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not one.bits[0]
        assert (site.told()[-1], site.store.kept) == (("ended", False, "done"), {})


@pytest.mark.parametrize(
    ("action", "told", "set_to"),
    [
        (PULSE, [("raised", True, "done"), ("ended", False, "done")], False),
        ({**ON, "until": "cleared"}, [("raised", True, "done")], True),
    ],
)
async def test_a_write_under_way_when_the_gateway_stops_is_ended_and_on_record(
    action: dict[str, Any], told: list[tuple[Any, ...]], set_to: bool
) -> None:
    one = slave()
    one.mute.add(5)  # its answer never comes: the write takes its whole timeout
    async with farmed(one) as source:
        site = Bench(one, source, [alarm("a", action)])
        running = site.start()
        site.read(a=11)
        await until(lambda: one.written)
        assert not site.store.drafts
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (one.bits[0], site.told()) == (set_to, told)


async def test_a_gate_opens_again_while_it_is_open_and_closes_once() -> None:
    one = slave()
    async with farmed(one) as source:
        site = Bench(one, source, [alarm("fire", {**ON, "until": "cleared"})], gate=PULSE)
        running = site.start()
        assert site.actions.open("gate") == ""
        await until(lambda: len(site.store.drafts) == 1)
        await site.clock.advance(1.5)
        assert site.actions.open("gate") == ""
        await until(lambda: len(site.store.drafts) == 2)
        await site.clock.advance(1.5)
        assert one.bits[0]
        await site.clock.advance(0.6)
        await until(lambda: not one.bits[0])
        assert [row[0] for row in site.told()] == ["allowed", "allowed", "ended"]
        assert site.store.drafts[0].data["by"] == "camera:gate"
        for draft in site.store.drafts:
            Draft202012Validator(schema(draft.type)["properties"]["data"]).validate(dict(draft.data))
        site.read(fire=11, a=1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_alarm_that_holds_the_gate_decides() -> None:
    one = slave()
    async with farmed(one) as source:
        site = Bench(
            one, source, [alarm("a", {"write": "siren.output", "value": False, "until": "cleared"})], gate=PULSE
        )
        running = site.start()
        site.read(a=11)
        await until(lambda: site.store.drafts)
        assert site.actions.open("gate") == "alarm a holds siren.output"
        await asyncio.sleep(0.05)
        assert one.written == [] or not one.bits[0]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
