"""Compares rules for fusing the reads of a passage, over looks that were kept while the simulation ran."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gateway.vision.beam import Guess
from gateway.vision.fuse import RULE, Rule, Verdict, WeighedRead, fuse
from gateway.vision.look import GOOD_SHARPNESS, GOOD_WIDTH, SURE
from gateway.vision.plates import PlateRead

Look = list[dict[str, Any]]  # what the readers said of one crop in one row, and, if it was read so too, in two
Answer = tuple[str, bool]
VARIANTS: Sequence[tuple[str, Rule]] = (
    ("size and sharpness of a look not squared", replace(RULE, power=1.0)),
    ("every look alike", replace(RULE, power=0.0)),
    ("shares not damped by likelihood", replace(RULE, damped=False)),
    ("the colour says nothing about the text", replace(RULE, other_colour=0.0)),
    ("the colour speaks louder than the characters", replace(RULE, other_colour=7.0)),
    ("whole texts vote, not characters", replace(RULE, spread=False)),
    ("a length that 2 % of the votes doubt is let through", replace(RULE, other_length=1.0)),
    ("2 identical reads are enough", replace(RULE, identical=2)),
    ("3 identical reads are enough", replace(RULE, identical=3)),
    ("6 identical reads needed", replace(RULE, identical=6)),
    ("agreement 0.4", replace(RULE, agreement=0.4)),
    ("agreement 0.55", replace(RULE, agreement=0.55)),
    ("agreement 0.85", replace(RULE, agreement=0.85)),
    ("weakest character 0.5", replace(RULE, weakest=0.5)),
    ("weakest character 0.75", replace(RULE, weakest=0.75)),
    ("weakest character 0.85", replace(RULE, weakest=0.85)),
    ("weakest character 0.85, no witness", replace(RULE, weakest=0.85, witnessed=1.0)),
    ("weakest character 0.95", replace(RULE, weakest=0.95)),
    ("no witness", replace(RULE, witnessed=1.0)),
    ("weakest character 0.6 where there is a witness", replace(RULE, witnessed=0.6)),
    ("weakest character 0.4 where there is a witness", replace(RULE, witnessed=0.4)),
    ("a sure read of another text is let through", replace(RULE, dissent=1.1)),
    ("a doubtful read counts like a sure one", replace(RULE, certain=0.0)),
    ("mean instead of weakest character", replace(RULE, mean=True)),
)


def table(clips: list[dict[str, Any]]) -> None:
    """Print exact, accepted and wrong of every rule on clean and on degraded passages."""
    passages = {
        name: [(one["text"], looks) for clip in clips if clip["degraded"] == bad for one, looks in _passages(clip)]
        for name, bad in (("clean", False), ("degraded", True))
    }
    counts = ", ".join(f"{len(rows)} {name}" for name, rows in passages.items())
    print(f"synthetic passages: {counts}; exact, accepted, wrong but accepted")
    for name, rule in _rules():
        cells = []
        for rows in passages.values():
            told = [(truth, rule(looks)) for truth, looks in rows]
            right = sum(text == truth for truth, (text, _) in told)
            sure = sum(accepted for _, (_, accepted) in told)
            wrong = sum(accepted and text != truth for truth, (text, accepted) in told)
            whole = max(1, len(rows))
            cells.append(f"{right / whole:6.1%} {sure / whole:6.1%} {wrong:3d}")
        print(f"{name:<66} {'   '.join(cells)}")


def _passages(clip: dict[str, Any]) -> list[tuple[dict[str, Any], list[Look]]]:
    """The looks behind each passage's record: those of which the record holds a read at that time."""
    by_time: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for look in clip["looks"]:
        by_time[look["wall"]].append(look)
    found = []
    for one in clip["passings"]:
        for record in one["records"][:1]:
            looks: list[Look] = []
            for wall, text, *_ in record["reads"]:
                near = [look for look in by_time[wall] if any(text == _text(read) for read in look["reads"])]
                if near:
                    spot = near[0]["spot"]
                    looks.append([look for look in by_time[wall] if look["spot"] == spot])
            found.append((one, looks))
    return found


def _rules() -> list[tuple[str, Callable[[list[Look]], Answer]]]:
    def by(reader: Callable[[list[Look]], list[WeighedRead]], rule: Rule) -> Callable[[list[Look]], Answer]:
        return lambda looks: _answer(fuse(reader(looks), rule))

    rules: list[tuple[str, Callable[[list[Look]], Answer]]] = [
        ("first read of our own", lambda looks: _single(own(looks)[:1])),
        ("best look of our own (largest, sharpest)", lambda looks: _single(_top(own(looks), lambda r: r.weight))),
        ("surest read of our own", lambda looks: _single(_top(own(looks), lambda r: r.read.weakest))),
        ("surest read of both readers", lambda looks: _single(_top(both(looks), lambda r: r.read.weakest))),
        ("most frequent text of our own", lambda looks: _majority(own(looks))),
        ("fused, PP-OCRv4", by(ocr, RULE)),
        ("fused, both on every look", by(both, RULE)),
        ("fused, our own (the rule in use, but for the looks once more)", by(own, RULE)),
    ]
    for name, value in VARIANTS:
        rules.append((f"  in use, but {name}", by(own, value)))
    return rules


def own(looks: list[Look]) -> list[WeighedRead]:
    """Every look by our own reader, two rows where that is likelier."""
    return [read for look in looks for read in _best([_weighed(part, 0) for part in look])]


def ocr(looks: list[Look]) -> list[WeighedRead]:
    """Every look by PP-OCRv4."""
    return [read for look in looks for read in _best([_weighed(part, 1) for part in look])]


def both(looks: list[Look]) -> list[WeighedRead]:
    """Two votes a look."""
    return own(looks) + ocr(looks)


def _best(found: Sequence[WeighedRead | None]) -> list[WeighedRead]:
    return _top([one for one in found if one is not None], lambda one: one.read.likelihood)


def _top(reads: Sequence[WeighedRead], merit: Callable[[WeighedRead], float]) -> list[WeighedRead]:
    return [max(reads, key=merit)] if reads else []


def _weighed(look: dict[str, Any], reader: int) -> WeighedRead | None:
    plain = look["reads"][reader]
    if plain is None:
        return None
    guesses = tuple(Guess(*guess) for guess in plain["guesses"])
    read = PlateRead(guesses, tuple(plain["characters"]), plain["double"], tuple(plain["spread"]))
    clear = min(1.0, max(0.2, look["sharp"] / GOOD_SHARPNESS)) * look["score"]
    weight = min(1.0, look["width"] / GOOD_WIDTH) * clear
    return WeighedRead(look["wall"] / 1e9, look["wall"], read, look["colour"], weight)


def _single(reads: Sequence[WeighedRead]) -> Answer:
    return (reads[0].read.text, reads[0].read.weakest >= SURE) if reads else ("", False)


def _majority(reads: Sequence[WeighedRead]) -> Answer:
    if not reads:
        return "", False
    text, count = Counter(read.read.text for read in reads).most_common(1)[0]
    return text, count >= math.ceil(0.7 * len(reads)) and count >= RULE.identical


def _answer(verdict: Verdict | None) -> Answer:
    return (verdict.text, verdict.status == "accepted") if verdict else ("", False)


def _text(read: Any) -> str:  # noqa: ANN401 - JSON
    return str(read["guesses"][0][0]) if read else ""
