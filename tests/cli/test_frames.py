"""What the bytes on a line mean, in words; and that no password is ever shown."""

import json
from pathlib import Path

import pytest

from gateway.cli.frames import explain, frame_table, in_bytes, joined, masked
from gateway.cli.output import plain
from tests.drivers.station_frames import FIRE, component, frame
from tests.modbus_farm import crc16


def rtu(body: str) -> bytes:
    raw = bytes.fromhex(body)
    return raw + crc16(raw)


@pytest.mark.parametrize(
    ("data", "question", "protocol", "text", "good"),
    [
        (rtu("03 03 0003 0002"), True, "Modbus RTU", "unit 3: read holding 3, 2 of them, CRC good", True),
        (rtu("03 03 04 0002 00B6"), False, "Modbus RTU", "unit 3 answers read holding, 4 bytes: 2 182, CRC good", True),
        (rtu("03 03 04 0002 00B6")[:-1] + b"\x00", False, "Modbus RTU",
         "unit 3 answers read holding, 4 bytes: 2 182, CRC WRONG", False),
        (rtu("05 10 0001 0002 04 0001 0002"), True, "Modbus RTU", "unit 5: write registers 1: 1 2, CRC good", True),
        (rtu("05 03 06 0001"), False, "Modbus RTU", "unit 5: read holding, 3 bytes out of place, CRC good", True),
        (rtu("05 84 02"), False, "Modbus RTU",
         "unit 5 refuses read input: exception 02 (illegal data address), CRC good", True),
        (bytes.fromhex("0001 0000 0006 01 04 0000 0001"), True, "Modbus TCP", "unit 1: read input 0, 1 of them", None),
        (bytes.fromhex("0001 0000 0005 01 04 02 012C"), False, "Modbus TCP", "unit 1 answers read input, 2 bytes: 300",
         None),
        (b":010300000001FB\r\n", True, "Modbus ASCII", "unit 1: read holding 0, 1 of them, LRC good", True),
        (b":010300000001FC\r\n", True, "Modbus ASCII", "unit 1: read holding 0, 1 of them, LRC WRONG", False),
        (bytes.fromhex("FEFEFEFE 68 AAAAAAAAAAAA 68 13 00 DF 16"), True, "DL/T 645",
         "control 13 read address, meter AAAAAAAAAAAA, sum good", True),
        (bytes.fromhex("68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16"), False, "DL/T 645",
         "control 91 answers read, meter 000000000161, DI 00-01-00-00, 8 bytes, sum good", True),
        (bytes.fromhex("68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8B 16"), False, "DL/T 645",
         "control 91 answers read, meter 000000000161, DI 00-01-00-00, 8 bytes, sum WRONG", False),
        (bytes.fromhex("FEFEFEFE 68 999999999999 68 08 06 38 3B 36 55 44 59 0F 16"), True, "DL/T 645",
         "control 08 broadcast time 26-11-22 03:08:05, to all meters, sum good", True),
        (bytes.fromhex("68 14 04 00 00 00 00 68 81 06 43 C3 48 B3 C8 33 6B 16"), False, "DL/T 645",
         "control 81 answers read (1997), meter 000000000414, DI 90-10, 6 bytes, sum good", True),
        (bytes.fromhex("68 10 01 00 00 05 08 00 00 01 03 1F 90 00 39 16"), True, "CJ/T 188",
         "control 01 read, type 10, meter 00000805000001, DI 1F90, sum good", True),
        (bytes.fromhex("10 7B 01 7C 16"), True, "M-Bus", "request data, address 1, sum good", True),
        (b"\xe5", False, "M-Bus", "acknowledged", None),
        (bytes.fromhex("680B0B6873FD5278563412FFFFFFFFD216"), True, "M-Bus", "select meter 12345678, sum good", True),
        (b"$WIMWV,212.6,R,5.8,N,A*29\r\n", False, "NMEA 0183", "WIMWV, checksum good", True),
        (b"$WIMWV,212.7,R,5.8,N,A*29\r\n", False, "NMEA 0183", "WIMWV, checksum WRONG", False),
        (b"ST,GS,+0012.34kg\r\n", False, "text", "18 characters", None),
        (b"\xff\x07\xa1\xa7", False, "", "4 bytes of no known protocol", None),
        (b"", False, "", "0 bytes of no known protocol", None),
    ],
)  # fmt: skip
def test_meanings(data: bytes, question: bool, protocol: str, text: str, good: bool | None) -> None:
    meaning = explain(data, is_question=question)
    assert (meaning.protocol, meaning.text, meaning.good) == (protocol, text, good)


def row(direction: str, data: bytes, at: float, line: str = "bus") -> dict[str, object]:
    time = f"2026-11-21T08:25:{30 + at:06.3f}+08:00"
    return {"line": line, "direction": direction, "time": time, "monotonic": at, "data": data.hex()}


def test_pieces_are_joined_and_the_wait_is_told() -> None:
    answer = rtu("03 03 04 0002 00B6")
    rows = [
        row("out", rtu("03 03 0003 0002"), 1.0), row("in", answer[:4], 1.05), row("out", b"?", 1.051, "other"),
        row("in", answer[4:], 1.06), row("in", b"\x00", 1.5),
    ]  # fmt: skip
    assert [bytes.fromhex(one["data"]) for one in joined(rows)] == [rtu("03 03 0003 0002"), answer, b"?", b"\x00"]
    _head, asked, answered, *_ = plain(frame_table(rows))
    assert asked.startswith("08:25:31.000  bus    →")
    assert "+50 ms" in answered
    assert answered.endswith("unit 3 answers read holding, 4 bytes: 2 182, CRC good")


HJ212 = (
    b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;"
    b"CP=&&RtdInterval=30&&1C80\r\n"
)


def test_a_password_is_never_shown() -> None:
    rows = [row("in", HJ212, 1.0)]
    shown = [in_bytes(HJ212[40:]), "\n".join(plain(frame_table(rows))), json.dumps(masked(rows))]
    assert not any("100000" in text or b"100000".hex() in text for text in shown)
    assert all("PW=***" in text or b"PW=******".hex() in text for text in shown)
    assert explain(HJ212, is_question=False).text == "station 010000A8900016F000169DC0, command 1062"


def test_what_stations_say_is_told_apart_and_shows_no_password() -> None:
    segment = HJ212[6:-6]
    fire = frame(7, component(FIRE))
    rows = [{**row("in", said, 1.0 + number / 100), "called": True} for number, said in enumerate((segment, fire))]
    rows.append({**row("out", frame(7, command=3), 1.03), "called": True})
    shown = masked(rows)
    assert [(one["protocol"], one["meaning"], one["checksum_good"]) for one in shown] == [
        ("HJ 212", "station 010000A8900016F000169DC0, command 1062", None),
        ("GB/T 26875.3", "790300000000 sends data, number 7, 1 of component state, sum good", True),
        ("GB/T 26875.3", "790300000000 confirms, number 7, sum good", True),
    ]
    assert b"PW=100000".hex() not in json.dumps(shown)
    assert b"PW=******".hex() in json.dumps(shown)
    table = "\n".join(plain(frame_table(rows)))
    assert "100000;" not in table
    assert " ms" not in table, "a call is no answer"
    damaged = fire[:-3] + bytes((fire[-3] ^ 1,)) + fire[-2:]
    assert explain(damaged, is_question=False).text.endswith("sum WRONG")
    assert explain(fire[:20], is_question=False).text == "cut short"


@pytest.mark.parametrize("size", range(1, 40))
def test_cut_frames_harm_nobody(size: int, shared: Path) -> None:
    vectors = json.loads((shared / "standards/vectors.json").read_text("utf-8"))
    for protocol in ("dlt645_2007", "dlt645_1997", "cjt188"):
        for vector in vectors[protocol]:
            data = bytes.fromhex(vector["frame_hex"])[:size]
            assert explain(data, is_question=True).text
            assert explain(data, is_question=False).text
