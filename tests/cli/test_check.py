"""`linli check` and `linli schema`: exit codes, what is printed where, and what a probe finds out."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from click.testing import CliRunner, Result

from gateway.cli.check import check, schema
from gateway.cli.client import Refusal
from tests.broker import Mosquitto, broker

__all__ = ["broker"]

GATEWAY = '[gateway]\nid = "gate-1"\n'


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(check, ["-c", str(path), *arguments])


def write(folder: Path, text: str) -> Path:
    path = folder / "linli.toml"
    path.write_text(text, encoding="utf-8")
    return path


def answer_holding(request: bytes) -> bytes:
    """One Modbus TCP answer: every register holds 215; unit 9 says nothing, unit 8 refuses with exception 2."""
    head, unit, function = request[:4], request[6], request[7]
    if unit == 9:
        return b""
    count = int.from_bytes(request[10:12], "big")
    body = bytes([unit, function + 0x80, 2]) if unit == 8 else bytes([unit, function, 2 * count]) + b"\0\xd7" * count
    return head + len(body).to_bytes(2, "big") + body


@pytest.fixture
def device_port() -> Iterator[int]:
    """The port of a small Modbus TCP device."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while request := connection.recv(260):
                    connection.sendall(answer_holding(request))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_sound_configuration_is_summed_up(tmp_path: Path) -> None:
    result = run(write(tmp_path, GATEWAY))
    assert result.exit_code == 0
    assert "OK: 0 lines, 0 devices, 0 points, 0 alarms, 0 cameras, 0 warnings" in result.stdout
    assert result.stderr == ""


def test_warnings_do_not_fail(tmp_path: Path) -> None:
    result = run(write(tmp_path, GATEWAY + '[[camera]]\nname = "c"\nurl = "rtsp://x/1"\npurpose = "gate"\n'))
    assert result.exit_code == 0
    assert "linli.toml:3: camera.c: looks for nothing" in result.stderr
    assert "0 lines, 0 devices" in result.stdout
    assert "1 warning" in result.stdout


def test_problems_exit_78_each_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, '[gateway]\nid = "G"\nsit = "x"\n')
    result = run(path)
    assert result.exit_code == 78
    assert result.stderr.splitlines()[0].startswith(f"{path}:2: gateway.id: ")
    assert result.stderr.splitlines()[1] == f'{path}:3: gateway.sit: is not a known key; did you mean "site"?'
    assert result.stderr.splitlines()[2] == "refused: 2 problems to mend"


def test_a_missing_file_exits_78(tmp_path: Path) -> None:
    result = run(tmp_path / "none.toml")
    assert result.exit_code == 78
    assert "there is no such file" in result.stderr


def test_json_says_the_same(tmp_path: Path) -> None:
    good = json.loads(run(write(tmp_path, GATEWAY), "--json").stdout)
    assert (good["ok"], good["problems"], good["summary"]["devices"]) == (True, [], 0)
    result = run(write(tmp_path, GATEWAY + 'sit = "x"\n'), "--json")
    bad = json.loads(result.stdout)
    assert (result.exit_code, bad["ok"], len(bad["problems"])) == (78, False, 1)


def test_schema_is_json() -> None:
    settings = json.loads(CliRunner().invoke(schema, []).stdout)
    profile = json.loads(CliRunner().invoke(schema, ["--profile"]).stdout)
    assert "gateway" in settings["properties"]
    assert "vector" in profile["properties"]


def test_probe_reads_every_device_and_says_what_to_mend(tmp_path: Path, device_port: int) -> None:
    text = (
        GATEWAY + f'[[line]]\nname = "plant"\ntcp = "127.0.0.1:{device_port}"\n'
        f'[[line]]\nname = "gone"\ntcp = "127.0.0.1:{free_port()}"\n'
    )
    for name, line, address in (
        ("good", "plant", 1),
        ("refusing", "plant", 8),
        ("silent", "plant", 9),
        ("far", "gone", 1),
    ):
        text += (
            f'[[device]]\nname = "{name}"\nline = "{line}"\ndriver = "modbus"\naddress = {address}\ntimeout = "200ms"\n'
            'points.temperature = { at = "holding:4", scale = 0.1, unit = "°C" }\n'
        )
    path = write(tmp_path, text)
    result = run(path, "--probe")
    lines = result.stdout.splitlines()[1:]
    assert result.exit_code == 1
    assert lines[0] == f"line plant: OK: 127.0.0.1:{device_port} is open"
    assert lines[1] == "device good: OK: temperature 21.5 °C"
    assert lines[2].startswith("device refusing: FAILED: ")
    assert lines[3].startswith("device silent: FAILED: does not answer within 0.2 s; check power, address 9")
    assert lines[4].startswith("line gone: FAILED: ")
    assert lines[5] == "device far: FAILED: its line is not open"
    probes = json.loads(run(path, "--probe", "--json").stdout)["probe"]
    assert [(probe["name"], probe["ok"]) for probe in probes[:2]] == [("plant", True), ("good", True)]


def test_probe_opens_a_listening_line_for_a_moment(tmp_path: Path) -> None:
    port = free_port()
    text = GATEWAY + (
        f'[[line]]\nname = "stations"\nlisten = "127.0.0.1:{port}"\nallow = ["127.0.0.0/8"]\n'
        '[[device]]\nname = "panel"\nline = "stations"\nprofile = "gb26875-station"\naddress = 889\n'
    )
    path = write(tmp_path, text)
    lines = run(path, "--probe").stdout.splitlines()[1:]
    assert lines[0] == f"line stations: OK: stations may call on 127.0.0.1:{port}"
    assert lines[1] == "device panel: OK: calls by itself: see linli status once the gateway runs"
    with socket.create_server(("127.0.0.1", port)):
        result = run(path, "--probe")
    assert result.exit_code == 1
    assert "line stations: FAILED: cannot listen on" in result.stdout
    assert "device panel: FAILED: its line is not open" in result.stdout


def test_probe_says_why_broker_and_camera_do_not_answer(tmp_path: Path) -> None:
    text = GATEWAY + (
        f'[uplink.mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n'
        '[[camera]]\nname = "gate"\nurl = "/nowhere/clip.mp4"\npurpose = "vehicle gate"\n[camera.vehicles]\n'
    )
    result = run(write(tmp_path, text), "--probe")
    assert result.exit_code == 1
    camera, broker = result.stdout.splitlines()[1:]
    assert camera.startswith("camera gate: FAILED: /nowhere/clip.mp4")
    assert broker.startswith("uplink mqtt: FAILED: ")


class Running:
    """Stands for a daemon (a fake: it only answers what a probe asks)."""

    def ask(self, verb: str, **asked: object) -> dict[str, object]:
        if verb == "read" and asked["device"] == "new":
            raise Refusal('no device "new"; did you mean "sump"?')
        return {"points": {"level": {"value": 1.82, "unit": "m", "quality": "good"}}}


def test_probe_asks_a_running_gateway_for_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    path = write(
        tmp_path,
        GATEWAY + f'[[line]]\nname = "pit"\nserial = "{os.ttyname(theirs)}"\n'
        + "".join(
            f'[[device]]\nname = "{name}"\nline = "pit"\ndriver = "modbus"\naddress = {address}\n'
            'points.level = { at = "holding:0", unit = "m" }\n'
            for name, address in (("sump", 3), ("new", 4))
        ),
    )  # fmt: skip
    with serial.Serial(os.ttyname(theirs), exclusive=True):
        held = run(path, "--probe")
        monkeypatch.setattr("gateway.cli.probe.find", lambda _config, _state: Running())
        through = run(path, "--probe")
    os.close(ours)
    os.close(theirs)
    assert "line pit: FAILED: " in held.output
    assert held.output.count("is in use by another program") == 1
    assert "line pit: OK: " in through.output
    assert "is held by the running gateway" in through.output
    assert "device sump: OK: level 1.82 m" in through.output
    assert 'device new: FAILED: no device "new"' in through.output
    assert "restart the gateway" in through.output
    assert through.exit_code == 1


def test_check_without_probe_touches_no_network_and_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"touched {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    text = GATEWAY + (
        '[uplink.mqtt]\nurl = "mqtts://broker.example:8883"\n'
        '[[line]]\nname = "l"\nserial = "/nowhere/ttyUSB0"\n[[line]]\nname = "m"\ntcp = "meter.example:502"\n'
        '[[device]]\nname = "d"\nline = "m"\ndriver = "modbus"\npoints.p = { at = "input:0" }\n'
        '[[camera]]\nname = "c"\nurl = "rtsp://camera.example/1"\npurpose = "vehicle gate"\n[camera.vehicles]\n'
    )
    assert run(write(tmp_path, text)).exit_code == 0


def test_probe_is_let_in_by_a_real_broker(tmp_path: Path, broker: Mosquitto) -> None:
    result = run(write(tmp_path, f'{GATEWAY}[uplink.mqtt]\nurl = "{broker.url}"\n'), "--probe")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1] == f"uplink mqtt: OK: {broker.url} lets us in"


def test_probe_tries_the_fallback_brokers_too(tmp_path: Path, broker: Mosquitto) -> None:
    nobody = f"mqtt://127.0.0.1:{free_port()}"
    text = f'{GATEWAY}[uplink.mqtt]\nurl = "{broker.url}"\nfallback = ["{nobody}"]\n'
    result = run(write(tmp_path, text), "--probe")
    assert result.exit_code == 1
    first, second = result.stdout.splitlines()[1:3]
    assert first == f"uplink mqtt: OK: {broker.url} lets us in"
    assert second.startswith(f"uplink mqtt: FAILED: nothing listens at {nobody}")


def test_probe_finds_lanes_that_the_picture_does_not_hold(tmp_path: Path, shared: Path) -> None:
    text = GATEWAY + (
        f'[[camera]]\nname = "gate"\nurl = "{shared}/media/car-detection.mp4"\npurpose = "vehicle gate"\n'
        "[camera.vehicles]\n"
    )
    good = run(write(tmp_path, text), "--probe")
    assert "camera gate: OK: gives pictures of 768x432" in good.stdout
    lane = 'lanes = [{ name = "main", line = [[3000, 10], [4000, 10]], enter = "down" }]\n'
    bad = run(write(tmp_path, text + lane), "--probe")
    assert "camera gate: FAILED: lane main lies outside its picture" in bad.stdout
