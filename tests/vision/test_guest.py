"""Models that nobody needs: there once they are chosen, gone when they fail, and no worse than nothing when broken."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.vision.guest import Guest
from gateway.vision.packs import FACES, VEHICLES, Choice, choose, packs

MOST = 30.0


@pytest.fixture
def folder(tmp_path: Path, models: Path) -> Path:
    """The pack that finds faces, and the one that finds vehicles without its file."""
    made = tmp_path / "models"
    faces = next(pack for pack in packs(models) if pack.task == FACES)
    if not faces.present:
        pytest.skip("the optional pack face-detector is not here: linli model pull face-detector")
    for name in ("face-detector", "fastestdet"):
        shutil.copytree(models / name, made / name, ignore=shutil.ignore_patterns("files"))
    (made / "face-detector" / "files").mkdir()
    (made / "face-detector" / "files" / faces.path.name).symlink_to(faces.path)
    return made


class Watch:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def until(guest: Guest, watch: Watch, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + MOST
    while not condition():
        assert time.monotonic() < end
        watch.now += 2.0
        guest.renew()
        time.sleep(0.005)


def test_it_works_as_long_as_it_is_chosen(folder: Path) -> None:
    watch = Watch()
    guest = Guest(folder, FACES, clock=watch)
    assert (guest.model, guest.trouble) == (None, "")
    choose(folder, FACES, Choice("face-detector", ""))
    guest.renew()
    assert guest.model is None  # not looked again within a second
    until(guest, watch, lambda: guest.model is not None)
    first = guest.model
    guest.failed(first, ValueError("no numbers"))
    assert guest.model is None
    assert "no numbers" in guest.trouble
    guest.failed(first, ValueError("late"))
    assert "late" not in guest.trouble
    choose(folder, FACES, None)
    until(guest, watch, lambda: not guest.trouble)
    assert guest.model is None


def test_a_chosen_pack_that_does_not_work_says_so(folder: Path) -> None:
    choose(folder, FACES, Choice("face-detector", ""))
    place = next((folder / "face-detector" / "files").iterdir())
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.unlink()
    place.write_bytes(data)
    guest = Guest(folder, FACES)
    assert guest.model is None
    assert "SHA-256" in guest.trouble
    (folder / "in-use.json").write_text("{")
    assert "cannot be understood" in Guest(folder, FACES).trouble


def test_what_needs_no_choice_works_where_it_is(folder: Path, models: Path) -> None:
    assert (Guest(folder, VEHICLES).model, Guest(folder, VEHICLES).trouble) == (None, "")
    here = next(pack for pack in packs(models) if pack.task == VEHICLES)
    if here.present:
        (folder / "fastestdet" / "files").mkdir()
        (folder / "fastestdet" / "files" / here.path.name).symlink_to(here.path)
        assert Guest(folder, VEHICLES).model is not None
