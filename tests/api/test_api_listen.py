"""Where the API listens: addresses, TLS, the local socket, and an end that comes in time."""

import asyncio
import os
import signal
import socket
import ssl
import stat
import subprocess

import pytest
import uvloop

from gateway.api import listen
from gateway.api.listen import listen_local
from gateway.contract import ConfigError, LinkError
from tests.api.api_standins import TOKEN, fetch, split, until
from tests.api.conftest import start


async def test_port_0_tells_the_real_one(served, tmp_path_factory):
    host, port = split(served.api.address)
    assert host == "127.0.0.1"
    assert port > 0
    try:
        again = await start(tmp_path_factory.mktemp("six"), listen="[::1]:0")
    except LinkError:
        pytest.skip("this machine has no IPv6 loopback")
    assert again.api.address.startswith("[::1]:")
    await again.stop()


async def test_a_taken_port_is_said_plainly(served, tmp_path_factory):
    with pytest.raises(LinkError, match=r"cannot listen on .*change \[api\] listen"):
        await start(tmp_path_factory.mktemp("other"), listen=served.api.address)
    assert (await served.get("/healthz")).status == 200


async def test_outside_needs_tls(tmp_path):
    with pytest.raises(ConfigError, match="set tls_cert and tls_key"):
        await start(tmp_path, listen="0.0.0.0:0")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "server.crt", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    try:
        subprocess.run([*command, "-out", cert, "-keyout", key], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed: TLS cannot be tested")
    return cert, key


async def test_tls(tmp_path, certificate):
    cert, key = certificate
    served = await start(tmp_path, listen="0.0.0.0:0", tls_cert=str(cert), tls_key=str(key))
    address = served.api.address.replace("0.0.0.0", "127.0.0.1")
    trust = ssl.create_default_context(cafile=cert)
    assert (await fetch(address, "/v1/status", tls=trust)).status == 200
    old = ssl.create_default_context(cafile=cert)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await fetch(address, "/v1/status", tls=old)
    plain = await fetch(served.socket, "/v1/status", token=None)
    assert plain.status == 200
    await served.stop()


@pytest.fixture
def locked_key(certificate, tmp_path):
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-in", certificate[1], "-out", locked, "-aes128", "-passout", "pass:x"]
    subprocess.run(command, check=True, capture_output=True)
    return locked


async def test_unusable_certificates_are_named(tmp_path, certificate, locked_key):
    cert, key = certificate
    for bad_cert, bad_key in ((tmp_path / "none", key), (key, cert), (cert, locked_key)):
        with pytest.raises(ConfigError, match=r"api\.tls_cert.*cannot be used"):
            await start(tmp_path, tls_cert=str(bad_cert), tls_key=str(bad_key))
    with pytest.raises(ConfigError, match="go together"):
        await start(tmp_path, tls_cert=str(cert))


async def test_the_local_socket_is_for_the_group(served):
    mode = served.socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660
    await served.stop()
    assert not served.socket.exists()


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(tmp_path / "linli.sock"))
    served = await start(tmp_path)
    assert (await fetch(served.socket, "/healthz", token=None)).status == 200
    with pytest.raises(LinkError, match="another linli already runs"):
        await start(tmp_path)
    assert (await fetch(served.socket, "/healthz", token=None)).status == 200
    await served.stop()


async def test_what_is_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "linli.sock").write_text("a letter")
    with pytest.raises(LinkError, match="is no socket"):
        await start(tmp_path)
    assert (tmp_path / "linli.sock").read_text() == "a letter"


async def test_a_long_path_is_said_plainly(tmp_path):
    state = tmp_path / ("x" * 100)
    state.mkdir()
    with pytest.raises(ConfigError, match="shorter state directory"):
        await start(state)


async def test_stops_in_time_whatever_clients_do(served):
    """A long poll, an idle keep-alive connection, a half request and a reader that does not read."""
    await served.store.add("perception", 3000, {"text": "x" * 2000})
    host, port = split(served.api.address)
    head = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    opened = []
    for data in (
        f"GET /v1/streams/alarm/records?wait=60 HTTP/1.1\r\n{head}",
        f"GET /healthz HTTP/1.1\r\n{head}",
        "GET /healthz HT",
        f"GET /v1/streams/perception/records?limit=10000 HTTP/1.1\r\n{head}",
    ):
        reader, writer = await asyncio.open_connection(host, port, limit=1024)
        writer.write(data.encode())
        opened.append((reader, writer))
    await until(lambda: served.store.waiting)
    async with asyncio.timeout(2):
        await served.stop()
    assert served.task.cancelled()
    for _, writer in opened:
        writer.close()


async def test_signals_are_left_alone(served):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    await served.get("/healthz")
    await served.stop()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert before[0] is signal.SIG_DFL


def test_works_under_uvloop(tmp_path):
    async def live():
        served = await start(tmp_path)
        answer = await fetch(served.socket, "/local/echo", method="POST", token=None)
        pulled = await served.get("/v1/streams/alarm/records")
        actor = served.commands.asked[-1][2]
        await served.stop()
        return answer.status, pulled.status, actor

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(live()) == (200, 200, f"uid:{os.getuid()}")


async def test_serves_again_after_a_stop(tmp_path):
    for _ in range(2):
        served = await start(tmp_path)
        assert (await served.get("/v1/status")).status == 200
        await served.stop()


async def test_without_a_disk_the_local_socket_lies_in_memory(tmp_path, monkeypatch):
    spare = tmp_path / "run" / "spare.sock"
    monkeypatch.setattr(listen, "spare_socket", lambda _state: spare)
    server, path = await listen_local(tmp_path / "gone", asyncio.Protocol)
    assert path == spare
    assert stat.S_IMODE(spare.stat().st_mode) == 0o660
    server.close()


async def test_without_any_place_for_it_there_is_no_local_socket(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(listen, "spare_socket", lambda _state: tmp_path / "no" / "such" / "folder" / "s")
    server, _ = await listen_local(tmp_path / "gone", asyncio.Protocol)
    assert server is None
    assert "there is no local socket for linli status" in caplog.text
