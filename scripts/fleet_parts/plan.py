"""What a platform for many sites must carry, extrapolated linearly from one measured run; every formula is here."""

from collections.abc import Iterator
from typing import NamedTuple

SITES = 13_873  # residential sites of Shanghai's plan: 10,987 + 2,886
DAY = 86_400
HEADROOM = 3  # of what is measured as the mean: mornings, catch-up after an outage, a node that is gone
HOT_DAYS, KEEP_DAYS = 7, 190


class Measured(NamedTuple):
    """One run. CPU in seconds, sizes in bytes, ``seconds`` the time over which all of it was counted."""

    gateways: int
    seconds: float
    records: int
    messages: int
    payload: int
    broker_cpu: float
    broker_memory: int
    consumer_cpu: float
    database_cpu: float
    table: int
    indexes: int
    rows: int
    packing: float
    wal: int


def plan(run: Measured, sites: int = SITES) -> Iterator[tuple[str, str, str]]:
    """Rows of (what, formula, value) for so many sites with the same load each."""
    each = sites / run.gateways
    records = run.records / run.seconds * each
    messages = run.messages / run.seconds * each
    payload = run.payload / run.seconds * each
    row = (run.table + run.indexes) / run.rows
    back = sites * run.records / run.seconds / run.gateways * 3600
    yield "connections", "sites", f"{sites:,}"
    yield "records/s", "sites × records/s of a site", f"{records:,.0f}"
    yield "messages/s in", "sites × messages/s of a site", f"{messages:,.0f}"
    yield "payload in", "sites × bytes/s of a site", f"{payload / 1e6:,.1f} MB/s"
    yield "rows a day", "records/s × 86,400", f"{records * DAY / 1e6:,.0f} million"
    yield (
        "bytes a row, table + indexes",
        "pg_total_relation_size / rows",
        f"{run.table / run.rows:,.0f} + {run.indexes / run.rows:,.0f}",
    )
    yield "storage a day, uncompressed", "rows a day × bytes a row", f"{records * DAY * row / 1e12:,.2f} TB"
    yield "JSON, zstd of 2,000 of a series", "measured", f"{run.packing:,.1f} : 1"
    yield (
        "write-ahead log",
        "WAL bytes / rows × records/s",
        f"{run.wal / run.rows:,.0f} bytes a row, {records * run.wal / run.rows / 1e6:,.0f} MB/s",
    )
    yield (
        f"rows of {HOT_DAYS} days in the database",
        f"× {HOT_DAYS}",
        f"{records * DAY * row * HOT_DAYS / 1e12:,.1f} TB",
    )
    cold = payload * DAY * KEEP_DAYS / run.packing
    yield f"{KEEP_DAYS} days as files, zstd", f"payload × {KEEP_DAYS} days / ratio", f"{cold / 1e12:,.1f} TB"
    yield (
        f"{KEEP_DAYS} days in the database, as rows",
        f"× {KEEP_DAYS}",
        f"{records * DAY * row * KEEP_DAYS / 1e12:,.0f} TB",
    )
    yield "log for 7 days, one copy", "payload × 7 days", f"{payload * DAY * 7 / 1e12:,.1f} TB"
    for name, cpu in (("broker", run.broker_cpu), ("consumers", run.consumer_cpu), ("database", run.database_cpu)):
        cores = cpu / run.seconds * each
        yield (
            f"{name}, cores busy",
            "CPU s / s × sites / gateways",
            f"{cores:,.1f} (× {HEADROOM}: {cores * HEADROOM:,.0f})",
        )
    yield (
        "broker, memory of connections",
        "bytes a connection × sites",
        f"{run.broker_memory / run.gateways * sites / 1e6:,.0f} MB",
    )
    yield "1 h outage of the platform", "records/s × 3,600", f"{back / 1e6:,.0f} million records wait in the gateways"
