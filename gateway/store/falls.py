"""What records about falling objects say, and what was done with them."""

from gateway.store.words import (
    FILE_NEEDED,
    PICTURE,
    SHARE,
    TIME,
    UUID7_PATTERN,
    list_of,
    number,
    one_of,
    or_null,
    table,
    text,
    whole,
)

FALL = table(
    {
        "trajectory": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "array",
                "prefixItems": [TIME, number("x in pixels"), number("y in pixels")],
                "minItems": 3,
                "maxItems": 3,
            },
        },
        "confidence": SHARE,
    },
    {
        "size_px": number("of the object"),
        "size_cm": or_null(number("of the object, by the scale of the wall; null without a facade")),
        "impact_speed": or_null(number("m/s downwards at the last sight; null without a facade")),
        "gravity": number("m/s² that the fit found"),
        "terminal_speed": number("m/s at which drag would hold it"),
        "first_time": TIME,
        "last_time": TIME,
        "origin": or_null(
            table(
                {},
                {
                    "floor": whole("1 is the ground"),
                    "column": whole("from 1 at the left"),
                    "interval": list_of(whole("floor")),
                },
            )
        ),
        "picture": or_null(PICTURE),
        "clip": or_null(table(FILE_NEEDED)),
        "test": {"const": True, "description": "fell during a drop test; absent otherwise"},
        "complete": {
            "const": False,
            "description": "what is told is what was known when its alarm was: its end was lost; absent otherwise",
        },
        "reason": text("why it is not complete: a short code", "^[a-z0-9_-]+$"),
        "text": text("the same in a sentence for people"),
    },
)
LABEL = table(
    {
        "record": text("id of the fall's record, which stays as it is", UUID7_PATTERN),
        "label": {**one_of("true", "false", "none"), "description": "none: what was said before holds no more"},
        "why": text("in somebody's own words"),
        "by": text("uid:<user>"),
    },
    {"was": {**one_of("true", "false", "none"), "description": "the label before"}},
)
THROW = table(
    {"from": or_null(whole("floor that it was thrown from; null when nobody has said", 1))},
    {
        "record": or_null(text("id of the fall's record; null: it was not told", UUID7_PATTERN)),
        "floor": or_null(whole("as told")),
        "interval": or_null(list_of(whole("floor"))),
        "column": or_null(whole("as told")),
        "size_px": or_null(number("of the object")),
        "size_cm": or_null(number("of the object")),
        "impact_speed": or_null(number("m/s")),
        "confidence": or_null(SHARE),
        "time": TIME,
    },
)
DROP_TEST = table(
    {
        "camera": text(),
        "state": {**one_of("began", "ended"), "description": "ended by hand; else it ends at `until`"},
        "by": text("uid:<user>"),
    },
    {"until": TIME, "began": TIME, "throws": list_of(THROW), "told": whole("of the throws")},
)
