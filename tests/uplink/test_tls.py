"""TLS to a real broker with a test authority made by openssl: verified by default, authority and name."""

import asyncio
import shutil
import subprocess
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.clock import SystemClock
from gateway.contract import ConfigError
from gateway.settings.core import MqttSettings
from gateway.uplink.address import parse, tls_context
from tests.broker import Mosquitto, need_mosquitto
from tests.uplink.stand_in import MemoryStore
from tests.uplink.test_mqtt import make, running, until


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> None:
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.crt")  # fmt: skip


def certificate(folder: Path, name: str, issuer: str, alternative: str) -> None:
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
            "-out", f"{name}.csr")  # fmt: skip
    (folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\n")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key",
            "-CAcreateserial", "-days", "2", "-out", f"{name}.crt", "-extfile", f"{name}.ext")  # fmt: skip


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        warnings.warn("openssl is missing: the TLS tests are SKIPPED", stacklevel=2)
        pytest.skip("no openssl to make test certificates with")
    return made(tmp_path_factory.getbasetemp() / "papers")


@cache
def made(folder: Path) -> Path:
    """Keys and certificates, made once for all tests of a run."""
    folder.mkdir()
    for name in ("right-ca", "wrong-ca"):
        authority(folder, name)
    certificate(folder, "server", "right-ca", "DNS:localhost,IP:127.0.0.1")
    certificate(folder, "elsewhere", "right-ca", "DNS:broker.elsewhere.example")
    certificate(folder, "client", "right-ca", "DNS:gw")
    return folder


def tls_broker(folder: Path, papers: Path, server: str, *, client: bool = False) -> Mosquitto:
    need_mosquitto()
    lines = f"cafile {papers}/right-ca.crt\ncertfile {papers}/{server}.crt\nkeyfile {papers}/{server}.key\n"
    one = Mosquitto(folder, listener=lines + f"require_certificate {str(client).lower()}")
    one.start()
    return one


async def deliver(port: int, **settings: Any) -> tuple[MemoryStore, dict[str, Any]]:
    """Try to deliver one record; returns the store and the view when it was delivered or failed."""
    store = MemoryStore()
    uplink = make(store, f"mqtts://localhost:{port}", **settings)
    async with running(uplink):
        await store.fill("alarm", 1)
        await until(lambda: store.position("mqtt", "alarm") == 1 or uplink.view()["state"] == "offline")
        return store, uplink.view()


async def test_the_right_authority_is_trusted(tmp_path: Path, papers: Path) -> None:
    one = tls_broker(tmp_path, papers, "server")
    try:
        store, view = await deliver(one.port, ca_file=papers / "right-ca.crt")
        assert store.position("mqtt", "alarm") == 1
        assert view["url"].startswith("mqtts://")
    finally:
        one.stop()


@pytest.mark.parametrize("ca", ["wrong-ca", None])
async def test_a_wrong_authority_is_refused(tmp_path: Path, papers: Path, ca: str | None) -> None:
    one = tls_broker(tmp_path, papers, "server")
    try:
        settings = {} if ca is None else {"ca_file": papers / f"{ca}.crt"}
        store, view = await deliver(one.port, **settings)
        assert store.position("mqtt", "alarm") == 0
        assert "not trusted" in view["reason"]
        assert "ca_file" in view["reason"]
        await asyncio.sleep(0)
        assert len(store.told("linli.uplink.refused.v1")) == 1
    finally:
        one.stop()


async def test_a_wrong_name_is_refused(tmp_path: Path, papers: Path) -> None:
    one = tls_broker(tmp_path, papers, "elsewhere")
    try:
        store, view = await deliver(one.port, ca_file=papers / "right-ca.crt")
        assert store.position("mqtt", "alarm") == 0
        assert "ostname mismatch" in view["reason"]
    finally:
        one.stop()


async def test_a_client_certificate_opens_the_door_and_its_absence_does_not(tmp_path: Path, papers: Path) -> None:
    one = tls_broker(tmp_path, papers, "server", client=True)
    try:
        ca = papers / "right-ca.crt"
        store, view = await deliver(one.port, ca_file=ca)
        assert store.position("mqtt", "alarm") == 0
        assert view["reason"]
        files = {"cert_file": papers / "client.crt", "key_file": papers / "client.key"}
        store, view = await deliver(one.port, ca_file=ca, **files)
        assert store.position("mqtt", "alarm") == 1
    finally:
        one.stop()


async def test_much_goes_through_tls(tmp_path: Path, papers: Path) -> None:
    one = tls_broker(tmp_path, papers, "server")
    store = MemoryStore()
    try:
        async with running(make(store, f"mqtts://127.0.0.1:{one.port}", ca_file=papers / "right-ca.crt")):
            await store.fill("perception", 5000, size=400)
            await until(lambda: store.position("mqtt", "perception") == 5000)
    finally:
        one.stop()


def test_the_daemons_event_loop_does_it_too(tmp_path: Path, papers: Path) -> None:
    one = tls_broker(tmp_path, papers, "server")
    store: list[MemoryStore] = []

    async def work() -> None:
        store.append(MemoryStore())
        uplink = make(store[0], f"mqtts://127.0.0.1:{one.port}", ca_file=papers / "right-ca.crt")
        async with running(uplink):
            await store[0].fill("perception", 2000, size=400)
            await until(lambda: store[0].position("mqtt", "perception") == 2000)
            await asyncio.to_thread(one.kill)
            await until(lambda: uplink.view()["state"] == "offline")
            await store[0].fill("perception", 2000, size=400)
            await asyncio.to_thread(one.start)
            await until(lambda: store[0].position("mqtt", "perception") == 4000)
            await uplink.flush(2)

    try:
        uvloop.run(work())
    finally:
        one.stop()


async def test_plain_text_to_a_tls_port_ends_in_a_sentence(tmp_path: Path, papers: Path) -> None:
    one = tls_broker(tmp_path, papers, "server")
    store = MemoryStore()
    uplink = make(store, f"mqtt://127.0.0.1:{one.port}")
    try:
        async with running(uplink):
            await until(lambda: uplink.view()["state"] == "offline")
            assert "hangs up" in uplink.view()["reason"] or "broke" in uplink.view()["reason"]
    finally:
        one.stop()


async def test_tls_to_a_plain_port_ends_in_a_sentence(tmp_path: Path) -> None:
    need_mosquitto()
    one = Mosquitto(tmp_path)
    one.start()
    uplink = make(MemoryStore(), f"mqtts://127.0.0.1:{one.port}")
    try:
        async with running(uplink):
            await until(lambda: uplink.view()["state"] == "offline")
            assert "TLS" in uplink.view()["reason"] or "cannot be reached" in uplink.view()["reason"]
    finally:
        one.stop()


@pytest.mark.parametrize(
    ("url", "options", "word"),
    [
        ("mqtt://broker.example:1883", {}, "not encrypted"),
        ("http://broker.example", {}, "mqtts://"),
        ("mqtts://user:secret@broker.example", {}, "password_file"),
        ("mqtts://broker.example/path", {}, "port"),
        ("mqtts://broker.example:99999", {}, "8883"),
        ("mqtts://", {}, "mqtts://"),
    ],
)
def test_addresses_that_cannot_be_used_are_explained(url: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        parse(MqttSettings.model_construct(url=url, insecure=False, **options))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "insecure"),
    [
        ("mqtts://broker.example", "broker.example", 8883, True, False),
        ("mqtt://127.0.0.1", "127.0.0.1", 1883, False, False),
        ("mqtt://[::1]:1884", "::1", 1884, False, False),
        ("mqtt://localhost", "localhost", 1883, False, False),
        ("mqtt://10.0.0.1", "10.0.0.1", 1883, False, True),
    ],
)
def test_addresses(url: str, host: str, port: int, tls: bool, insecure: bool) -> None:
    broker = parse(MqttSettings.model_construct(url=url, insecure=True))
    assert (broker.host, broker.port, broker.tls, broker.insecure) == (host, port, tls, insecure)


def test_files_that_cannot_be_used_are_explained(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    base = {"url": "mqtts://b.example", "cert_file": None, "key_file": None}
    with pytest.raises(ConfigError, match="ca_file"):
        tls_context(MqttSettings.model_construct(**base | {"ca_file": bad}))
    with pytest.raises(ConfigError, match="No such file"):
        tls_context(MqttSettings.model_construct(**base | {"ca_file": tmp_path / "none"}))
    with pytest.raises(ConfigError, match="cert_file"):
        tls_context(MqttSettings.model_construct(**base | {"ca_file": None, "cert_file": bad, "key_file": bad}))


async def test_a_missing_certificate_at_run_time_is_an_outage_not_a_crash(tmp_path: Path) -> None:
    store = MemoryStore()
    uplink = make(store, "mqtts://127.0.0.1:1", ca_file=tmp_path / "none")
    async with running(uplink):
        await until(lambda: uplink.view()["state"] == "offline")
        assert "ca_file" in uplink.view()["reason"]
        await SystemClock().sleep(0)
