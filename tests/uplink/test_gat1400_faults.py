"""The GA/T 1400 uplink under faults: hostile answers, broken links, a real store that is closed and opened again."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import Draft, record_id
from gateway.settings.core import StoreSettings
from gateway.store import Store
from gateway.store.erasure import Erasure
from gateway.uplink.gat1400 import push as push_module
from gateway.uplink.gat1400.push import Gat1400Uplink
from tests.faults.proxy import FaultProxy
from tests.uplink.gat1400_platform import ViewLibrary
from tests.uplink.gat1400_site import PassageStore, jpeg, library, make, metric, quick, running, settings, store
from tests.uplink.http_platform import Asked, Reply
from tests.uplink.test_http_push import until

OTHERS = "31011500001190000001" + "0" * 28
HOSTILE = [
    b"", b"OK", b"[]", b"null", b"7", b'"x"', b"\xff\xfe\x00", b"{", b"[" * 30_000, b'{"x":' * 9_000,
    b'{"ResponseStatusListObject":null}', b'{"ResponseStatusListObject":[[]]}',
    b'{"ResponseStatusListObject":{"ResponseStatusObject":{"Id":{},"StatusCode":[]}}}',
    b'{"ResponseStatusListObject":{"ResponseStatusObject":[{"Id":"%b","StatusCode":0}]}}' % OTHERS.encode(),
    b'{"ResponseStatusObject":{"StatusCode":true}}', b'{"ResponseStatusObject":{"StatusCode":-1}}',
    b'{"ResponseStatusObject":{"StatusCode":0.0}}', b'{"ResponseStatusObject":{"StatusCode":"0x0"}}',
    '{"ResponseStatusObject":{"StatusCode":"٠"}}'.encode(), b'{"ResponseStatusObject":{"StatusCode":1e999}}',
    b'{"ResponseStatusObject":{"Id":null}}', b"<html>please log in</html>" * 3_000,
]  # fmt: skip


__all__ = ["library", "quick", "store"]
pytestmark = pytest.mark.usefixtures("quick")


def settled(store: PassageStore | Store) -> bool:
    return store.position("gat1400", "perception") == store.bounds("perception")[1]


@pytest.mark.parametrize("batch", [1, 2])
async def test_an_answer_that_does_not_say_what_was_taken_counts_nothing(
    library: ViewLibrary, store: PassageStore, batch: int
) -> None:
    """Every hostile body in turn, on one and the same uplink, which delivers all when the platform comes to itself."""
    for _ in range(2):
        await store.passage()
    bodies = iter(HOSTILE)
    left = [len(HOSTILE)]
    positions = set()

    def after(asked: Asked, reply: Reply) -> Reply:
        body = next(bodies, None) if asked.target.endswith("MotorVehicles") else None
        if body is None:
            return reply
        positions.add(store.position("gat1400", "perception"))
        left[0] -= 1
        return Reply(200, {"Content-Type": "application/json"}, body)

    library.after = after
    before = metric("linli_delivered_total")
    async with running(make(store, library.port, batch=batch)) as uplink:
        await until(lambda: left[0] <= 10 and bool(uplink.view()["held"]))
        assert "does not say what becomes of vehicles" in uplink.view()["problems"][0]
        assert metric("linli_delivered_total") == before
        await until(lambda: settled(store))
    assert (left, positions) == ([0], {0})
    assert library.serials() == [1, 2]
    assert metric("linli_delivered_total") == before + 2
    assert [told["code"] for told in store.told("linli.uplink.refused.v1")] == ["unsaid"]


@pytest.mark.parametrize("path", ["Register", "Keepalive", "UnRegister"])
async def test_hostile_answers_to_the_rest_end_nothing_but_the_session(
    library: ViewLibrary, store: PassageStore, path: str
) -> None:
    await store.passage()
    bodies = iter(HOSTILE)
    seen = [0]

    def after(asked: Asked, reply: Reply) -> Reply:
        if asked.target.endswith(path) and (body := next(bodies, None)) is not None:
            seen[0] += 1
            return Reply(200, {"Content-Type": "application/json"}, body)
        return reply

    library.after = after
    for _ in range(3 if path == "UnRegister" else 1):
        async with running(make(store, library.port, alive=0.01)) as uplink:
            await until(lambda: path == "UnRegister" or seen[0] >= len(HOSTILE))
            await until(lambda uplink=uplink: settled(store) and uplink.view()["state"] == "online")
    assert seen[0] == (3 if path == "UnRegister" else len(HOSTILE))
    assert library.serials() == [1]


async def test_codes_may_be_texts_and_lists_may_be_single(library: ViewLibrary, store: PassageStore) -> None:
    library.codes_as_text = True
    await store.passage()

    def after(asked: Asked, reply: Reply) -> Reply:
        if not asked.target.endswith("MotorVehicles"):
            return reply
        (one,) = json.loads(reply.body)["ResponseStatusListObject"]["ResponseStatusObject"]
        one["Id"] = ""
        return Reply(201, {}, json.dumps({"ResponseStatusList": {"ResponseStatusObject": one}}).encode())

    library.after = after
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert library.serials() == [1]


@pytest.mark.parametrize("first", [0, 8])
async def test_a_vehicle_that_is_told_both_ways_is_not_counted(
    library: ViewLibrary, store: PassageStore, first: int
) -> None:
    await store.passage()

    def after(asked: Asked, reply: Reply) -> Reply:
        if not asked.target.endswith("MotorVehicles"):
            return reply
        name = json.loads(asked.body)["MotorVehicleListObject"]["MotorVehicleObject"][0]["MotorVehicleID"]
        told = [{"Id": name, "StatusCode": code} for code in (first, 8 - first)]
        body = {"ResponseStatusListObject": {"ResponseStatusObject": told}}
        return Reply(200, {}, json.dumps(body).encode())

    library.after = after
    before = metric("linli_delivered_total")
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert metric("linli_delivered_total") == before
    assert [told["code"] for told in store.told("linli.uplink.refused.v1")] == ["8"]


async def test_one_status_for_many_vehicles_makes_them_go_one_by_one(library: ViewLibrary, store: PassageStore) -> None:
    for _ in range(4):
        await store.passage()

    def after(asked: Asked, reply: Reply) -> Reply:
        if not asked.target.endswith("MotorVehicles"):
            return reply
        return Reply(200, {}, b'{"ResponseStatusObject":{"StatusCode":0,"StatusString":"OK"}}')

    library.after = after
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    sizes = [
        len(json.loads(asked.body)["MotorVehicleListObject"]["MotorVehicleObject"])
        for asked in library.asked("MotorVehicles")
    ]
    assert sizes == [4, 1, 1, 1, 1]


async def test_the_registration_is_kept_alive_and_made_again_when_it_ends(
    library: ViewLibrary, store: PassageStore
) -> None:
    async with running(make(store, library.port, alive=0.01)) as uplink:
        await until(lambda: library.keepalives >= 3)
        library.ends_after = 2
        await until(lambda: library.registrations == 2)
        after = library.keepalives
        await until(lambda: library.keepalives >= after + 2)
        assert uplink.view()["state"] == "online"


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_a_keep_alive_that_is_refused(library: ViewLibrary, store: PassageStore, status: int) -> None:
    refused = [2]

    def before(asked: Asked) -> Reply | None:
        if asked.target.endswith("Keepalive") and refused[0]:
            refused[0] -= 1
            return Reply(status)
        return None

    library.before = before
    async with running(make(store, library.port, alive=0.01)) as uplink:
        await until(lambda: library.registrations >= 2 and library.keepalives >= 2)
        await until(lambda: uplink.view()["state"] == "online")


async def test_a_platform_that_says_nothing_delays_no_stop(
    library: ViewLibrary, store: PassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_module, "LEAVE_SECONDS", 0.2)
    await store.passage()
    async with running(make(store, library.port)) as uplink:
        await until(lambda: settled(store))
        library.before = lambda asked: Reply(silent=True)
        await store.passage()
        await until(lambda: uplink.view()["in_flight"] == 1)
    assert library.asked("UnRegister"), "it was tried, within a second"


@pytest.mark.parametrize(
    "reply", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"\x00" * 99]
)
async def test_what_is_no_http_is_said(store: PassageStore, reply: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server, running(make(store, server.sockets[0].getsockname()[1])) as uplink:
        await until(lambda: uplink.view()["state"] == "offline" and bool(uplink.view()["reason"]))


# ---------------------------------------------------------------------------------------------------- the real store


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    store = await Store.open(
        StoreSettings(commit="20ms"), folder / "state", "gw", SystemClock(), {"gat1400": frozenset({"perception"})}
    )
    try:
        yield store
    finally:
        await store.close()


async def drive_by(store: Store, picture: bytes, number: int) -> None:
    """A reading and a passage with its picture, as the core puts them."""
    clock = SystemClock()
    now = clock.wall()
    filed = await store.put_media(picture, "image/jpeg", "jpg")
    plate = {"text": f"沪A{number:05d}", "kind": "ordinary", "color": "blue", "status": "accepted", "confidence": 0.9}
    data = {"lane": "main", "direction": "out", "plate": plate, "first_time": clock.rfc3339(now),
            "last_time": clock.rfc3339(now), "picture": {"frame_time": clock.rfc3339(now), **filed}}  # fmt: skip
    points = {"n": {"value": number, "unit": "", "quality": "good"}}
    reading = Draft("perception", "linli.reading.v1", "sump", "sump", now, {"points": points}, record_id(now))
    passage = Draft("perception", "linli.vehicle.passage.v1", "north-gate", "main", now, data, record_id(now))
    await store.put([reading, passage])


async def passages(store: Store) -> list[int]:
    records = await store.records("perception", 0, 10_000)
    return [record.sequence for record in records if b"passage.v1" in record.json]


class Faults:
    """One fault after the other, by chance but always the same ones; on the link as well as at the platform."""

    def __init__(self, library: ViewLibrary, proxy: FaultProxy, seed: int) -> None:
        self._library, self._proxy, self._dice = library, proxy, random.Random(seed)
        self.busy, self.count = True, 0
        library.before, library.after, library.status = self.before, self.after, self.status

    def _chance(self, share: float) -> bool:
        hit = self.busy and self._dice.random() < share
        self.count += hit
        return hit

    def before(self, asked: Asked) -> Reply | None:
        if self._chance(0.05):
            self._proxy.cut()
        if self._chance(0.1):
            return Reply(self._dice.choice([401, 429, 500, 502, 503, 504]))
        if self._chance(0.03):
            return Reply(silent=True)
        if self._chance(0.05):
            self._library.registered = False
        return None

    def after(self, asked: Asked, reply: Reply) -> Reply:
        if self._chance(0.1):
            return Reply(0)  # what was taken, was taken: the answer is lost
        if self._chance(0.1) and reply.status == 200:
            return Reply(200, {}, self._dice.choice(HOSTILE))
        return reply

    def status(self, vehicle: dict[str, Any], tries: int) -> tuple[int, str] | None:
        return self._dice.choice([(2, "busy"), (3, "disk"), (9, "reboot")]) if self._chance(0.15) else None


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_history_of_faults_loses_a_passage(tmp_path: Path, seed: int) -> None:
    (tmp_path / "state").mkdir()
    delivered = metric("linli_delivered_total")
    taken = 0
    async with ViewLibrary() as library, FaultProxy(library.port) as proxy:
        faults = Faults(library, proxy, seed)
        options: dict[str, Any] = {"timeout": "1s", "alive": 0.2, "batch": 3}

        async def one_run(store: Store, done: Callable[[], bool]) -> None:
            nonlocal taken
            uplink = Gat1400Uplink(settings(tmp_path, proxy.port, **options), store, SystemClock())
            async with running(uplink):
                await until(done, 60)
            taken += uplink.view()["vehicles"]

        for round_ in range(3):
            async with opened(tmp_path) as store:
                for number in range(12):
                    await drive_by(store, jpeg(pad=number + 20 * round_), number + 20 * round_)
                await store.committed()
                goal = (await passages(store))[-4]
                await one_run(store, lambda store=store, goal=goal: store.position("gat1400", "perception") >= goal)
                behind = [n for n in await passages(store) if n <= store.position("gat1400", "perception")]
                assert set(behind) <= set(library.serials()), "the cursor stands beyond what was taken"
        faults.busy = False
        async with opened(tmp_path) as store:
            await one_run(store, lambda: settled(store))
            assert library.serials() == await passages(store)
            assert not [record for record in await store.records("management", 0, 100) if b"parked" in record.json]
    assert library.wrong == []
    assert faults.count > 20
    assert all("SubImageList" in vehicle for vehicle in library.vehicles.values())
    assert metric("linli_delivered_total") == delivered + taken
    assert taken >= 36


async def test_a_link_that_swallows_everything_is_given_up_and_dialled_again(
    library: ViewLibrary, store: PassageStore
) -> None:
    async with FaultProxy(library.port) as proxy:
        await store.passage()
        async with running(make(store, proxy.port, timeout="1s")) as uplink:
            await until(lambda: settled(store))
            proxy.half_open()
            await store.passage(jpeg())
            await until(lambda: uplink.view()["state"] == "offline")
            await until(lambda: settled(store))
    assert library.serials() == [1, 2]


async def test_a_slow_link_is_slow_and_nothing_else(library: ViewLibrary, store: PassageStore) -> None:
    async with FaultProxy(library.port) as proxy:
        proxy.rate, proxy.delay = 200_000, 0.02
        for number in range(3):
            await store.passage(jpeg(pad=20_000 + number))
        async with running(make(store, proxy.port)) as uplink:
            await until(lambda: settled(store))
            assert uplink.view()["registrations"] == 1
    assert library.serials() == [1, 2, 3]


async def test_a_passage_erased_from_the_store_is_not_told_any_more(tmp_path: Path, library: ViewLibrary) -> None:
    (tmp_path / "state").mkdir()
    library.before = lambda asked: Reply(503) if asked.target.endswith("MotorVehicles") else None

    def told(done: object) -> Draft:
        return Draft("disposal", "linli.disposal.erased.v1", "", "vehicle", 0, {}, record_id(0))

    async with opened(tmp_path) as store:
        for number in range(3):
            await drive_by(store, jpeg(pad=number), number)
        await store.committed()
        there = await passages(store)
        uplink = Gat1400Uplink(settings(tmp_path, library.port), store, SystemClock())
        async with running(uplink):
            await until(lambda: bool(uplink.view()["held"]))
            await store.erase(Erasure({"perception": [there[1]]}, [], told))
            asked = len(library.http.asked)
            await until(lambda: len(library.http.asked) >= asked + 2)
            library.before = lambda asked: None
            await until(lambda: settled(store))
    assert library.serials() == [there[0], there[2]]
