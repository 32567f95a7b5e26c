"""Commands through a real broker: what is answered, what is refused, and that hostile ones harm nothing."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.contract import CommandError
from gateway.settings.core import MqttSettings
from gateway.uplink.inbox import Inbox
from gateway.uplink.mqtt import MqttUplink
from tests.broker import Mosquitto, broker, need_mosquitto
from tests.conftest import FakeClock
from tests.uplink.platform import Platform
from tests.uplink.stand_in import EchoCommands, MemoryStore
from tests.uplink.test_mqtt import running, until

__all__ = ["broker"]


def asked(seconds_off: float = 0, **arguments: Any) -> dict[str, Any]:
    time = datetime.now(UTC) + timedelta(seconds=seconds_off)
    return {"by": "duty desk", "time": time.isoformat(), **arguments}


class Site:
    """An uplink over a store in memory."""

    def __init__(self, port: int) -> None:
        self.store = MemoryStore()
        self.commands = EchoCommands(self.store)
        settings = MqttSettings(url=f"mqtt://127.0.0.1:{port}")
        self.uplink = MqttUplink(settings, "gw", self.store, self.commands, SystemClock(), dict)

    async def ready(self) -> None:
        await until(lambda: self.uplink.view()["state"] == "online")
        await SystemClock().sleep(0.2)


async def test_status_and_read_are_answered_with_their_correlation_data(broker: Mosquitto) -> None:
    site = Site(broker.port)
    async with running(site.uplink), Platform(broker.port) as platform:
        await site.ready()
        answer = await platform.ask("status", b"\x00\xffone", asked())
        assert json.loads(answer.payload) == {"ok": True, "result": {"verb": "status"}}
        assert answer.properties.ContentType == "application/json"
        answer = await platform.ask("read", b"two", asked(device="sump", point="level"))
        assert json.loads(answer.payload)["result"] == {"verb": "read", "device": "sump", "point": "level"}
        assert site.commands.asked[-1] == ("read", {"device": "sump", "point": "level"}, "mqtt:duty desk")
        answer = await platform.ask("read", b"three", asked(device="nothing"))
        assert json.loads(answer.payload) == {"ok": False, "error": "no such device", "status": 404}


async def test_replay_pages_through_a_stream_as_batches(broker: Mosquitto) -> None:
    site = Site(broker.port)
    await site.store.fill("perception", 2500, size=400)
    async with running(site.uplink), Platform(broker.port) as platform:
        await site.ready()
        got: list[int] = []
        arguments: dict[str, Any] = {"stream": "perception"}
        for page in range(20):
            answer = await platform.ask("replay", f"page {page}".encode(), asked(**arguments))
            assert answer.properties.ContentType == "application/cloudevents-batch+json"
            assert len(answer.payload) <= 256 * 1024
            events = json.loads(answer.payload)
            got += [int(event["sequence"]) for event in events]
            user = dict(answer.properties.UserProperty)
            assert user["cursor"] == f"e1.perception.{got[-1]}"
            arguments = {"after": user["cursor"]}
            if user["more"] == "false":
                break
        assert got == list(range(1, 2501))
        answer = await platform.ask("replay", b"foreign", asked(after="other.alarm.1"))
        assert json.loads(answer.payload)["status"] == 410
        assert json.loads(answer.payload)["cursor"] == "e1.alarm.0"


@pytest.mark.parametrize(
    ("payload", "status", "word"),
    [
        (asked(seconds_off=-900), 403, "off"),
        (asked(seconds_off=900), 403, "off"),
        (asked() | {"time": "2026-11-21T08:25:30"}, 400, "offset"),
        (asked() | {"time": 5}, 400, "RFC 3339"),
        ({"by": "desk"}, 400, "time"),
        (asked() | {"by": ""}, 400, "by"),
        (asked() | {"by": ["x"]}, 400, "by"),
        (asked() | {"by": "a\nb"}, 400, "by"),
        (b"", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b"[" * 50_000, 400, "JSON"),
        (b"[]", 400, "object"),
        (b'{"by": "x", "time": "9999-99-99T00:00:00Z"}', 400, "time"),
    ],
)
async def test_what_is_not_a_command_is_refused_in_words(
    broker: Mosquitto, payload: Any, status: int, word: str
) -> None:
    site = Site(broker.port)
    async with running(site.uplink), Platform(broker.port) as platform:
        await site.ready()
        answer = json.loads((await platform.ask("status", b"c", payload)).payload)
        assert answer["ok"] is False
        assert answer["status"] == status
        assert word in answer["error"]
        assert site.commands.asked == []


async def test_correlation_data_that_cannot_be_used_once_is_refused_with_an_answer(broker: Mosquitto) -> None:
    site = Site(broker.port)
    async with running(site.uplink), Platform(broker.port) as platform:
        await site.ready()
        for correlation in (b"", b"d" * 300):
            answer = await platform.ask("status", correlation, asked())
            told = json.loads(answer.payload)
            assert (told["ok"], told["status"]) == (False, 400)
            assert "correlation data" in told["error"]
        assert site.commands.asked == []


async def test_hostile_commands_change_nothing(broker: Mosquitto) -> None:
    site = Site(broker.port)
    async with running(site.uplink), Platform(broker.port) as platform:
        await site.ready()
        await platform.send("status", b"a", asked(), response="")
        await platform.send("status", b"b", asked(), response="linli/v1/gw/alarm")
        await platform.send("status", b"c", asked(), response="linli/v1/other/state")
        await platform.send("status", b"e", b"x" * 70_000)  # larger than we said we take
        assert json.loads((await platform.ask("unlock", b"f", asked())).payload)["status"] == 404
        assert json.loads((await platform.ask("ack", b"g", asked())).payload)["status"] == 404
        assert json.loads((await platform.ask("status", b"once", asked())).payload)["ok"]
        again = json.loads((await platform.ask("status", b"once", asked())).payload)
        assert (again["ok"], again["status"]) == (False, 409)
        assert [verb for verb, _, _ in site.commands.asked] == ["status"]
        assert platform.events.get("alarm") is None
        assert [state["state"] for state in platform.states] == ["online"]


async def test_a_write_goes_on_with_who_asked_and_old_ones_are_recorded(broker: Mosquitto) -> None:
    site = Site(broker.port)
    siren = {"device": "siren", "point": "output", "value": True}
    async with running(site.uplink), Platform(broker.port) as platform:
        await site.ready()
        assert json.loads((await platform.ask("write", b"one", asked(**siren))).payload)["ok"]
        assert site.commands.asked == [("write", siren, "mqtt:duty desk")]
        late = json.loads((await platform.ask("write", b"two", asked(seconds_off=-61, **siren))).payload)
        again = json.loads((await platform.ask("write", b"one", asked(**siren))).payload)
        assert (late["status"], again["status"]) == (403, 409)
        assert site.commands.refusals == [("write", siren, "mqtt:duty desk", code) for code in (403, 409)]
        assert len(site.commands.asked) == 1


async def test_an_answer_that_is_too_large_says_so(tmp_path: Path) -> None:
    need_mosquitto()
    one = Mosquitto(tmp_path, "max_packet_size 5000")
    one.start()
    try:
        site = Site(one.port)
        async with running(site.uplink), Platform(one.port) as platform:
            await site.ready()
            answer = json.loads((await platform.ask("status", b"big", asked(pad=10_000))).payload)
            assert (answer["ok"], answer["status"]) == (False, 413)
            assert json.loads((await platform.ask("status", b"small", asked(pad=1000))).payload)["ok"]
    finally:
        one.stop()


async def test_many_commands_at_once_are_all_answered(broker: Mosquitto) -> None:
    site = Site(broker.port)
    async with running(site.uplink), Platform(broker.port) as platform:
        await site.ready()
        for number in range(25):
            await platform.send("status", f"n{number}".encode(), asked())
        await platform.until(lambda: len(platform.answers) == 25)


async def test_a_denied_command_topic_is_a_problem_and_delivery_goes_on(tmp_path: Path) -> None:
    need_mosquitto()
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite linli/v1/gw/alarm\ntopic deny linli/v1/gw/cmd/#\n")
    one = Mosquitto(tmp_path, f"acl_file {acl}")
    one.start()
    try:
        site = Site(one.port)
        async with running(site.uplink):
            await site.store.fill("alarm", 1)
            await until(lambda: site.store.position("mqtt", "alarm") == 1)
            await until(lambda: any("gw/state" in problem for problem in site.uplink.view()["problems"]))
    finally:
        one.stop()


async def test_the_window_of_time_is_sixty_seconds(fake_clock: FakeClock) -> None:
    inbox = Inbox("mqtt", "gw", EchoCommands(MemoryStore()), fake_clock)
    now = datetime.fromtimestamp(fake_clock.wall_ns / 1e9, UTC)
    inbox._check_time((now + timedelta(seconds=59.9)).isoformat())
    inbox._check_time((now - timedelta(seconds=59.9)).isoformat())
    for off in (60.1, -60.1):
        with pytest.raises(CommandError, match="off the gateway's"):
            inbox._check_time((now + timedelta(seconds=off)).isoformat())


async def test_correlation_data_is_forgotten_after_five_minutes(fake_clock: FakeClock) -> None:
    inbox = Inbox("mqtt", "gw", EchoCommands(MemoryStore()), fake_clock)
    inbox._use_once(b"one")
    fake_clock.now += 299
    with pytest.raises(CommandError, match="used before"):
        inbox._use_once(b"one")
    fake_clock.now += 2
    inbox._use_once(b"one")
    assert len(inbox._seen) == 1
