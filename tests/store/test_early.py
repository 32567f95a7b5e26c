"""Records taken before the clock is known: held, corrected, and never seen in two shapes."""

import asyncio
import json
import random
import sqlite3
from dataclasses import replace
from datetime import datetime

import pytest

from gateway.contract import Draft, record_id
from gateway.store import Store
from gateway.store.early import HOLD_SECONDS, Hold, happened, shifted
from tests.conftest import FakeClock
from tests.store.desk import GATEWAY, alarm, disposal, everything, prove_all, settings, until

TRUE = 1_795_300_000_000_000_000  # the wall time at monotonic 1000
NEVER_SET = -TRUE + 3_600 * 10**9  # how far off a clock is that began in 1970


class WrongClock(FakeClock):
    """A fake clock whose wall is ``off_ns`` wrong; loops are real, so only these three move by hand."""

    def __init__(self, off_ns=0, trust="unknown"):
        super().__init__()
        self.off_ns, self.trust = off_ns, trust

    def wall(self):
        return TRUE + int((self.now - 1000.0) * 1e9) + self.off_ns

    async def sleep(self, seconds):
        await asyncio.sleep(0.005 if seconds > 0 else 0)


def taken(clock, value, **data):
    now = clock.wall()
    points = {"p0": {"value": value, "unit": "m", "quality": "good"}}
    return Draft(
        "perception", "linli.reading.v1", "d", "d", now, {"points": points, **data}, record_id(now), {}, clock.now
    )


def instant(event):
    return round(datetime.fromisoformat(event["time"]).timestamp() * 1000)


async def opened(path, clock, boot="boot-1", **keys):
    return await Store.open(settings(commit="10ms", **keys), path, GATEWAY, clock, {}, boot)


@pytest.mark.parametrize("then", ["synced", "holdover", "unknown"])
@pytest.mark.parametrize("now", ["synced", "unknown"])
async def test_what_is_told_of_an_earlier_boot_keeps_its_time_and_how_far_that_was_trusted(tmp_path, then, now):
    clock = WrongClock(NEVER_SET if now == "unknown" else 0, now)
    store = await opened(tmp_path, clock)
    old = TRUE - 7200 * 10**9
    await store.put([replace(taken(clock, 1.0), time=old, monotonic=None, quality=then)])
    await store.committed()
    (event,) = await everything(store, "perception")
    assert (instant(event), event["timequality"]) == (old // 10**6, then)
    assert "bootid" not in event  # this one's would be another
    clock.off_ns, clock.trust = 0, "synced"
    clock.now += 10
    await store.put([taken(clock, 2.0)])
    await store.committed()
    assert (await everything(store, "perception"))[0] == event
    await store.close()


@pytest.mark.parametrize("off_ns", [NEVER_SET, -365 * 86400 * 10**9, 5 * 3600 * 10**9])
async def test_records_wait_for_the_clock_and_are_corrected(tmp_path, off_ns):
    clock = WrongClock(off_ns)
    store = await opened(tmp_path, clock)
    ids, truth = [], []
    for number in range(20):
        draft = taken(clock, number, seen=clock.rfc3339(clock.wall()), text="at 1970-01-01T01:00:00.000+00:00 sharp")
        ids.append(draft.id)
        truth.append((TRUE + int((clock.now - 1000.0) * 1e9)) // 1_000_000)
        await store.put([draft])
        await store.committed()
        clock.now += 13.7
    assert store.bounds("perception").last == 0
    assert store.view()["held"] == 20
    await store.put([alarm(), disposal()], urgent=True)
    await store.committed()
    at_once = [(await everything(store, stream))[0] for stream in ("alarm", "disposal")]
    assert [event["timequality"] for event in at_once] == ["unknown", "unknown"]

    clock.off_ns, clock.trust = 0, "synced"
    await store.put([taken(clock, 20)])
    clock.now += 1.5
    await until(lambda: store.bounds("perception").last == 21)
    events = (await prove_all(store))["perception"]
    assert [event["id"] for event in events[:20]] == ids
    assert [event["data"]["points"]["p0"]["value"] for event in events] == list(range(21))
    assert {event["timequality"] for event in events} == {"synced"}
    assert not any("bootid" in event for event in events)
    assert all(abs(instant(event) - true) <= 1 for event, true in zip(events, truth, strict=False))
    assert all(event["data"]["seen"] == event["time"] for event in events[:20])
    assert events[0]["data"]["text"] == "at 1970-01-01T01:00:00.000+00:00 sharp"
    assert [(await everything(store, stream))[0] for stream in ("alarm", "disposal")] == at_once
    await store.close()


async def test_after_ten_minutes_they_go_as_unknown_with_boot_and_monotonic_time(tmp_path):
    clock = WrongClock(NEVER_SET)
    store = await opened(tmp_path, clock)
    await store.put([taken(clock, 1)])
    await store.committed()
    clock.now += HOLD_SECONDS - 1
    await store.put([taken(clock, 2)])
    await store.committed()
    assert store.bounds("perception").last == 0
    clock.now += 2
    clock.now += 1.5
    await until(lambda: store.bounds("perception").last == 2)
    await store.put([taken(clock, 3)])
    await store.committed()
    before = await everything(store, "perception")
    assert [(e["timequality"], e["bootid"], e["monotonic"]) for e in before] == [
        ("unknown", "boot-1", "1000.000"),
        ("unknown", "boot-1", "1599.000"),
        ("unknown", "boot-1", "1602.500"),
    ]
    clock.off_ns, clock.trust = 0, "synced"
    await store.put([taken(clock, 4)])
    await store.committed()
    after = (await prove_all(store))["perception"]
    assert after[:3] == before
    assert after[3]["timequality"] == "synced"
    await store.close()


async def test_a_restart_keeps_them_and_the_same_boot_still_corrects_them(tmp_path):
    clock = WrongClock(NEVER_SET)
    store = await opened(tmp_path, clock)
    await store.put([taken(clock, 1)])
    await store.close()
    clock.now += 30
    store = await opened(tmp_path, clock)
    assert store.facts("") == {}
    await store.put([taken(clock, 2)])
    await store.committed()
    assert store.view()["held"] == 2
    clock.off_ns, clock.trust = 0, "synced"
    await store.put([taken(clock, 3)])
    clock.now += 1.5
    await until(lambda: store.bounds("perception").last == 3)
    events = (await prove_all(store))["perception"]
    assert [instant(event) - TRUE // 1_000_000 for event in events] == [0, 30_000, 30_000]
    await store.close()


async def test_the_waiting_time_is_not_begun_anew_by_a_restart(tmp_path):
    clock = WrongClock(NEVER_SET)
    store = await opened(tmp_path, clock)
    await store.put([taken(clock, 1)])
    await store.close()
    clock.now += HOLD_SECONDS + 1
    store = await opened(tmp_path, clock)
    clock.now += 1.5
    await until(lambda: store.bounds("perception").last == 1)
    assert (await everything(store, "perception"))[0]["timequality"] == "unknown"
    await store.close()


async def test_another_boot_cannot_correct_them(tmp_path):
    clock = WrongClock(NEVER_SET)
    store = await opened(tmp_path, clock)
    await store.put([taken(clock, 1)])
    await store.close()
    later = WrongClock(0, "synced")
    later.now = 5.0
    store = await opened(tmp_path, later, boot="boot-2")
    await store.put([taken(later, 2)])
    later.now += 1.5
    await until(lambda: store.bounds("perception").last == 2)
    first, second = (await prove_all(store))["perception"]
    assert (first["timequality"], first["bootid"], first["monotonic"]) == ("unknown", "boot-1", "1000.000")
    assert (second["timequality"], "bootid" in second) == ("synced", False)
    await store.close()


async def test_a_damaged_row_of_waiting_records_does_not_stop_a_start(tmp_path, caplog):
    clock = WrongClock(NEVER_SET)
    store = await opened(tmp_path, clock)
    await store.put([taken(clock, 1)])
    await store.committed()
    await store.put([taken(clock, 2)])
    await store.close()
    with sqlite3.connect(tmp_path / "records.db") as database:
        first = database.execute("SELECT min(name) FROM facts").fetchone()
        database.execute("UPDATE facts SET value = zeroblob(length(value)) WHERE name = ?", first)
    database.close()
    clock.off_ns, clock.trust = 0, "synced"
    store = await opened(tmp_path, clock)
    await store.put([taken(clock, 3)])
    clock.now += 1.5
    await until(lambda: store.bounds("perception").last == 2)
    events = (await prove_all(store))["perception"]
    assert [event["data"]["points"]["p0"]["value"] for event in events] == [2, 3]
    assert "damaged and lost: 1 record that waited for the clock" in caplog.text
    told = [event["data"] for event in await everything(store, "management")]
    assert [(data["reason"], data["lost"]) for data in told] == [("held_damaged", 1)]
    await store.close()


class Life:
    """One gateway through boots, restarts, steps and syncs; ``real`` is the true time, which it does not know."""

    def __init__(self, folder):
        self.folder, self.boots, self.number, self.real = folder, 1, 0, TRUE
        self.clock, self.truths, self.seen = WrongClock(NEVER_SET), {}, {}
        self.store = None

    async def open(self):
        self.store = await opened(self.folder, self.clock, boot=f"boot-{self.boots}")

    async def take(self):
        draft = taken(self.clock, self.number)
        self.truths[draft.id] = self.real
        self.number += 1
        await self.store.put([draft])

    async def pass_time(self, seconds):
        self.clock.now += seconds
        self.real += int(seconds * 1e9)

    async def sync(self):
        self.clock.off_ns = self.real - TRUE - int((self.clock.now - 1000.0) * 1e9)
        self.clock.trust = "synced"

    async def lose(self):
        self.clock.off_ns, self.clock.trust = 7200 * 10**9, "unknown"

    async def restart(self):
        await self.store.close()
        await self.open()

    async def reboot(self):
        self.boots += 1
        self.clock = WrongClock(NEVER_SET)
        await self.restart()

    async def look(self):
        """What a consumer has seen never changes."""
        await self.store.committed()
        for event in await everything(self.store, "perception"):
            assert self.seen.setdefault(event["sequence"], event) == event

    def all_out(self):
        return self.store.view()["held"] == 0 and self.store.bounds("perception").last == self.number


@pytest.mark.parametrize("seed", range(6))
async def test_random_histories_of_the_clock_keep_order_truth_and_completeness(tmp_path, seed):
    life, chance = Life(tmp_path), random.Random(seed)
    await life.open()
    for _ in range(60):
        steps = (life.take, life.take, life.take, life.sync, life.lose, life.restart, life.reboot)
        await chance.choice(steps)()
        await life.look()
        if chance.random() < 0.4:
            await life.pass_time(chance.choice((0.5, 20.0, 400.0)))
    await life.sync()
    await life.take()
    await life.look()
    life.clock.now += 1.5
    await until(life.all_out)
    events = (await prove_all(life.store))["perception"]
    await life.store.close()
    assert [event["data"]["points"]["p0"]["value"] for event in events] == list(range(life.number))
    for event in events:
        known = event["timequality"] == "synced"
        assert known != ("bootid" in event)
        if known:
            assert abs(instant(event) - life.truths[event["id"]] // 1_000_000) <= 1


async def test_a_draft_that_meets_the_step_in_the_queue_is_corrected(tmp_path):
    clock = WrongClock(NEVER_SET)
    store = await Store.open(settings(commit="60s"), tmp_path, GATEWAY, clock, {}, "boot-1")
    await store.put([taken(clock, 1)])
    early = taken(clock, 2)
    clock.now += 3
    clock.off_ns, clock.trust = 0, "synced"
    await store.put([early, taken(clock, 3)])
    await store.committed()
    events = (await prove_all(store))["perception"]
    assert [instant(event) - TRUE // 1_000_000 for event in events] == [0, 0, 3000]
    await store.close()


async def test_too_many_to_hold_go_uncorrected_instead_of_filling_the_disk(tmp_path):
    clock = WrongClock(NEVER_SET)
    store = await opened(tmp_path, clock)
    store._commits._hold._room = 2000
    for number in range(40):
        await store.put([taken(clock, number)])
        await store.committed()
    clock.now += 1.5
    await until(lambda: store.bounds("perception").last == 40)
    events = (await prove_all(store))["perception"]
    assert [event["data"]["points"]["p0"]["value"] for event in events] == list(range(40))
    await store.close()


async def test_steps_of_a_known_clock_never_change_the_order(tmp_path):
    clock = WrongClock(0, "synced")
    store = await opened(tmp_path, clock)
    for number, hours in enumerate((0, 5, -7, 0, -1 / 3600)):  # the last is a leap second taken back
        clock.off_ns = int(hours * 3600 * 1e9)
        clock.trust = "holdover" if number % 2 else "synced"
        await store.put([taken(clock, number)])
        await store.committed()
    events = (await prove_all(store))["perception"]
    assert [event["data"]["points"]["p0"]["value"] for event in events] == [0, 1, 2, 3, 4]
    assert [event["timequality"] for event in events] == ["synced", "holdover", "synced", "holdover", "synced"]
    assert [instant(event) - TRUE // 1_000_000 for event in events] == [0, 18_000_000, -25_200_000, 0, -1000]
    await store.close()


def test_slow_drift_is_no_step_and_a_jump_ahead_is_not_believed_about_ages():
    clock = WrongClock(0, "synced")
    hold = Hold(clock, None, 1000)
    for _ in range(100):
        clock.now += 60
        clock.off_ns += 30_000_000  # 500 ppm
        hold.stamp()
    assert hold.steady()
    clock.off_ns += 2 * 3600 * 10**9
    hold.stamp()
    assert not hold.steady()
    clock.now += 86_401
    assert hold.steady()


def test_when_a_moment_was():
    clock = WrongClock()
    draft = taken(clock, 1)
    assert happened(draft, 0, 99.0) == 1000.0
    plain = Draft("management", "t", "", "s", 10_000_000_000, {}, "i")
    assert happened(plain, 12_500_000_000, 99.0) == 96.5
    assert happened(plain, TRUE, 99.0) == 99.0
    assert happened(plain, 0, 99.0) == 99.0


def test_only_times_that_we_wrote_are_shifted():
    clock = FakeClock()
    data = {
        "a": "1970-01-01T08:00:00.250+08:00",
        "list": [["1970-01-01T00:00:01.000Z", 1]],
        "point": {"value": "1970-01-01T00:00:00.000Z"},
        "text": 'said "1970-01-01T00:00:00.000Z" twice',
        "near": "1970-01-01T00:00:00Z",
    }
    raw = json.dumps(data, separators=(",", ":")).encode()
    found = json.loads(shifted(raw, 86_400 * 10**9, clock.rfc3339))
    assert found["a"] == "1970-01-02T00:00:00.250+00:00"
    assert found["list"] == [["1970-01-02T00:00:01.000+00:00", 1]]
    assert {key: found[key] for key in ("point", "text", "near")} == {
        key: data[key] for key in ("point", "text", "near")
    }
