"""The decision table: what each status leads to, what is said of it, and how long is waited."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SystemClock
from gateway.uplink.answers import Verdict
from gateway.uplink.http import codes
from gateway.uplink.http.connection import Answer
from gateway.uplink.http.wire import acknowledgement

TAKEN, LATER, HELD = Verdict.TAKEN, Verdict.LATER, Verdict.HELD
TABLE = {
    **dict.fromkeys(range(200, 300), TAKEN),
    **dict.fromkeys(range(300, 400), HELD),
    **dict.fromkeys(range(400, 500), HELD),
    **dict.fromkeys((408, 409, 425, 429), LATER),
    **dict.fromkeys((400, 422), Verdict.AT_FAULT),
    413: Verdict.TOO_LARGE,
    **dict.fromkeys(range(500, 600), LATER),
    **dict.fromkeys((100, 101, 199, 600, 700, 999), HELD),
}


@pytest.mark.parametrize("status", TABLE)
def test_the_table(status: int) -> None:
    assert codes.verdict(status) is TABLE[status]


@pytest.mark.parametrize("status", [status for status in TABLE if TABLE[status] is not TAKEN])
def test_every_refusal_is_a_sentence_with_a_fix(status: int) -> None:
    words = codes.HttpWords()
    sentence = words.refusal(status, "alarm", "so it says")
    assert str(status) in sentence
    assert "so it says" in sentence
    assert "alarm" in sentence
    assert ": " in sentence
    assert words.name(status) == str(status)
    assert words.meaning(status)


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("", "", 0),
        ("5", "", 5),
        (" 7 ", "", 7),
        ("99999999999999", "", codes.LONGEST_WAIT),
        ("-3", "", 0),
        ("soon", "", 0),
        ("²", "", 0),
        ("Sun, 22 Nov 2026 04:00:30 GMT", "Sun, 22 Nov 2026 04:00:00 GMT", 30),
        ("Sun, 22 Nov 2026 04:00:30 GMT", "Sun, 22 Nov 2026 05:00:00 GMT", 0),
        ("Sun, 22 Nov 2026 04:00:30 GMT", "nonsense", 30),
        ("Sun, 22 Nov 2099 04:00:30 GMT", "", codes.LONGEST_WAIT),
        ("Sun, 99 Nov 2026 04:00:30 GMT", "", 0),
    ],
)
def test_retry_after(value: str, date: str, seconds: float) -> None:
    wall = 1_795_320_000.0  # Sun, 22 Nov 2026 04:00:00 GMT
    assert codes.retry_after(value, date, wall) == pytest.approx(seconds)


@given(st.text(max_size=60), st.text(max_size=60), st.floats(allow_nan=False, allow_infinity=False))
def test_no_retry_after_harms(value: str, date: str, wall: float) -> None:
    wait = codes.retry_after(value, date, wall)
    assert math.isfinite(wait)
    assert 0 <= wait <= codes.LONGEST_WAIT


@given(st.binary(max_size=300), st.sampled_from(["application/problem+json", "text/plain", "text/html", "", "x/json"]))
def test_what_a_platform_says_is_one_printable_line(body: bytes, kind: str) -> None:
    ack = acknowledgement(Answer(422, {"content-type": kind}, body), SystemClock())
    assert ack.text.isprintable()
    assert len(ack.text) <= 200


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("application/problem+json; charset=utf-8", b'{"title": "a", "detail": "b\\nc"}', "b c"),
        ("application/json", b'{"title": "a"}', "a"),
        ("application/json", b'{"title": 3}', ""),
        ("text/plain", b" quota used up\r\n", "quota used up"),
        ("text/html", b"<h1>no</h1>", ""),
    ],
)
def test_what_is_taken_of_an_answer(kind: str, body: bytes, text: str) -> None:
    assert acknowledgement(Answer(400, {"content-type": kind}, body), SystemClock()).text == text


@pytest.mark.parametrize("body", [b'{"x":' + b"[" * 2000, b'{"detail":7}', b"\xff", b"[]", b""])
def test_a_body_that_says_nothing_says_nothing(body: bytes) -> None:
    answer = Answer(503, {"content-type": "application/problem+json"}, body)
    assert acknowledgement(answer, SystemClock()).text == ""
