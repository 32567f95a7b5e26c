"""Random histories: whatever happens, every sequence number is a record or inside a gap, and no record changes."""

import asyncio
import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.contract import STREAMS
from gateway.store import Store
from tests.store import desk
from tests.store.desk import FastClock, alarm, disposal, noise, prove_all, reading, state

MAKE = {"perception": reading, "management": state, "alarm": alarm, "disposal": disposal}
KEEP = {"perception": "300s", "management": "600s", "alarm": "365d", "disposal": "365d", "media": "30d"}
REQUIRED = {"mqtt": frozenset(STREAMS)}


class Histories(RuleBasedStateMachine):
    """One store of the smallest quota, and a model of what it has promised."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="linli-histories-"))
        self.path = self.folder / "0"
        self.clock = FastClock(200)
        self.seen = {stream: {} for stream in STREAMS}
        self.last = dict.fromkeys(STREAMS, 0)
        self.positions = dict.fromkeys(STREAMS, 0)
        self.random = random.Random(1)
        self.store = None

    @initialize()
    def start(self):
        keys = desk.settings(records="1MiB", keep=KEEP, commit="10s")
        self.store = self.runner.run(Store.open(keys, self.path, desk.GATEWAY, self.clock, REQUIRED))
        self.epoch = getattr(self, "epoch", self.store.epoch)
        assert self.store.epoch == self.epoch
        for stream in STREAMS:
            assert self.store.bounds(stream).last >= self.last[stream]
            assert self.store.position("mqtt", stream) == self.positions[stream]

    @rule(stream=st.sampled_from(STREAMS), count=st.integers(1, 300), length=st.sampled_from([0, 50, 900]))
    def put(self, stream, count, length):
        drafts = [MAKE[stream]() for _ in range(count)]
        for draft in drafts:
            draft.data["noise"] = noise(length)
        self.runner.run(self.store.put(drafts, urgent=stream == "alarm"))

    @rule()
    def commit(self):
        self.runner.run(self.store.committed())

    @rule(stream=st.sampled_from(STREAMS), share=st.floats(0, 1))
    def confirm(self, stream, share):
        sequence = int(self.store.bounds(stream).last * share)
        self.store.confirm("mqtt", stream, sequence)
        self.positions[stream] = max(self.positions[stream], sequence)

    @rule(seconds=st.integers(-100, 1000))
    def time_passes(self, seconds):
        self.clock.ahead_ns += seconds * 10**9
        self.runner.run(asyncio.sleep(0.02))

    @rule()
    def restart(self):
        self.runner.run(self.store.close())
        self.start()

    @rule()
    def power_cut(self):
        """What is on the disk at this moment is all that is left."""
        self.runner.run(self.store.committed())
        left = self.folder / f"{len(list(self.folder.iterdir()))}"

        def between_commits():
            shutil.copytree(self.path, left)
            return self.store._database.known().positions

        cursors = self.store._threads.writer.submit(between_commits).result()
        self.positions = {stream: cursors.get(("mqtt", stream), 0) for stream in STREAMS}
        self.runner.run(self.store.close())
        self.path = left
        self.start()

    @invariant()
    def complete(self):
        if self.store is None:
            return
        events = self.runner.run(prove_all(self.store))
        for stream, kept in events.items():
            for event in kept:
                sequence = int(event["sequence"])
                assert self.seen[stream].setdefault(sequence, event) == event
            self.last[stream] = max(self.last[stream], self.store.bounds(stream).last)
        files = [self.path / name for name in ("records.db", "records.db-wal", "records.db-shm", "reserve")]
        assert sum(file.stat().st_size for file in files if file.exists()) <= 1 << 20

    def teardown(self):
        if self.store is not None:
            self.runner.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=10, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
