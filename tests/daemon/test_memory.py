"""What drivers learned, over a restart of the store; another device in its place begins anew."""

from dataclasses import replace
from pathlib import Path

from gateway.clock import SystemClock
from gateway.daemon.memory import LearnedFacts
from gateway.settings import DeviceSettings, LineSettings
from gateway.settings.core import StoreSettings
from gateway.settings.resolve import resolve_device
from gateway.store import Store

LEARNED = {"cuts": [["HOLDING", 7]], "taken": {"registers": 10}, "refused": {"registers": 11}}


def device(address: int = 1):
    settings = DeviceSettings(
        name="pump", line="bus", driver="modbus", address=address, points={"p": {"at": "holding:0"}}
    )
    return resolve_device(settings, LineSettings(name="bus", tcp="10.0.0.1:502"), None)


async def test_what_was_learned_survives_a_restart_and_stays_with_its_device(tmp_path: Path):
    for first in (True, False):
        store = await Store.open(StoreSettings(), tmp_path, "gate-1", SystemClock(), {})
        try:
            memory = LearnedFacts(store)
            if first:
                assert memory.recall(device()) == {}
                await memory.keep(device(), LEARNED)
            assert memory.recall(device()) == LEARNED
            assert memory.recall(device(2)) == {}
            assert memory.recall(replace(device(), model="another")) == {}
        finally:
            await store.close()


async def test_a_fact_that_is_no_json_is_passed_over(tmp_path: Path):
    store = await Store.open(StoreSettings(), tmp_path, "gate-1", SystemClock(), {})
    try:
        for raw in (b"{", b"[]", b'{"of": 1}'):
            await store.put([], facts={"learned/pump": raw})
            assert LearnedFacts(store).recall(device()) == {}
    finally:
        await store.close()
