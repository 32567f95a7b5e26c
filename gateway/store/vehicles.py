"""What records about vehicles say: passages, parking places, standing where none may, and what was done with them."""

from gateway.store.words import (
    FILE_NEEDED,
    PICTURE,
    SHARE,
    TIME,
    UUID7_PATTERN,
    list_of,
    map_of,
    number,
    one_of,
    or_null,
    table,
    text,
    whole,
)

PASSAGE = table(
    {
        "lane": text(),
        "direction": text("in, out, none; without lanes also toward, away, left, right"),
        "plate": or_null(
            table(
                {
                    "text": or_null(text()),
                    "kind": or_null(text()),
                    "status": or_null(text()),
                    "confidence": SHARE,
                },
                {"color": or_null(text()), "characters": list_of(SHARE)},
            )
        ),
        "first_time": TIME,
        "last_time": TIME,
    },
    {
        "vehicle": table(
            {
                "type": or_null(
                    text(
                        "car, bus, truck, motorcycle, bicycle; from the plate alone small, large, trailer; else unknown"
                    )
                ),
                "color": or_null(text()),
            }
        ),
        "list": or_null(text("the list that the plate stands on")),
        "unread": {"const": True, "description": "it may be on a list that nobody could read yet; absent otherwise"},
        "picture": or_null(PICTURE),
        "clip": or_null(table(FILE_NEEDED)),
        "marks": list_of(
            {**one_of("wrong-way", "repeat", "already-in", "already-out"), "description": "what is unusual about it"}
        ),
        "reads": list_of(table({"time": TIME, "text": text(), "confidence": SHARE})),
    },
)
COUNTS = map_of(whole("records"))
ERASED = table(
    {
        "by": text("uid:<user>"),
        "reason": text("why; it names no plate"),
        "records": {**COUNTS, "description": "records erased, by stream"},
        "files": whole("pictures and clips erased"),
    },
    {
        "bytes": whole("of the files"),
        "set_aside": list_of(text("a database that was set aside as damaged, deleted with all that it held")),
    },
)
ACCESSED = table(
    {
        "by": text("uid:<user>"),
        "reason": text("why; it names no plate"),
        "what": one_of("find", "export"),
        "records": {**COUNTS, "description": "records shown, by stream"},
        "files": whole("pictures and clips they name"),
    }
)
HELD = table(
    {
        "by": text("uid:<user>"),
        "reason": text("why; it names no plate"),
        "what": one_of("hold", "release"),
        "ids": list_of(text("id of a record", UUID7_PATTERN)),
        "bytes": whole("of the records, their links and files"),
    }
)
RECOUNT = table(
    {
        "by": text("uid:<user>"),
        "area": text(),
        "before": whole("vehicles inside by the count"),
        "after": whole("vehicles inside as somebody has counted them"),
    },
    {"note": or_null(text())},
)
OCCUPANCY = table(
    {
        "area": text("the parking area"),
        "total": or_null(whole("places; null when nobody has said")),
        "occupied": whole("vehicles inside"),
        "free": or_null(whole("places left; null when nobody has said how many there are")),
        "in": whole("vehicles that came in since `since`"),
        "out": whole("vehicles that went out since `since`"),
        "since": {**TIME, "description": "when the counters began"},
        "quality": {
            **one_of("good", "uncertain"),
            "description": "uncertain: the count was below 0 or above the places since `since`",
        },
        "cause": one_of("passage", "start", "reset", "heartbeat", "gates"),
    },
    {
        "reason": or_null(text("why it is uncertain, a short code")),
        "charging": or_null(whole("of the places, how many have a charger")),
        "gates": list_of(text("a camera that counts for it")),
        "drift": table(
            {
                "below": whole("vehicles that left though none was inside"),
                "above": whole("most vehicles beyond the places"),
                "blind": whole("seconds in which a gate was not seen"),
            },
            {"nights": list_of(table({"date": text("the morning's date"), "least": whole("fewest vehicles inside")}))},
        ),
    },
)
DWELL = table(
    {
        "zone": text(),
        "kind": one_of("fire-lane", "no-parking"),
        "state": {**one_of("standing", "gone"), "description": "standing for longer than allowed; gone: it has left"},
        "since": {**TIME, "description": "when it came to stand"},
        "seconds": number("how long it stands, or stood"),
    },
    {
        "allowed": number("seconds that it may"),
        "standing": text("id of the record that said so", UUID7_PATTERN),
        "box": list_of(number("left, top, right, bottom in pixels")),
        "picture": or_null(PICTURE),
    },
)
