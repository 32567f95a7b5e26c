"""What lessens what a camera can do: the most serious first."""

from gateway.vision.troubles import SERIOUS, ranked


def test_the_most_serious_comes_first_and_alike_ones_stay_in_their_order() -> None:
    found = [("unknown", "?"), ("list", "b"), ("models_missing", "one"), ("models_missing", "two"), ("masks", "a")]
    assert ranked(found) == (
        ("masks", "a"),
        ("models_missing", "one"),
        ("models_missing", "two"),
        ("list", "b"),
        ("unknown", "?"),
    )
    assert len(set(SERIOUS)) == len(SERIOUS)
