"""The plate grammar against the vectors, and against its own regular expressions."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.vision.grammar import ALPHABET, SHAPES, colour_agrees, complete, discreet, kind_of, masked, normalise


def test_every_vector_has_its_kind(shared: Path) -> None:
    vectors = json.loads((shared / "standards" / "vectors.json").read_text())["plates"]
    assert vectors
    for vector in vectors:
        expected = vector["meaning"].removeprefix("valid: ") if vector["meaning"] != "invalid" else None
        assert kind_of(vector["text"]) == expected, vector["text"]


def test_the_shapes_are_the_published_patterns(shared: Path) -> None:
    patterns = json.loads((shared / "standards" / "vectors.json").read_text())["_about"]["plate_regex"]
    assert {kind for kind, _ in SHAPES} == set(patterns)

    def published(text: str) -> str | None:
        return next((kind for kind, pattern in patterns.items() if re.fullmatch(pattern, text)), None)

    @given(st.one_of([st.from_regex(pattern, fullmatch=True) for pattern in patterns.values()]))
    def valid(text: str) -> None:
        assert kind_of(text) == published(text)

    @given(st.text(alphabet=ALPHABET, min_size=5, max_size=9))
    def any_text(text: str) -> None:
        assert kind_of(text) == published(text)

    valid()
    any_text()


@given(st.text(max_size=12))
def test_any_text_has_a_kind_or_none(text: str) -> None:
    assert kind_of(text) is None or len(text) in (7, 8)


def test_no_prefix_of_a_plate_is_complete_too_early() -> None:
    assert complete(0, 7) is None
    assert kind_of("沪A1234") is None
    assert kind_of("沪AD1234") == "ordinary"  # a lost character is valid: only the colour tells


@pytest.mark.parametrize(
    ("written", "read"), [("沪A·12345", "沪A12345"), (" 沪a 123-45", "沪A12345"), ("沪Ａ１２３４５", "沪A12345")]
)
def test_plates_as_people_write_them(written: str, read: str) -> None:
    assert normalise(written) == read


def test_colour_and_length_must_agree() -> None:
    assert colour_agrees("green", "nev_small")
    assert not colour_agrees("green", "ordinary")
    assert not colour_agrees("blue", "nev_small")
    assert colour_agrees("unknown", "nev_small")
    assert colour_agrees("yellow", "coach")


def test_a_masked_plate_keeps_its_ends() -> None:
    assert masked("沪A12345") == "沪A1***5"
    assert masked("") == ""


def test_a_prefix_of_hong_kong_and_macau_is_no_ordinary_plate() -> None:
    assert kind_of("粤Z0340澳") == "hk_macau"
    assert kind_of("粤Z03401") is None
    assert kind_of("粤Y03401") == "ordinary"


def test_what_a_crash_says_goes_on_without_plates(shared: Path) -> None:
    vectors = json.loads((shared / "standards" / "vectors.json").read_text())["plates"]
    for text in (vector["text"] for vector in vectors if vector["meaning"] != "invalid"):
        for written in (text, text.encode("ascii", "backslashreplace").decode(), f"{text[:2]}·{text[2:]}"):
            said = discreet(f"KeyError: '{written}' in fuse.py")
            assert text[2:-1] not in said, written
            assert (said[:10], said[-11:]) == ("KeyError: ", " in fuse.py")
    plain = "[h264 @ 0x5581] error while decoding MB 12 3, bytestream -7; RuntimeError at /opt/x.py:213, 1920x1080"
    assert discreet(plain) == plain
