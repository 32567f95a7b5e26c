"""The uplink over bad links: a real mosquitto behind the fault proxy, and other brokers to go to."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.settings.core import MqttSettings
from gateway.uplink import outbox as outbox_module
from gateway.uplink.address import parse
from gateway.uplink.dial import dial
from tests.broker import Mosquitto, broker, free_port
from tests.faults.proxy import FaultProxy
from tests.uplink.fake_broker import FakeBroker, connack
from tests.uplink.platform import Platform
from tests.uplink.stand_in import MemoryStore
from tests.uplink.test_inbox import asked
from tests.uplink.test_mqtt import make, running, until
from tests.uplink.test_tls import authority, openssl, tls_broker

__all__ = ["broker"]


def everything(store: MemoryStore, count: int) -> Callable[[], bool]:
    return lambda: store.position("mqtt", "perception") >= count


@asynccontextmanager
async def flapping(proxy: FaultProxy, every: float) -> AsyncIterator[None]:
    task = asyncio.ensure_future(proxy.flap(every))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_link_that_is_cut_again_and_again_loses_nothing(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    async with (
        FaultProxy(broker.port) as proxy,
        Platform(broker.port) as platform,
        running(make(store, proxy.url)),
    ):
        proxy.rate = 200_000
        async with flapping(proxy, 0.5):
            await store.fill("perception", 600, size=300)
            await until(everything(store, 600), 60)
        assert proxy.connections > 2
        await platform.until(lambda: set(platform.sequences("perception")) >= set(range(1, 601)))
        assert len([line for line in caplog.records if line.levelname == "WARNING"]) < proxy.connections - 1


async def test_half_open_is_found_out_by_the_keep_alive(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.uplink.session.KEEP_ALIVE", 1)
    store = MemoryStore()
    async with FaultProxy(broker.port) as proxy, running(make(store, proxy.url)) as uplink:
        await until(lambda: uplink.view()["state"] == "online")
        proxy.half_open()
        await store.fill("alarm", 1)
        await until(lambda: store.position("mqtt", "alarm") == 1, 10)
        assert proxy.connections == 2
        assert proxy.swallowed > 0


async def test_an_alarm_does_not_wait_for_the_keep_alive(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.uplink.session.DOUBT_SECONDS", 0.2)
    store = MemoryStore()
    async with FaultProxy(broker.port) as proxy, running(make(store, proxy.url)) as uplink:
        await until(lambda: uplink.view()["state"] == "online")
        proxy.half_open()
        await store.fill("alarm", 1)
        await until(lambda: store.position("mqtt", "alarm") == 1, 10)
        assert proxy.connections == 2


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
async def test_what_is_dialled_breaks_when_the_far_end_acknowledges_nothing() -> None:
    async with FakeBroker() as fake:
        dialled = await dial(parse(MqttSettings(url=fake.url)), None)
        with dialled:
            assert dialled.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


async def test_a_broker_that_only_takes_its_time_is_asked_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.uplink.session.DOUBT_SECONDS", 0.5)
    store = MemoryStore()
    async with FakeBroker() as fake:
        fake.judge = lambda topic, events: "late" if topic.endswith("alarm") else 0
        async with running(make(store, fake.url)) as uplink:
            await until(lambda: uplink.view()["state"] == "online")
            await store.fill("alarm", 1)
            await until(lambda: fake.pings >= 2)
            fake.release()
            await until(lambda: store.position("mqtt", "alarm") == 1)
            assert len(fake.connects) == 1


async def test_a_stop_while_the_broker_says_nothing_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    taken = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        taken.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        uplink = make(MemoryStore(), f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        task = asyncio.ensure_future(uplink.run())
        await taken.wait()
        await uplink.flush(3)
        await asyncio.wait_for(task, 3)
    assert not [line for line in caplog.records if line.name == "asyncio"]


@pytest.mark.parametrize("asks", [0, 65535])
async def test_no_broker_can_make_us_wait_longer_for_a_dead_link(asks: int) -> None:
    store = MemoryStore()
    async with FakeBroker() as fake:
        fake.connack = connack(server_keep_alive=asks)
        async with running(make(store, fake.url)) as uplink:
            await until(lambda: uplink.view()["state"] == "online")
            assert client()._keepalive == 15


def client() -> Any:
    session = next(task for task in asyncio.all_tasks() if "tell_state" in str(task.get_coro()))
    return session.get_coro().cr_frame.f_locals["session"]._client


async def test_satellite_delay_and_stalls_do_not_break_a_connection(broker: Mosquitto) -> None:
    store = MemoryStore()
    async with FaultProxy(broker.port) as proxy, running(make(store, proxy.url)):
        proxy.delay = 0.6
        await store.fill("perception", 500, size=300)
        await until(lambda: store.position("mqtt", "perception") > 0, 20)
        proxy.stall()
        await store.fill("alarm", 1)
        await asyncio.sleep(2)
        proxy.resume()
        await until(lambda: store.position("mqtt", "alarm") == 1 and store.position("mqtt", "perception") == 500, 30)
        assert proxy.connections == 1


async def test_an_alarm_does_not_wait_behind_a_backlog_on_a_slow_link(broker: Mosquitto) -> None:
    store = MemoryStore()
    async with FaultProxy(broker.port) as proxy, running(make(store, proxy.url)):
        proxy.rate = 30_000
        await store.fill("perception", 2000, size=300)
        await until(lambda: store.position("mqtt", "perception") > 100, 20)
        await store.fill("alarm", 1)
        before = store.position("mqtt", "perception")
        await until(lambda: store.position("mqtt", "alarm") == 1, 10)
        assert store.position("mqtt", "perception") - before < 400, "some 150 kB went first"
        assert proxy.connections == 1


async def test_a_range_is_replayed_whole_through_a_link_that_breaks(broker: Mosquitto) -> None:
    store = MemoryStore()
    await store.fill("perception", 700, size=300)
    async with FaultProxy(broker.port) as proxy, running(make(store, proxy.url, streams=("alarm",))) as uplink:
        proxy.rate = 300_000
        async with Platform(broker.port) as platform, flapping(proxy, 0.8), asyncio.timeout(60):
            got: list[int] = []
            arguments: dict[str, str] = {"stream": "perception"}
            for number in range(1000):
                correlation = f"try {number}".encode()
                await platform.send("replay", correlation, asked(**arguments))
                with suppress(TimeoutError):
                    await platform.until(lambda correlation=correlation: correlation in platform.answers, 1.0)
                answer = platform.answers.pop(correlation, None)
                if answer is None:  # the question or the answer was lost with the link: ask anew
                    continue
                if not hasattr(answer.properties, "UserProperty"):
                    # The broker asked again what was answered into the broken link: a question counts once.
                    assert json.loads(answer.payload)["ok"] is False
                    continue
                user = dict(answer.properties.UserProperty)
                assert len(answer.payload) <= 256 * 1024
                got += [int(event["sequence"]) for event in json.loads(answer.payload)]
                arguments = {"after": user["cursor"]}
                if user["more"] == "false":
                    break
        assert got == list(range(1, 701)), "every record once, by cursor alone"
        assert proxy.connections > 1
        assert uplink.view()["parked"] == 0


# ---------------------------------------------------------------------------------------------------- several brokers


async def test_another_broker_is_used_while_the_first_is_gone(
    broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory
) -> None:
    second = Mosquitto(tmp_path_factory.mktemp("second"))
    second.start()
    store = MemoryStore()
    try:
        async with running(make(store, broker.url, fallback=(second.url,))) as uplink:
            await store.fill("alarm", 1)
            await until(lambda: store.position("mqtt", "alarm") == 1)
            assert uplink.view()["url"] == broker.url
            await asyncio.to_thread(broker.kill)
            await store.fill("alarm", 1)
            await until(lambda: store.position("mqtt", "alarm") == 2)
            view = uplink.view()
            assert (view["url"], view["state"]) == (second.url, "online")
            assert any(broker.url in problem for problem in view["problems"]), "why the first is not used"
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(second.kill)
            await store.fill("alarm", 1)
            await until(lambda: store.position("mqtt", "alarm") == 3)
            assert uplink.view()["url"] == broker.url
            assert uplink.view()["problems"] == []
    finally:
        second.stop()


async def test_a_broker_that_lets_us_in_and_takes_nothing_is_left_for_the_next(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "ANSWER_SECONDS", 0.5)
    store = MemoryStore()
    async with FakeBroker() as fake:
        fake.judge = lambda stream, events: "late"
        async with running(make(store, fake.url, fallback=(broker.url,))) as uplink:
            await store.fill("alarm", 3)
            await until(lambda: store.position("mqtt", "alarm") == 3)
            assert uplink.view()["url"] == broker.url


async def test_two_brokers_that_refuse_are_each_told_once() -> None:
    store = MemoryStore()
    async with FakeBroker() as one, FakeBroker() as two:
        one.connack, two.connack = connack(0x87), connack(0x8A)
        async with running(make(store, one.url, fallback=(two.url,))) as uplink:
            await until(lambda: len(two.connects) >= 3)
            assert sorted(told["code"] for told in store.told("linli.uplink.refused.v1")) == ["0x87", "0x8A"]
            reason = uplink.view()["reason"]
            assert "0x87" in reason
            assert "0x8A" in reason


async def test_after_a_move_the_state_is_told_once_more(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.uplink.mqtt.WILL_DELAY", 1)
    monkeypatch.setattr("gateway.uplink.mqtt.TICK", 0.1)
    store = MemoryStore()
    async with (
        FakeBroker() as fake,
        Platform(broker.port) as platform,
        running(make(store, fake.url, fallback=(broker.url,))) as uplink,
    ):
        await until(lambda: uplink.view()["state"] == "online")
        fake.connack = connack(0x88)
        fake._writer.close()
        await platform.until(lambda: len(platform.states) >= 2)
        assert {state["state"] for state in platform.states} == {"online"}


# ---------------------------------------------------------------------------------------------------- certificates


@pytest.mark.parametrize(
    ("host", "begin", "end", "words"),
    [
        ("localhost", "20200101000000Z", "20210101000000Z", ("expired", "renew it", "clock")),
        ("localhost", "20980101000000Z", "20990101000000Z", ("not yet valid", "timedatectl")),
        ("broker.elsewhere.example", "20200101000000Z", "20990101000000Z", ("ismatch", "into url")),
    ],
)
async def test_certificates_that_do_not_hold_are_explained(
    tmp_path: Path, host: str, begin: str, end: str, words: tuple[str, ...]
) -> None:
    authority(tmp_path, "right-ca")
    (tmp_path / "index.txt").write_text("")
    (tmp_path / "serial").write_text("01\n")
    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
        f"policy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=DNS:{host}\n"
    )
    openssl(tmp_path, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}", "-keyout", "server.key",
            "-out", "server.csr")  # fmt: skip
    openssl(tmp_path, "ca", "-batch", "-config", "ca.cnf", "-cert", "right-ca.crt", "-keyfile", "right-ca.key",
            "-in", "server.csr", "-out", "server.crt", "-startdate", begin, "-enddate", end, "-notext")  # fmt: skip
    one = tls_broker(tmp_path, tmp_path, "server")
    store = MemoryStore()
    try:
        uplink = make(store, f"mqtts://localhost:{one.port}", ca_file=tmp_path / "right-ca.crt")
        async with running(uplink):
            await until(lambda: uplink.view()["state"] == "offline")
            assert all(word in uplink.view()["reason"] for word in words), uplink.view()["reason"]
            await until(lambda: len(store.told("linli.uplink.refused.v1")) == 1)
    finally:
        one.stop()


async def test_a_name_that_nobody_knows_and_a_port_where_nobody_is_are_told_apart() -> None:
    store = MemoryStore()
    async with running(make(store, f"mqtt://127.0.0.1:{free_port()}")) as uplink:
        await until(lambda: uplink.view()["state"] == "offline")
        assert "nothing listens" in uplink.view()["reason"]
