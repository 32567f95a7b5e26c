"""The GA/T 1400 uplink against a view library of our own: registration, what goes, and what every answer leads to."""

import asyncio
import base64
from typing import Any

import pytest

from gateway.uplink.gat1400 import delivery as delivery_module
from tests.uplink.gat1400_platform import CAMERA, TOLLGATE, ViewLibrary
from tests.uplink.gat1400_site import LOCAL, PassageStore, jpeg, library, make, metric, quick, running, store
from tests.uplink.http_platform import Asked, Reply
from tests.uplink.test_http_push import until

__all__ = ["library", "quick", "store"]


def settled(store: PassageStore) -> bool:
    return store.position("gat1400", "perception") == store.bounds("perception")[1]


async def test_a_passage_arrives_with_its_picture_and_the_registration_is_ended(
    library: ViewLibrary, store: PassageStore
) -> None:
    picture = jpeg(800, 450)
    await store.fill("perception", 3)
    await store.passage(picture)
    before = metric("linli_delivered_total")
    async with running(make(store, library.port)) as uplink:
        await until(lambda: settled(store))
        view = uplink.view()
    assert library.wrong == []
    (vehicle,) = library.vehicles.values()
    image = vehicle.pop("SubImageList")["SubImageInfoObject"][0]
    source = f"{CAMERA}02{LOCAL}00004"
    assert vehicle == {
        "MotorVehicleID": f"{source}0200001", "InfoKind": 1, "SourceID": source, "TollgateID": TOLLGATE,
        "DeviceID": CAMERA, "StorageUrl1": "", "LeftTopX": 0, "LeftTopY": 0, "RightBtmX": 800, "RightBtmY": 450,
        "HasPlate": "1", "PlateClass": "02", "PlateColor": "5", "PlateNo": "沪A12345", "PlateReliability": "94",
        "PlateCharReliability": "沪-99,A-98,1-97,2-96,3-95,4-94,5-99", "LaneNo": 2, "Direction": "1",
        "VehicleColor": "99", "PassTime": LOCAL,
    }  # fmt: skip
    assert base64.b64decode(image["Data"]) == picture
    assert metric("linli_delivered_total") == before + 1, "readings are not counted: they were never sent"
    assert (view["state"], view["vehicles"], view["backlog"]) == ("online", 1, {"perception": 0})
    assert view["problems"] == []
    assert (library.registrations, library.unregistrations, library.registered) == (1, 1, False)


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
async def test_every_digest_that_a_platform_may_ask_for(
    library: ViewLibrary, store: PassageStore, algorithm: str, qop: str
) -> None:
    library.algorithm, library.qop = algorithm, qop
    await store.passage()
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert (library.wrong, library.unregistrations, len(library.vehicles)) == ([], 1, 1)


async def test_the_old_digest_and_a_user_of_its_own_and_a_path(store: PassageStore) -> None:
    async with ViewLibrary(user="community-7") as library:
        library.qop = ""
        await store.passage()
        url = f"http://127.0.0.1:{library.port}/base/"
        async with running(make(store, library.port, url=url, user="community-7")):
            await until(lambda: settled(store))
    assert library.wrong == []
    assert {asked.target for asked in library.http.asked} == {
        f"/base/VIID/{what}" for what in ("System/Register", "MotorVehicles", "System/UnRegister")
    }


async def test_a_nonce_that_grew_stale_is_no_wrong_password(library: ViewLibrary, store: PassageStore) -> None:
    library.nonce_uses = 1  # so that UnRegister, which counts on with the same nonce, meets stale=true
    async with running(make(store, library.port)) as uplink:
        await until(lambda: library.registered)
        assert uplink.view()["state"] in ("starting", "online")
    assert (library.stale, library.unregistrations, library.wrong) == (1, 1, [])


async def test_a_nonce_that_expires_at_once_is_no_wrong_password_either(
    library: ViewLibrary, store: PassageStore, caplog: pytest.LogCaptureFixture
) -> None:
    expired: list[str] = []

    def before(asked: Asked) -> None:
        if "authorization" in asked.headers and not expired:
            expired.extend(library.nonces)
            library.nonces.clear()

    library.before = before
    async with running(make(store, library.port)):
        await until(lambda: library.registered)
    assert (len(library.asked("/Register")), library.registrations) == (3, 1)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_a_nonce_that_is_still_good_is_used_again(library: ViewLibrary, store: PassageStore) -> None:
    library.nonce_uses = 100
    async with running(make(store, library.port)):
        await until(lambda: library.registered)
    assert (library.stale, library.unregistrations) == (0, 1)
    assert len(library.asked("UnRegister")) == 1


async def test_a_wrong_password_is_said_once_and_tried_again(
    library: ViewLibrary, store: PassageStore, quick: None
) -> None:
    await store.passage()
    async with running(make(store, library.port, password="wrong-s3cr3t")) as uplink:
        await until(lambda: len(library.asked("Register")) > 6)
        view = uplink.view()
        assert view["state"] == "offline"
        assert "user and password" in view["reason"]
        (store.folder / "password").write_text("pässw0rd-7")
        await until(lambda: settled(store) and uplink.view()["state"] == "online")
    assert len(store.told("linli.uplink.refused.v1")) == 1
    assert len(store.told("linli.uplink.accepted.v1")) == 1
    told = b"".join(record.json for record in store.streams["management"])
    assert b"s3cr3t" not in told
    assert b"p\\u00e4ssw0rd" not in told


@pytest.mark.parametrize("challenge", ["Basic realm=x", "Digest algorithm=SHA-512, nonce=x", "", "Digest", '="\\'])
async def test_a_challenge_that_cannot_be_met(
    library: ViewLibrary, store: PassageStore, quick: None, challenge: str
) -> None:
    library.before = lambda asked: Reply(401, {"WWW-Authenticate": challenge} if challenge else {})
    async with running(make(store, library.port)) as uplink:
        await until(lambda: len(library.http.asked) >= 2)
        await until(lambda: uplink.view()["state"] == "offline")
        assert "digest" in uplink.view()["reason"]
    assert all("authorization" not in asked.headers for asked in library.http.asked)


async def test_only_the_cameras_that_are_named_leave(library: ViewLibrary, store: PassageStore) -> None:
    await store.passage(camera="back-gate")
    await store.passage()
    await store.passage(camera="gw")
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert library.serials() == [2]


async def test_each_vehicle_has_a_status_of_its_own(library: ViewLibrary, store: PassageStore, quick: None) -> None:
    for _ in range(6):
        await store.passage()

    def status(vehicle: dict[str, Any], tries: int) -> tuple[int, str] | None:
        serial = int(vehicle["SourceID"][-5:])
        if serial == 2:
            return 8, "PlateNo"
        if serial == 3 and tries <= 2:
            return 2, "busy"
        if serial == 4 and tries <= 2:
            return 1, "database"
        if serial == 5:
            return 1, "MotorVehicleID already exists"
        return None

    library.status = status
    delivered = metric("linli_delivered_total")
    refused = [metric("linli_refused_total", code=code) for code in ("8", "2", "1")]
    async with running(make(store, library.port)) as uplink:
        await until(lambda: settled(store))
        assert uplink.view()["parked"] == 1
    assert library.serials() == [1, 3, 4, 6]
    assert metric("linli_delivered_total") == delivered + 5, "what the platform had already is delivered"
    assert [metric("linli_refused_total", code=code) - before for code, before in
            zip(("8", "2", "1"), refused, strict=True)] == [1, 2, 2]  # fmt: skip
    (told,) = store.told("linli.uplink.refused.v1")
    assert (told["uplink"], told["stream"], told["code"], told["effect"]) == ("gat1400", "perception", "8", "parked")
    assert told["meaning"] == "Invalid JSON content"
    assert [record["sequence"] for record in told["records"]] == [f"{2:020d}"]
    assert max(library.tries.values()) == 3


@pytest.mark.parametrize("status", [200, 422, 503])
async def test_a_platform_that_names_the_plate_brings_it_into_no_log_and_no_record(
    library: ViewLibrary, store: PassageStore, quick: None, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    hazy = {"text": "沪B99999", "status": "uncertain", "characters": [1, 1, 1, 1, 1, 1, 0.1], "confidence": 0.1}
    await store.passage()
    await store.passage(plate=hazy)
    library.status = lambda vehicle, tries: (8, f"cannot take {vehicle['PlateNo']} again")

    def after(asked: Asked, reply: Reply) -> Reply:
        bad = asked.target.endswith("MotorVehicles") and not (status == 503 and len(library.asked("MotorVehicles")) > 2)
        return Reply(status, reply.headers, reply.body) if bad else reply

    library.after = after
    seen: list[str] = []
    async with running(make(store, library.port)) as uplink:
        await until(lambda: seen.append(str(uplink.view())) or settled(store))
    told = store.told("linli.uplink.refused.v1")
    everything = caplog.text + str(told) + "".join(seen)
    assert "(plate)" in str(told)
    assert not [plate for plate in ("A12345", "B99999", "B9999-") if plate in everything]


async def test_a_code_that_never_passes_ends_in_parking(library: ViewLibrary, store: PassageStore, quick: None) -> None:
    await store.passage()
    library.status = lambda vehicle, tries: (4, "no")
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert list(library.tries.values()) == [3]
    assert [told["code"] for told in store.told("linli.uplink.refused.v1")] == ["4"]


async def test_a_platform_that_refuses_all_does_not_empty_the_gateway(
    library: ViewLibrary, store: PassageStore, quick: None
) -> None:
    for _ in range(30):
        await store.passage()
    library.status = lambda vehicle, tries: (8, "no")
    async with running(make(store, library.port)) as uplink:
        await until(lambda: bool(uplink.view()["held"]))
        assert store.position("gat1400", "perception") == 20
        assert "StatusCode 8" in uplink.view()["problems"][0]
        library.status = lambda vehicle, tries: None
        await until(lambda: settled(store))
    assert library.serials() == list(range(21, 31))
    assert [told["effect"] for told in store.told("linli.uplink.refused.v1")].count("held") == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_that_passes_is_waited_out(
    library: ViewLibrary, store: PassageStore, quick: None, status: int
) -> None:
    await store.passage(jpeg())
    left = [3]

    def before(asked: Asked) -> Reply | None:
        if asked.target.endswith("MotorVehicles") and left[0]:
            left[0] -= 1
            return Reply(status)
        return None

    library.before = before
    refused = metric("linli_refused_total", code=str(status))
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert metric("linli_refused_total", code=str(status)) == refused + 3
    assert (library.serials(), library.registrations) == ([1], 1)
    assert store.told("linli.uplink.refused.v1") == []


async def test_a_session_that_expires_is_made_again(
    library: ViewLibrary, store: PassageStore, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(8):
        await store.passage()
    library.ends_after = 3
    delivered = metric("linli_delivered_total")
    async with running(make(store, library.port, batch=1)) as uplink:
        await until(lambda: settled(store))
        assert uplink.view()["registrations"] == 2
        assert uplink.view()["state"] == "online"
    assert library.serials() == list(range(1, 9))
    assert metric("linli_delivered_total") == delivered + 8
    assert library.registrations == 2
    assert not [record for record in caplog.records if record.levelname == "WARNING"], "nothing was wrong"


async def test_a_platform_that_never_knows_us_is_not_stormed(
    library: ViewLibrary, store: PassageStore, quick: None
) -> None:
    await store.passage()
    library.before = lambda asked: Reply(401) if asked.target.endswith("MotorVehicles") else None
    async with running(make(store, library.port)) as uplink:
        await until(lambda: library.registrations >= 3)
        await until(lambda: uplink.view()["state"] == "offline")
        assert "does not know" in uplink.view()["reason"]
    assert len(library.asked("MotorVehicles")) <= library.registrations


async def test_a_picture_that_was_evicted_is_left_out(library: ViewLibrary, store: PassageStore) -> None:
    await store.passage(jpeg(pad=70))
    for file in store.folder.glob("*.jpg"):
        file.unlink()
    await store.passage(jpeg())
    await store.passage(jpeg(pad=100_000))
    await store.passage(b"no picture at all")
    async with running(make(store, library.port, picture_limit="64KiB")) as uplink:
        await until(lambda: settled(store))
        assert uplink.view()["without_picture"] == 3
    assert library.wrong == []
    with_picture = [identity for identity, vehicle in library.vehicles.items() if "SubImageList" in vehicle]
    assert [int(identity[36:41]) for identity in with_picture] == [2]
    assert library.serials() == [1, 2, 3, 4]


async def test_no_picture_leaves_when_none_shall(library: ViewLibrary, store: PassageStore) -> None:
    await store.passage(jpeg())
    async with running(make(store, library.port, pictures=False, numbers="text")) as uplink:
        library.numbers = str
        await until(lambda: settled(store))
        assert uplink.view()["without_picture"] == 0
    assert (library.wrong, library.serials()) == ([], [1])


async def test_a_request_that_is_too_large_is_halved_then_sent_without_its_picture(
    library: ViewLibrary, store: PassageStore, quick: None
) -> None:
    for pad in (50, 51, 52, 20_000, 53):
        await store.passage(jpeg(pad=pad))
    library.before = lambda asked: Reply(413) if len(asked.body) > 5000 else None
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert library.serials() == [1, 2, 3, 4, 5]
    bare = [identity for identity, vehicle in library.vehicles.items() if "SubImageList" not in vehicle]
    assert [int(identity[36:41]) for identity in bare] == [4]


async def test_what_is_too_large_without_a_picture_is_parked(
    library: ViewLibrary, store: PassageStore, quick: None
) -> None:
    await store.passage()
    await store.passage(jpeg())
    library.before = lambda asked: Reply(413) if asked.target.endswith("MotorVehicles") else None
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert [told["code"] for told in store.told("linli.uplink.refused.v1")] == ["413", "413"]
    assert len(library.asked("MotorVehicles")) <= 5


async def test_the_vehicle_at_fault_is_found_when_a_whole_request_is_refused(
    library: ViewLibrary, store: PassageStore, quick: None
) -> None:
    for text in ("沪A12345", "沪B12345", "沪C12345", "沪D12345"):
        await store.passage(plate={"text": text, "status": "accepted", "confidence": 0.9})
    library.before = lambda asked: Reply(400) if "沪C".encode() in asked.body else None
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert library.serials() == [1, 2, 4]
    (told,) = store.told("linli.uplink.refused.v1")
    assert [record["sequence"] for record in told["records"]] == [f"{3:020d}"]


async def test_a_time_that_is_not_known_is_not_told_as_one(library: ViewLibrary, store: PassageStore) -> None:
    await store.passage(quality="unknown")
    await store.passage(quality="holdover")
    await store.passage(time="whenever")
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert library.serials() == [2]
    assert sorted(told["code"] for told in store.told("linli.uplink.refused.v1")) == ["untellable"] * 2


async def test_what_was_salvaged_keeps_its_id(library: ViewLibrary, store: PassageStore) -> None:
    await store.passage(former=123_456)
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert library.serials() == [23_456]


async def test_a_restart_in_the_middle_doubles_and_loses_nothing(
    library: ViewLibrary, store: PassageStore, quick: None
) -> None:
    for _ in range(12):
        await store.passage(jpeg())
    stuck = asyncio.Event()

    def after(asked: Asked, reply: Reply) -> Reply:
        if asked.target.endswith("MotorVehicles") and len(library.vehicles) >= 6:
            stuck.set()
            return Reply(0)  # taken, but the answer is lost
        return reply

    library.after = after
    task = asyncio.ensure_future(make(store, library.port, batch=3).run())
    await stuck.wait()
    task.cancel()
    await asyncio.wait([task])
    assert store.position("gat1400", "perception") == 3
    library.after = lambda asked, reply: reply
    async with running(make(store, library.port, batch=3)):
        await until(lambda: settled(store))
    assert (library.serials(), library.wrong) == (list(range(1, 13)), [])
    assert max(library.tries.values()) == 2


async def test_what_was_evicted_is_passed_over(library: ViewLibrary, store: PassageStore) -> None:
    for _ in range(5):
        await store.passage()
    store.evict("perception", 3)
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert library.serials() == [4, 5]


async def test_what_is_erased_while_it_waits_never_leaves(
    library: ViewLibrary, store: PassageStore, quick: None
) -> None:
    for _ in range(5):
        await store.passage(jpeg())
    library.before = lambda asked: Reply(503) if asked.target.endswith("MotorVehicles") else None
    async with running(make(store, library.port)) as uplink:
        await until(lambda: bool(uplink.view()["held"]))
        store.streams["perception"] = [
            record for record in store.streams["perception"] if record.sequence not in (1, 3)
        ]
        asked = len(library.http.asked)
        await until(lambda: len(library.http.asked) >= asked + 2)  # what was on its way has been refused
        library.before = lambda asked: None
        await until(lambda: settled(store))
    assert library.serials() == [2, 4, 5]


async def test_a_hold_is_over_when_its_vehicle_is_parked(
    library: ViewLibrary, store: PassageStore, quick: None
) -> None:
    await store.passage()
    library.status = lambda vehicle, tries: (2, "busy") if tries == 1 else (8, "no")
    async with running(make(store, library.port)) as uplink:
        await until(lambda: settled(store))
        assert (uplink.view()["held"], uplink.view()["problems"], uplink.view()["parked"]) == ({}, [], 1)


async def test_a_conflict_that_says_why_is_a_delivery(library: ViewLibrary, store: PassageStore, quick: None) -> None:
    for _ in range(3):
        await store.passage()

    def after(asked: Asked, reply: Reply) -> Reply:
        if not asked.target.endswith("MotorVehicles"):
            return reply
        return Reply(409, {"Content-Type": "text/plain"}, "记录已存在".encode())

    library.after = after
    async with running(make(store, library.port)):
        await until(lambda: settled(store))
    assert library.serials() == [1, 2, 3]
    assert len(library.asked("MotorVehicles")) == 5, "together, alone, two together, alone twice"


async def test_a_store_that_cannot_be_read_is_a_problem_until_it_can(
    library: ViewLibrary, store: PassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "PAUSE_SECONDS", 0.05)
    await store.passage()
    store.broken = True
    async with running(make(store, library.port)) as uplink:
        await until(lambda: bool(uplink.view()["problems"]))
        assert "cannot be read" in uplink.view()["problems"][0]
        store.broken = False
        await until(lambda: settled(store))
        assert uplink.view()["problems"] == []
