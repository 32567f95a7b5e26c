"""The parts of the GA/T 1400 uplink by themselves: digest, ids and codes, pictures, what an answer says."""

import json
import re
from pathlib import Path
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract import Record
from gateway.settings.core import ViewedCameraSettings
from gateway.uplink.answers import Verdict
from gateway.uplink.gat1400 import codes, digest
from gateway.uplink.gat1400.picture import jpeg_size, load
from gateway.uplink.gat1400.statuses import Status, read_statuses
from gateway.uplink.gat1400.vehicle import UnsendableError, camera_of, motor_vehicle, read_passage
from tests.uplink.gat1400_platform import CAMERA, ViewLibrary
from tests.uplink.gat1400_site import TIME, PassageStore, jpeg

RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CLIENT = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


# ------------------------------------------------------------------------------------------------------------ digest


def response(challenge: digest.Challenge, *about: str, client: str) -> str:
    user, password, method, target = about
    header = digest.answer(challenge, user, password, method, target, b"", 1, client)
    found = re.search(r'response="([0-9a-f]+)"', header)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, expected: str) -> None:
    challenge = digest.choose(RFC_7616.format(algorithm))
    assert challenge is not None
    assert response(challenge, "Mufasa", "Circle of Life", "GET", "/dir/index.html", client=CLIENT) == expected


def test_the_digests_of_the_vectors(shared: Path) -> None:
    """``a / b: c``-like texts: user, realm, password, method and target, nonce, nc, cnonce, qop, response."""
    texts = [vector["text"] for vector in json.loads((shared / "standards/vectors.json").read_text())["gat1400"][:2]]
    for text in texts:
        given, expected = text.split(" -> response ")
        user, realm, password, asked, nonce, _, client, _ = given.split(" / ")
        method, target = asked.split(" ")
        nonce, client = nonce.removeprefix("nonce "), client.removeprefix("cnonce ")
        challenge = digest.choose(f'Digest realm="{realm}", nonce="{nonce}", qop="auth"')
        assert challenge is not None
        assert response(challenge, user, password, method, target, client=client) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x", Digest nonce="n", qop="auth-int,auth"', ("n", "auth", "")),
        ("NTLM, digest NONCE=n==, QOP=auth", ("n==", "auth", "")),
        ('Digest algorithm=SHA-512-256, nonce="no", Digest nonce="n", algorithm=sha-256', ("n", "", "sha-256")),
        ('Digest realm="a, nonce=\\"no\\"", nonce="n"', ("n", "", "")),
        ('Digest nonce="n", qop="auth-int"', ("n", "auth-int", "")),
        ('Digest nonce="n", qop="token"', None),
        ('Digest realm="x"', None),
        ('Digest nonce=""', None),
        ("Digest", None),
        ("", None),
        ('nonce="n"', None),
        ('Bearer nonce="n"', None),
    ],
)
def test_which_challenge_is_met(header: str, expected: tuple[str, str, str] | None) -> None:
    challenge = digest.choose(header)
    found = None if challenge is None else (challenge.nonce, challenge.qop, challenge.algorithm)
    assert found == expected


@settings(max_examples=60)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=100))
def test_every_challenge_that_can_arrive_can_be_answered(text: str) -> None:
    for header in (text, f"Digest {text}", f'Digest realm="{text}", nonce="{text}", {text}'):
        challenge = digest.choose(header)
        if challenge is not None:
            given = digest.answer(challenge, "u", "p", "POST", "/", b"", 1).encode("latin-1")
            h11.Request(method="POST", target="/", headers=[("Host", "x"), (b"Authorization", given)])


def test_a_quote_in_a_nonce_comes_back_as_it_came() -> None:
    challenge = digest.choose('Digest realm="a\\\\b", nonce="n\\"1", opaque="", userhash=true')
    assert challenge is not None
    header = digest.answer(challenge, "u", "p", "POST", "/", b"", 255)
    assert 'realm="a\\\\b", nonce="n\\"1"' in header
    assert 'opaque=""' in header
    assert "userhash=true" in header
    assert 'username="u"' not in header


# ------------------------------------------------------------------------------------------------------------ vehicles


def vehicle(camera: dict[str, Any] | None = None, time: str = TIME, number: Any = int, **data: Any) -> dict[str, Any]:
    """The vehicle of a record with such data; checked as the platform does."""
    event = {"type": "linli.vehicle.passage.v1", "source": "/gateways/gw/north-gate", "time": time, "data": data}
    record = Record(7, json.dumps(event).encode())
    viewed = ViewedCameraSettings.model_validate({"device_id": CAMERA, **(camera or {})})
    found = motor_vehicle(read_passage(record, camera_of(record), viewed.device_id), viewed, None, number)
    ViewLibrary()._check(found)
    return found


def plate(text: str, kind: str, color: str | None = None, **more: Any) -> dict[str, Any]:
    return {"text": text, "kind": kind, "color": color, "status": "accepted", "confidence": 0.9, **more}


@pytest.mark.parametrize(
    ("text", "kind", "color", "expected"),
    [
        ("沪A12345", "ordinary", "blue", ("02", "5")),
        ("沪A12345", "ordinary", "yellow", ("01", "6")),
        ("沪A12345", "ordinary_double_row", "yellow", ("01", "6")),
        ("沪A12345", "ordinary", "white", ("99", "2")),
        ("沪A12345", "ordinary", "unknown", ("99", "99")),
        ("沪A12345", "ordinary", None, ("99", "99")),
        ("沪AD12345", "nev_small", "green", ("52", "9")),
        ("沪A12345D", "nev_large", "green", ("51", "9")),
        ("沪A1234挂", "trailer", "yellow", ("15", "6")),
        ("沪A1234学", "coach", "yellow", ("16", "6")),
        ("沪A1234警", "police", "white", ("23", "2")),
        ("粤Z1234港", "hk_macau", "black", ("26", "1")),
        ("粤Z1234澳", "hk_macau", "black", ("27", "1")),
        ("使123456", "embassy", "black", ("03", "1")),
        ("沪A1234领", "consulate", "black", ("04", "1")),
        ("WJ沪12345", "armed_police", "white", ("31", "2")),
        ("WJ12345", "armed_police_double_row", "white", ("31", "2")),
        ("KA12345", "military", "white", ("32", "2")),
        ("民航A1234", "civil_aviation", "green", ("99", "9")),
        ("沪A12345", "other", "pink", ("99", "12")),
        ("沪A12345", "of tomorrow", "ultraviolet", ("99", "99")),
    ],
)
def test_kinds_and_colours(text: str, kind: str, color: str | None, expected: tuple[str, str]) -> None:
    found = vehicle(plate=plate(text, kind, color))
    assert (found["PlateClass"], found["PlateColor"]) == expected
    assert (found["HasPlate"], found["PlateNo"]) == ("1", text)


@pytest.mark.parametrize(
    "nothing", [None, {}, {"text": None, "status": "none"}, {"text": "", "status": "accepted"},
                plate("沪A12345", "ordinary", "blue", status="none")],
)  # fmt: skip
def test_no_plate(nothing: dict[str, Any] | None) -> None:
    found = vehicle(plate=nothing)
    assert (found["HasPlate"], found["PlateNo"], found["PlateClass"]) == ("0", "无车牌", "41")
    assert "PlateReliability" not in found


def test_what_was_not_read_for_sure_is_not_told_as_read() -> None:
    shares = [0.9, 0.49, 0.5, 0.2, 0.9, 0.9, 1.0]
    uncertain = plate("沪A12345", "ordinary", "blue", status="uncertain", characters=shares)
    found = vehicle(plate=uncertain)
    assert found["PlateNo"] == "沪-1-345"
    assert "PlateCharReliability" not in found
    assert vehicle(plate={**uncertain, "status": "accepted"})["PlateNo"] == "沪A12345"
    assert vehicle(plate={**uncertain, "characters": shares[:3]})["PlateNo"] == "沪A12345"
    assert vehicle(plate={**uncertain, "confidence": 7.0})["PlateReliability"] == "100"


@pytest.mark.parametrize(
    ("heading", "direction", "expected"),
    [("east", "in", "1"), ("east", "out", "2"), ("west", "in", "2"), ("south", "in", "3"), ("north", "in", "4"),
     ("north", "out", "3"), ("northeast", "in", "5"), ("southwest", "in", "6"), ("southeast", "in", "7"),
     ("northwest", "out", "7"), ("east", "none", None), ("east", "toward", None), (None, "in", None)],
)  # fmt: skip
def test_directions(heading: str | None, direction: str, expected: str | None) -> None:
    assert vehicle({"heading": heading}, direction=direction).get("Direction") == expected


@pytest.mark.parametrize(
    ("kind", "expected"), [("car", "K33"), ("motorcycle", "M21"), ("truck", None), ("unknown", None), (None, None)]
)
def test_a_class_is_only_told_when_it_is_known(kind: str | None, expected: str | None) -> None:
    found = vehicle(vehicle={"type": kind, "color": "grey"})
    assert (found.get("VehicleClass"), found["VehicleColor"]) == (expected, "3")


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-11-21T08:25:30.120+08:00", "20261121082530"),
        ("2026-11-21T00:25:30.999Z", "20261121082530"),
        ("2026-12-31T23:59:59.999-08:00", "20270101155959"),
        ("0999-01-01T00:00:00.000+08:00", "09990101000000"),
    ],
)
def test_times_are_those_of_china(time: str, expected: str) -> None:
    found = vehicle(time=time)
    assert found["PassTime"] == expected
    assert found["SourceID"] == f"{CAMERA}02{expected}00007"


def test_ids_are_those_of_the_vectors(shared: Path) -> None:
    text = json.loads((shared / "standards/vectors.json").read_text())["gat1400"][2]["text"]
    wanted = json.loads(text)
    event = {"type": "linli.vehicle.passage.v1", "source": "/gateways/gw/c", "time": "2026-11-21T08:25:30+08:00",
             "data": {}}  # fmt: skip
    passage = read_passage(Record(1, json.dumps(event).encode()), "c", wanted["DeviceID"])
    assert (passage.source_id, passage.id) == (wanted["SourceID"], wanted["MotorVehicleID"])


async def test_ids_are_unique_and_stay(tmp_path: Path) -> None:
    store = PassageStore(tmp_path)
    for _ in range(50):
        await store.passage()
    records = await store.records("perception", 0, 100)
    ids = [read_passage(record, "north-gate", CAMERA).id for record in records]
    assert len(set(ids)) == 50
    assert ids == [read_passage(record, "north-gate", CAMERA).id for record in records]
    assert read_passage(Record(100_001, records[0].json), "c", CAMERA).id == ids[0], "five digits, and a time"


@pytest.mark.parametrize(
    "json_text",
    [b"", b"[]", b"{", b'{"source":"/g/c","time":"2026-11-21T08:25:30","data":{}}', b"[" * 5000,
     b'{"source":"/g/c","time":"9999-12-31T23:59:59.999-08:00","data":{}}',
     b'{"source":"/g/c","time":"2026-11-21T08:25:30Z","data":{"plate":7}}',
     b'{"source":"/g/c","time":"2026-11-21T08:25:30Z","formersequence":"x","data":{}}'],
)  # fmt: skip
def test_a_record_that_is_none(json_text: bytes) -> None:
    with pytest.raises(UnsendableError):
        read_passage(Record(1, json_text), "c", CAMERA)


def test_numbers_may_be_texts() -> None:
    found = vehicle({"lanes": {"main": 3}}, number=int, lane="main")
    assert (found["LaneNo"], found["InfoKind"]) == (3, 1)
    event = {"type": "linli.vehicle.passage.v1", "source": "/g/c", "time": TIME, "data": {"lane": "main"}}
    viewed = ViewedCameraSettings.model_validate({"device_id": CAMERA, "lanes": {"main": 3}})
    passage = read_passage(Record(1, json.dumps(event).encode()), "c", CAMERA)
    told = motor_vehicle(passage, viewed, None, str)
    assert all(isinstance(value, str) for value in told.values())


# ------------------------------------------------------------------------------------------------------------ pictures


def test_the_size_of_a_picture(tmp_path: Path) -> None:
    assert jpeg_size(jpeg(1280, 719)) == (1280, 719)
    (tmp_path / "a.jpg").write_bytes(jpeg(3, 2, pad=1000))
    size = (tmp_path / "a.jpg").stat().st_size
    image = load(tmp_path / "a.jpg", size)
    assert image is not None
    assert (image.width, image.height) == (3, 2)
    assert load(tmp_path / "a.jpg", size - 1) is None
    assert load(tmp_path / "b.jpg", size) is None
    assert load(tmp_path, size) is None


@settings(max_examples=60)
@given(st.binary(max_size=200))
def test_what_is_no_picture_has_no_size(data: bytes) -> None:
    assert jpeg_size(b"GIF89a" + data) is None
    found = jpeg_size(b"\xff\xd8" + data)
    assert found is None or min(found) > 0


def test_a_picture_from_a_real_encoder() -> None:
    cv2 = pytest.importorskip("cv2")
    numpy = pytest.importorskip("numpy")
    done, data = cv2.imencode(".jpg", numpy.zeros((123, 456, 3), numpy.uint8))
    assert done
    assert jpeg_size(data.tobytes()) == (456, 123)


# ------------------------------------------------------------------------------------------------------------ answers


def test_every_shape_of_an_answer() -> None:
    one = {"Id": "a", "StatusCode": "8", "StatusString": "no\nway"}
    expected = [Status("a", 8, "no way")]
    for body in (
        {"ResponseStatusListObject": {"ResponseStatusObject": [one]}},
        {"ResponseStatusListObject": {"ResponseStatusObject": one}},
        {"ResponseStatusListObject": [one]},
        {"ResponseStatusList": {"ResponseStatusObject": [one, None, {"Id": "b"}]}},
        {"ResponseStatusObject": one},
    ):
        assert read_statuses(json.dumps(body).encode()) == expected
    assert read_statuses(b'{"ResponseStatusObject":{"StatusCode":0}}') == [Status("", 0, "")]
    chinese = '{"ResponseStatusObject":{"StatusCode":0,"StatusString":"成功"}}'
    for encoding in ("utf-8", "utf-8-sig", "gb18030"):
        assert read_statuses(chinese.encode(encoding)) == [Status("", 0, "成功")]


@pytest.mark.parametrize("code", [*range(10), 42, 99, 200, 401, 403, 404, 405, 409, 413, 503, 302, codes.UNSAID])
def test_every_refusal_is_a_sentence_with_a_fix(code: int) -> None:
    words = codes.ViewWords()
    sentence = words.refusal(code, "perception", "so it says")
    assert "so it says" in sentence
    assert ": " in sentence
    assert words.name(code)
    assert words.meaning(code)
    assert "uplink.http" not in sentence


def test_the_verdicts() -> None:
    assert codes.verdict(0) is codes.verdict(201) is Verdict.TAKEN
    assert {codes.verdict(code) for code in (2, 3, 9, 503, 429)} == {Verdict.LATER}
    assert {codes.verdict(code) for code in (5, 6, 7, 8, 400)} == {Verdict.AT_FAULT}
    assert {codes.verdict(code) for code in (1, 4, 42)} == {None}
    assert {codes.verdict(code) for code in (403, 404, codes.UNSAID)} == {Verdict.HELD}
    assert codes.had_it("MotorVehicleID 已存在")
    assert not codes.had_it("OK")
