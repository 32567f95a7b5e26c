"""TLS to a real server with a test authority made by openssl: verified by default, and client certificates."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.uplink.http.origin import media_origin, origin
from tests.uplink.http_platform import HttpPlatform
from tests.uplink.stand_in import MemoryStore
from tests.uplink.test_http_push import complete, make, running, until
from tests.uplink.test_tls import papers

__all__ = ["papers"]


def server_tls(papers: Path, name: str = "server", *, client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers / f"{name}.crt", papers / f"{name}.key")
    if client:
        context.load_verify_locations(papers / "right-ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def deliver(tls: ssl.SSLContext | None, scheme: str = "https", **options: Any) -> tuple[MemoryStore, dict]:
    """Try to deliver one alarm until that is done or refused."""
    store = MemoryStore()
    await store.fill("alarm", 1)
    async with HttpPlatform(tls) as platform:
        uplink = make(store, 0, url=f"{scheme}://localhost:{platform.port}/in", **options)
        async with running(uplink):
            await until(lambda: store.position("http", "alarm") == 1 or uplink.view()["state"] == "offline")
            view = uplink.view()
        assert platform.delivered("alarm") == ([1] if store.position("http", "alarm") else [])
    return store, view


async def test_the_right_authority_is_trusted(papers: Path) -> None:
    store, view = await deliver(server_tls(papers), ca_file=papers / "right-ca.crt")
    assert store.position("http", "alarm") == 1
    assert view["insecure"] is False


@pytest.mark.parametrize("ca", ["wrong-ca", None])
async def test_a_wrong_authority_is_refused(papers: Path, ca: str | None) -> None:
    store, view = await deliver(server_tls(papers), **({} if ca is None else {"ca_file": papers / f"{ca}.crt"}))
    assert store.position("http", "alarm") == 0
    assert "not trusted" in view["reason"]
    assert "ca_file" in view["reason"]
    (told,) = store.told("linli.uplink.refused.v1")
    assert told["uplink"] == "http"
    assert told["stream"] is None


async def test_insecure_does_not_turn_verification_off(papers: Path) -> None:
    store, view = await deliver(server_tls(papers), insecure=True)
    assert store.position("http", "alarm") == 0
    assert "not trusted" in view["reason"]


async def test_a_wrong_name_is_refused(papers: Path) -> None:
    store, view = await deliver(server_tls(papers, "elsewhere"), ca_file=papers / "right-ca.crt")
    assert store.position("http", "alarm") == 0
    assert "ostname mismatch" in view["reason"]


async def test_a_client_certificate_opens_the_door_and_its_absence_does_not(papers: Path) -> None:
    ca = papers / "right-ca.crt"
    store, view = await deliver(server_tls(papers, client=True), ca_file=ca)
    assert store.position("http", "alarm") == 0
    assert "certificate" in view["reason"] or "without an answer" in view["reason"] or "broke" in view["reason"]
    files = {"cert_file": papers / "client.crt", "key_file": papers / "client.key"}
    store, view = await deliver(server_tls(papers, client=True), ca_file=ca, **files)
    assert store.position("http", "alarm") == 1


@pytest.mark.parametrize(("tls", "scheme"), [(True, "http"), (False, "https")])
async def test_the_wrong_kind_of_port_ends_in_a_sentence(papers: Path, tls: bool, scheme: str) -> None:
    context = server_tls(papers) if tls else None
    store, view = await deliver(context, scheme, ca_file=papers / "right-ca.crt")
    assert store.position("http", "alarm") == 0
    assert len(view["reason"]) > 20


async def test_a_certificate_that_is_renewed_on_disk_counts_at_the_next_attempt(papers: Path, tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_bytes((papers / "wrong-ca.crt").read_bytes())
    store = MemoryStore()
    await store.fill("alarm", 1)
    async with HttpPlatform(server_tls(papers)) as platform:
        uplink = make(store, 0, url=f"https://localhost:{platform.port}/in", ca_file=ca)
        async with running(uplink):
            await until(lambda: uplink.view()["state"] == "offline")
            ca.write_bytes((papers / "right-ca.crt").read_bytes())
            await until(lambda: complete(store, platform))
            assert len(store.told("linli.uplink.accepted.v1")) == 1


def test_the_daemons_event_loop_does_it_too(papers: Path) -> None:
    async def work() -> None:
        store = MemoryStore()
        async with HttpPlatform(server_tls(papers)) as platform:
            url = f"https://localhost:{platform.port}/in"
            uplink = make(store, 0, url=url, ca_file=papers / "right-ca.crt")
            async with running(uplink):
                await store.fill("perception", 3000, size=400)
                await until(lambda: complete(store, platform, "perception"))
                port = platform.port
                await platform.stop()
                await store.fill("perception", 3000, size=400)
                await until(lambda: uplink.view()["state"] == "offline")
                platform.port = port
                await platform.start()
                await until(lambda: complete(store, platform, "perception"))
                await uplink.flush(2)

    uvloop.run(asyncio.wait_for(work(), 60))


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "target", "authority"),
    [
        ("https://p.example", "p.example", 443, True, "/", "p.example"),
        ("https://p.example:8443/in?x=1", "p.example", 8443, True, "/in?x=1", "p.example:8443"),
        ("http://[::1]:81/in", "::1", 81, False, "/in", "[::1]:81"),
    ],
)
def test_addresses(url: str, host: str, port: int, tls: bool, target: str, authority: str) -> None:
    place = origin(url)
    assert (place.host, place.port, place.tls, place.target, place.authority) == (host, port, tls, target, authority)
    assert "?" not in place.url


def test_media_go_below_the_address_or_where_they_are_told_to() -> None:
    from gateway.settings.core import HttpSettings

    assert media_origin(HttpSettings(url="https://p.example/in/")).target == "/in/media"
    assert media_origin(HttpSettings(url="https://p.example", media_url="https://m.example/x")).host == "m.example"


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_stop_does_not_wait_for_a_handshake(papers: Path, loop: Any) -> None:
    async def work() -> None:
        held: list[asyncio.StreamWriter] = []

        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer)

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        for _ in range(3):
            uplink = make(MemoryStore(), 0, url=f"https://127.0.0.1:{port}/in", ca_file=papers / "right-ca.crt")
            before = len(held)
            async with running(uplink):
                await until(lambda before=before: len(held) > before)
        server.close()
        for writer in held:
            writer.transport.abort()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(work(), 20))
