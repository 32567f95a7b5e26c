"""A log that was torn by a power cut is no damage; one that was changed afterwards is."""

import shutil

import pytest

from gateway.store.wal import log_trouble
from tests.store.desk import everything, opened, reading

FRAME = 24 + 512


async def crashed(path):
    """A copy of a running store: seven commits in its log, one reading each."""
    async with opened(path / "live") as store:
        for _ in range(7):
            await store.put([reading()])
            await store.committed()
        shutil.copytree(path / "live", path / "crashed")
        return path / "crashed", store.epoch


def edited(path, change):
    file = path / "records.db-wal"
    content = bytearray(file.read_bytes())
    change(content)
    file.write_bytes(content)


async def test_a_sound_log(tmp_path):
    path, epoch = await crashed(tmp_path)
    assert log_trouble(path / "records.db") is None
    async with opened(path) as store:
        assert store.epoch == epoch
        assert store.bounds("perception").last == 7
    assert log_trouble(path / "records.db") is None


async def test_a_torn_end_is_a_power_cut(tmp_path):
    path, epoch = await crashed(tmp_path)

    def tear(content):
        content[-FRAME // 2 :] = bytes(FRAME // 2)

    edited(path, tear)
    assert log_trouble(path / "records.db") is None
    async with opened(path) as store:
        assert store.epoch == epoch
        assert store.bounds("perception").last >= 6


@pytest.mark.parametrize("place", [32 + 100, 32 + 2 * FRAME + 30, 20, 8])
async def test_a_change_before_the_end_is_damage(tmp_path, place):
    path, _ = await crashed(tmp_path)

    def flip(content):
        content[place] ^= 4

    edited(path, flip)
    assert log_trouble(path / "records.db") is not None


async def test_damage_of_the_log_begins_a_new_epoch(tmp_path):
    path, epoch = await crashed(tmp_path)

    def flip(content):
        content[32 + 100] ^= 4

    edited(path, flip)
    async with opened(path) as store:
        assert store.epoch != epoch
        await store.committed()
        reasons = [event["data"]["text"] for event in await everything(store, "management")]
        assert any("write-ahead log" in reason for reason in reasons)


async def test_a_torn_end_that_fills_its_sector_is_a_power_cut_too(tmp_path):
    """Where a sector is larger than a page, SQLite writes the frame that ends a commit several times."""
    path, epoch = await crashed(tmp_path)

    def tear_and_fill(content):
        last = bytes(content[-FRAME:])
        content += last * 6
        content[-7 * FRAME + 30] ^= 4

    edited(path, tear_and_fill)
    assert log_trouble(path / "records.db") is None
    async with opened(path) as store:
        assert store.epoch == epoch
