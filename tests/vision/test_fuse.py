"""Fusing reads: agreement is accepted, doubt stays uncertain, nothing is repaired."""

from dataclasses import replace

from gateway.vision.beam import Guess
from gateway.vision.fuse import WeighedRead, alike, fuse, settled, vote
from gateway.vision.grammar import kind_of
from gateway.vision.plates import PlateRead


def read(text: str, sure: float = 0.98, weight: float = 0.8, colour: str = "blue", second: str = "") -> WeighedRead:
    guesses = [Guess(text, kind_of(text) or "other", 0.9)]
    if second:
        guesses.append(Guess(second, kind_of(second) or "other", 0.1))
    return WeighedRead(0.0, 0, PlateRead(tuple(guesses), (sure,) * len(text)), colour, weight)


def sure(text: str, other: str) -> tuple[Guess, ...]:
    """A read that hardly holds anything else possible."""
    return Guess(text, kind_of(text) or "other", 0.997), Guess(other, kind_of(other) or "other", 0.003)


def test_four_reads_that_agree_are_accepted() -> None:
    verdict = fuse([read("沪A12345")] * 4)
    assert verdict is not None
    assert (verdict.text, verdict.status, verdict.kind, verdict.colour) == ("沪A12345", "accepted", "ordinary", "blue")
    assert len(verdict.characters) == 7


def test_three_reads_are_too_few() -> None:
    verdict = fuse([read("沪A12345")] * 3)
    assert verdict is not None
    assert verdict.status == "uncertain"


def test_one_weak_character_makes_it_uncertain() -> None:
    reads = [read("沪A12345")] * 5
    weak = PlateRead(reads[0].read.guesses, (0.98,) * 6 + (0.3,))
    verdict = fuse([WeighedRead(0.0, 0, weak, "blue", 0.8)] * 5)
    assert verdict is not None
    assert verdict.status == "uncertain"
    assert min(verdict.characters) == 0.3


def test_a_weak_character_needs_a_witness() -> None:
    reads = [read("沪A12345")] * 5
    for least, wanting, status in ((0.95, False, "accepted"), (0.85, True, "accepted"), (0.7, False, "uncertain")):
        weak = PlateRead(reads[0].read.guesses, (0.98,) * 6 + (least,))
        doubted = [WeighedRead(0.0, 0, weak, "blue", 0.8)] * 5
        alone, others, heard = (fuse(doubted, witnesses=said) for said in ((), ("沪A12845", ""), ("沪A12345",)))
        assert alone is not None
        assert alone == others
        assert (alone.wanting, alone.status == "accepted") == (wanting, least > 0.9)
        assert heard is not None
        assert (heard.text, heard.status, heard.wanting) == ("沪A12345", status, False)


def test_a_witness_makes_no_fourth_read() -> None:
    reads = [read("沪A12345", sure=0.85)] * 3
    verdict = fuse(reads, witnesses=["沪A12345"] * 2)
    assert verdict is not None
    assert (verdict.status, verdict.wanting) == ("uncertain", False)
    assert fuse([*reads, read("沪A12845", sure=0.95)] * 2, witnesses=["沪A12345"]).status == "uncertain"  # type: ignore[union-attr]


def test_disagreement_makes_it_uncertain_and_lowers_that_character() -> None:
    verdict = fuse([read("沪A12345")] * 4 + [read("沪A12845")] * 3)
    assert verdict is not None
    assert verdict.text == "沪A12345"
    assert verdict.status == "uncertain"
    assert verdict.characters.index(min(verdict.characters)) == 4


def test_good_looks_outvote_many_bad_ones() -> None:
    far = [read("沪A12845", sure=0.6, weight=0.15, second="沪A12345")] * 6
    near = [read("沪A12345", weight=0.95)] * 4
    verdict = fuse(far + near)
    assert verdict is not None
    assert (verdict.text, verdict.status) == ("沪A12345", "accepted")


def test_a_green_plate_with_seven_characters_lost_one() -> None:
    verdict = fuse([read("沪AD1234", colour="green")] * 6)
    assert verdict is not None
    assert verdict.status == "uncertain"
    verdict = fuse([read("沪AD12345", colour="green")] * 6)
    assert verdict is not None
    assert (verdict.status, verdict.kind) == ("accepted", "nev_small")


def test_no_reads_no_verdict() -> None:
    assert fuse([]) is None


def test_settled_needs_one_to_spare() -> None:
    for count, enough in ((4, False), (5, True)):
        reads = [read("沪A12345")] * count
        assert settled(reads, fuse(reads)) is enough


def test_alike_is_one_wrong_or_one_lost() -> None:
    assert alike("沪A12345", "沪A12845")
    assert alike("沪AD1234", "沪AD12345")
    assert not alike("沪A12345", "京B12345")
    assert not alike("沪A12345", "沪A123")


def test_unknown_colours_do_not_vote() -> None:
    assert vote([("unknown", 5.0), ("blue", 0.1)]) == "blue"
    assert vote([("unknown", 5.0)]) == "unknown"
    assert vote([]) == "unknown"


def torn(text: str, province: str) -> WeighedRead:
    """A read that holds another province almost as possible as its own."""
    places = ({text[0]: 0.5, province: 0.45}, *({symbol: 0.98} for symbol in text[1:]))
    found = PlateRead((Guess(text, kind_of(text) or "other", 0.5),), (0.5, *(0.98,) * 6), False, places)
    return WeighedRead(0.0, 0, found, "blue", 0.8)


def test_what_no_read_says_but_all_hold_possible_is_found() -> None:
    verdict = fuse([torn("贵A12345", "青"), torn("豫A12345", "青"), torn("鲁A12345", "青")])
    assert verdict is not None
    assert (verdict.text, verdict.status) == ("青A12345", "uncertain")


def test_a_plate_that_lost_its_province_is_no_military_one() -> None:
    lost = [read("NF10448", colour="green", weight=0.45, second="湘NF10448")] * 6
    whole = [read("湘NF10448", sure=0.6, colour="green", weight=0.4)] * 4
    verdict = fuse(lost + whole)
    assert verdict is not None
    assert (verdict.text, verdict.status) == ("湘NF10448", "uncertain")


def test_a_colour_taken_wrongly_says_less_than_what_all_looks_read() -> None:
    yellow = [read("WJ62797", colour="yellow", second="蒙J62797")] * 5
    verdict = fuse([replace(one, read=replace(one.read, guesses=sure("WJ62797", "蒙J62797"))) for one in yellow])
    assert verdict is not None
    assert (verdict.text, verdict.status) == ("WJ62797", "uncertain")


def test_two_looks_in_a_wrong_light_do_not_outvote_six_others() -> None:
    right = [read("KY90220", colour="unknown", weight=0.4, second="冀KY9022")] * 6
    verdict = fuse(right + [read("KY90220", colour="yellow", weight=0.3, second="冀KY9022")] * 2)
    assert verdict is not None
    assert verdict.text == "KY90220"


def test_a_length_that_others_doubt_is_uncertain() -> None:
    verdict = fuse([read("WJ贵5121H", colour="white")] * 9 + [read("WJ5121H", colour="white", weight=0.5)] * 2)
    assert verdict is not None
    assert (verdict.text, verdict.status) == ("WJ贵5121H", "uncertain")
    assert fuse([read("WJ贵5121H", colour="white")] * 9).status == "accepted"  # type: ignore[union-attr]
