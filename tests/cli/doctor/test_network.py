"""The network: made routes, real servers on loopback, and real certificates of a test authority."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli.doctor.machine import Machine
from gateway.cli.doctor.topics.certificates import own, valid_until
from gateway.cli.doctor.topics.network import reachable, route
from tests.cli.doctor.made import look_at, made, only, planned
from tests.conftest import FakeClock
from tests.site import free_port
from tests.uplink.test_tls import papers

__all__ = ["papers"]

ZERO = "0" * 32
HEAD = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
DAY = 86400


@pytest.mark.parametrize(
    ("files", "verdict", "words"),
    [
        ({"/proc/net/route": HEAD + "eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n"}, "ok", "eth0"),
        ({"/proc/net/route": HEAD + "eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"}, "look", "no way out"),
        ({"/proc/net/ipv6_route": f"{ZERO} 00 {ZERO} 00 {'f' * 32} 00000400 00000002 00000000 00000003 wwan0\n"},
         "ok", "wwan0"),
        ({"/proc/net/ipv6_route": f"{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200 lo\n"},
         "look", "any interface"),
        ({"/sys/class/net/eth0/carrier": "0\n", "/sys/class/net/lo/carrier": "1\n"}, "look",
         "no cable or radio on eth0"),
        ({"/sys/class/net/eth0/carrier": "1\n"}, "look", "eth0 connected"),
    ],
)  # fmt: skip
def test_the_way_out(tmp_path: Path, files: dict[str, str], verdict: str, words: str) -> None:
    found = only(look_at(made(tmp_path, files), route))
    assert (found.verdict, words in found.what) == (verdict, True)


# ---- connecting


@contextmanager
def server(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Takes connections on loopback and says nothing."""
    ready, loop, ports = threading.Event(), asyncio.new_event_loop(), []

    async def serve() -> None:
        async def hear(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        one = await asyncio.start_server(hear, "127.0.0.1", 0, ssl=tls)
        ports.append(one.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        one.close()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield ports[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def with_uplink(folder: Path, text: str) -> Machine:
    return planned(folder, f'[gateway]\nid = "made-gate"\nstate = "{folder}"\n{text}\n')


def clock_at(seconds: float) -> FakeClock:
    clock = FakeClock()
    clock.wall_ns = int(seconds * 1e9)
    return clock


def tls(papers: Path, name: str = "server") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers / f"{name}.crt", papers / f"{name}.key")
    return context


@pytest.mark.parametrize(("left", "verdict"), [(400, "ok"), (12, "look")])
def test_a_platform_and_the_end_of_its_certificate(tmp_path: Path, papers: Path, left: int, verdict: str) -> None:
    end = valid_until(ssl.PEM_cert_to_DER_cert((papers / "server.crt").read_text()))
    with server(tls(papers)) as port:
        text = f'[uplink.mqtt]\nurl = "mqtts://localhost:{port}"\nca_file = "{papers}/right-ca.crt"'
        plan = with_uplink(tmp_path, text).plan
        found = only(look_at(made(tmp_path, plan=plan, clock=clock_at(end.timestamp() - left * DAY)), reachable))
    assert (found.where, found.verdict) == ("uplink mqtt", verdict)
    assert f"its certificate ends on {end:%Y-%m-%d}" in found.what
    assert ("in 12 days" in found.what) == (verdict == "look")


@pytest.mark.parametrize(
    ("name", "ca", "words"), [("server", "wrong-ca", "ca_file"), ("elsewhere", "right-ca", "name")]
)
def test_a_platform_that_is_not_trusted(tmp_path: Path, papers: Path, name: str, ca: str, words: str) -> None:
    with server(tls(papers, name)) as port:
        text = f'[uplink.http]\nurl = "https://localhost:{port}/x?key=secret"\nca_file = "{papers}/{ca}.crt"'
        found = only(look_at(with_uplink(tmp_path, text), reachable))
    assert (found.verdict, "is not trusted" in found.what, words in found.do) == ("wrong", True, True)
    assert "secret" not in f"{found}"


def test_all_are_tried_and_the_missing_ones_named(tmp_path: Path) -> None:
    with server() as port:
        camera = 'purpose = "vehicle gate"\n[camera.vehicles]\n'
        text = (
            f'[uplink.mqtt]\nurl = "mqtt://127.0.0.1:{port}"\nfallback = ["mqtt://127.0.0.1:{free_port()}"]\n'
            f'[[camera]]\nname = "north"\nurl = "rtsp://127.0.0.1:{port}/s?token=secret"\n{camera}'
            f'[[camera]]\nname = "south"\nurl = "rtsp://127.0.0.1:{free_port()}/s"\n{camera}'
            f'[[camera]]\nname = "film"\nurl = "film.mp4"\n{camera}'
        )
        found = look_at(with_uplink(tmp_path, text), reachable)
    assert [(each.where, each.verdict) for each in found] == [
        ("uplink mqtt", "ok"), ("uplink mqtt", "wrong"), ("camera north", "ok"), ("camera south", "wrong")
    ]  # fmt: skip
    assert "nothing listens at" in found[1].what
    assert "secret" not in f"{found}"


def test_a_name_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unknown)
    text = '[uplink.mqtt]\nurl = "mqtts://broker.example:8883"'
    found = only(look_at(with_uplink(tmp_path, text), reachable))
    assert (found.verdict, "cannot be resolved" in found.what, "DNS" in found.do) == ("wrong", True, True)


def test_an_authority_that_is_no_file(tmp_path: Path) -> None:
    text = f'[uplink.mqtt]\nurl = "mqtts://127.0.0.1:{free_port()}"\nca_file = "{tmp_path}/none.crt"'
    machine = with_uplink(tmp_path, text)
    assert [each.verdict for each in look_at(machine, reachable)] == ["wrong"]
    assert [each.verdict for each in look_at(machine, own)] == ["wrong"]


# ---- certificates of our own


@pytest.mark.parametrize(("left", "verdict"), [(90, "ok"), (29, "look"), (-1, "wrong")])
def test_how_long_our_own_certificate_is_valid(tmp_path: Path, papers: Path, left: int, verdict: str) -> None:
    path = papers / "server.crt"
    text = f'[api]\nlisten = "0.0.0.0:8470"\ntls_cert = "{path}"\ntls_key = "{papers}/server.key"\n'
    end = valid_until(ssl.PEM_cert_to_DER_cert(path.read_text())).timestamp()
    machine = made(tmp_path, plan=with_uplink(tmp_path, text).plan, clock=clock_at(end + left * DAY * -1))
    found = only(look_at(machine, own))
    assert (found.where, found.verdict) == ("[api] tls_cert", verdict)


def test_the_end_is_what_openssl_reads(papers: Path) -> None:
    context = ssl.create_default_context(cafile=str(papers / "right-ca.crt"))
    (theirs,) = (one for one in context.get_ca_certs() if "commonName" in f"{one['subject']}" and _is_ours(one, papers))
    ours = valid_until(ssl.PEM_cert_to_DER_cert((papers / "right-ca.crt").read_text()))
    assert ours.timestamp() == ssl.cert_time_to_seconds(str(theirs["notAfter"]))


def _is_ours(certificate: dict[str, object], papers: Path) -> bool:
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    alone.load_verify_locations(papers / "right-ca.crt")
    return certificate in alone.get_ca_certs()


@pytest.mark.parametrize(
    "der",
    [b"", b"\x30", b"\x30\x03\x30\x01\x00", b"\x30\x84\xff\xff\xff\xff", b"\x02\x01\x00", b"\x30\x80" + b"0" * 40],
)
def test_what_is_no_certificate(der: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        valid_until(der)


def test_no_prefix_of_a_certificate_is_taken_for_one(papers: Path) -> None:
    whole = ssl.PEM_cert_to_DER_cert((papers / "server.crt").read_text())
    for length in range(len(whole)):
        with pytest.raises((ValueError, IndexError)):
            valid_until(whole[:length])


def made_certificate(end: bytes, *, generalized: bool = False) -> bytes:
    """As much of a certificate (RFC 5280, 4.1) as says when it ends; nobody signed it."""

    def element(tag: int, content: bytes) -> bytes:
        length = len(content)
        return bytes((tag, length) if length < 128 else (tag, 0x82, *divmod(length, 256))) + content

    validity = element(0x17, b"250101000000Z") + element(0x18 if generalized else 0x17, end)
    fields = element(0xA0, b"\x02\x01\x02") + element(0x02, b"\x01") + element(0x30, b"") + element(0x30, bytes(200))
    return element(0x30, element(0x30, fields + element(0x30, validity)))


@pytest.mark.parametrize(("der", "end"), [
    (made_certificate(b"270203040506Z"), "2027-02-03T04:05:06+00:00"),
    (made_certificate(b"20510203040506Z", generalized=True), "2051-02-03T04:05:06+00:00"),
])  # fmt: skip
def test_both_ways_to_write_a_time(der: bytes, end: str) -> None:
    assert valid_until(der).isoformat() == end


@pytest.mark.parametrize(("key", "verdict"), [("cert_file", "wrong"), ("ca_file", "ok")])
def test_of_a_chain_the_first_end_counts_and_of_authorities_the_last(tmp_path: Path, key: str, verdict: str) -> None:
    pem = [ssl.DER_cert_to_PEM_cert(made_certificate(end)) for end in (b"260101000000Z", b"400101000000Z")]
    (tmp_path / "both.crt").write_text("".join(pem))
    text = f'[uplink.mqtt]\nurl = "mqtts://h:8883"\n{key} = "{tmp_path}/both.crt"\n'
    text += f'key_file = "{tmp_path}/key"\n' if key == "cert_file" else ""
    assert only(look_at(with_uplink(tmp_path, text), own)).verdict == verdict


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"])
def test_a_file_that_holds_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "ca.crt").write_text(text)
    uplink = f'[uplink.mqtt]\nurl = "mqtts://127.0.0.1:8883"\nca_file = "{tmp_path}/ca.crt"'
    assert only(look_at(with_uplink(tmp_path, uplink), own)).verdict == "wrong"
