"""What a run of the fleet prints, and what must hold after it."""

import argparse
from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns; the first to the left, the others to the right."""
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    for row in (head, *rows):
        print(
            "  ".join(
                [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            ).rstrip()
        )
    print()


def show(
    options: argparse.Namespace, run: dict[str, Any], proof: dict[str, Any], faults: Sequence[tuple[str, str]]
) -> None:
    """Print everything that was measured."""
    records, messages, seconds = run["taken"]["records"], run["taken"]["messages"], run["seconds"] + run["drained"]
    query = f"{proof['query_s'] / proof['rows'] * 1e6:.1f} µs a row"
    print(f"{records / seconds:,.0f} records/s, {messages / seconds:,.0f} messages/s, {records / messages:.2f} records"
          f" a message, {run['taken']['bytes'] / records:,.0f} bytes a record; behind at the end:"
          f" {run['behind']:,} records, drained in {run['drained']:.1f} s\n")  # fmt: skip
    rows = []
    memory = {
        "gateways": f"{run['gateway_memory'] / 1e3:,.0f} kB a gateway",
        "broker": f"{run['connection_memory'] / 1e3:,.1f} kB a connection",
    }
    for name, used in run["cpu"].items():
        rows.append((name, f"{used:.1f}", f"{used / seconds:.0%}", f"{used / records * 1e6:.1f}",
                     f"{used / messages * 1e6:.0f}", memory.get(name, "")))  # fmt: skip
    table(("part", "CPU s", "of a core", "µs a record", "µs a message", "memory"), rows)
    rows = [
        (name, f"{tally['records']:,.0f}", f"{tally['records'] / seconds:,.0f}",
         f"{tally['records'] - tally['new']:,.0f}", f"{tally['records'] / max(1, tally['groups']):,.0f}",
         f"{tally['database_s'] / seconds:.0%}")
        for name, tally in sorted(run["consumers"].items())
    ]  # fmt: skip
    table(("consumer", "records", "records/s", "seen before", "a transaction", "time in database"), rows)
    sent = proof["fleet"]
    table(("fault", "how often", "noticed"), [
        ("a batch sent twice, its acknowledgement lost", f"{sent.get('resent', 0):,}", "same ids"),
        ("a gateway's connection cut, the rest resent", f"{sent.get('cuts', 0):,}", "same ids"),
        ("a range evicted before it was sent", f"{sent.get('gaps', 0):,}", "gap records"),
        ("a gateway's store made anew", f"{sent.get('epochs', 0):,}", "new epoch"),
        *((what, "1", why) for what, why in faults),
    ])  # fmt: skip
    duplicates = records - run["taken"]["new"]
    table(("completeness", "", ""), [
        ("gateways that told their ends", f"{proof['answered']:,}", f"of {options.gateways:,}"),
        ("series (gateway, epoch, stream)", f"{proof['series']:,}", ""),
        ("numbers that gateways gave out", f"{sent['numbers']:,}", "counted by themselves"),
        ("numbers accounted for", f"{proof['accounted']:,}", "counted in SQL"),
        ("records made", f"{sent['made']:,}", f"{proof['rows']:,} rows"),
        ("of them lost on the way, then evicted", f"{sent['made'] - proof['rows']:,}", "gap records say so"),
        ("records that came again", f"{duplicates:,.0f}", "written once"),
        ("numbers that gap records explain", f"{proof['explained']:,}", f"{proof['gaps']:,} gap records"),
        ("missing when the faults were over", f"{proof['missing']:,}", f"{proof['holes']:,} ranges"),
        ("replayed by the gateways", f"{proof['healed']:,}", f"{sent.get('replayed', 0):,} asked"),
        ("missing now", f"{proof['left']:,}", ""),
        ("different numbers, different ids", f"{proof['places']:,}", f"{proof['ids']:,}"),
        ("conflicts, refused messages", f"{proof['conflicts']:,}", f"{proof['refusals']:,}"),
        ("the query over all numbers", f"{proof['query_s']:.2f} s", query),
        ("and after prove_on()", f"{proof['again_s']:.2f} s", "what is new only"),
    ])  # fmt: skip


def failures(options: argparse.Namespace, run: dict[str, Any], proof: dict[str, Any]) -> list[str]:
    """What must hold, and does not."""
    held = {
        "every gateway answers": proof["answered"] == options.gateways,
        "nothing is missing after the replay": proof["left"] == 0,
        "all numbers that gateways gave out are accounted for": proof["accounted"] == proof["fleet"]["numbers"],
        "no rows that nobody made": proof["rows"] <= proof["fleet"]["made"],
        "every number once": proof["rows"] == proof["places"] == proof["ids"],
        "no conflicts": proof["conflicts"] == 0 and proof["refusals"] == 0,
        "the query finds what was lost": options.no_faults or proof["missing"] > 0,
        "no replay is refused": proof["refused"] == 0,
    }
    return [name for name, holds in held.items() if not holds]
