"""Held evidence after a power cut."""

from pathlib import Path

import pytest

from gateway.store.bundle import MANIFEST, RECORDS
from gateway.store.held import FOLDER, Held

ONE, OTHER = "01a2038f-08c8-7494-ae9e-ba3dd574935b", "01a2038f-08c8-7494-ae9e-ba3dd574935c"


def files(text: str) -> dict[str, bytes]:
    return {MANIFEST: b"{}", f"{RECORDS}/{ONE}.json": text.encode()}


@pytest.mark.parametrize("replaced", [True, False])
def test_a_power_cut_while_held_anew_loses_nothing_and_leaves_nothing(replaced: bool, tmp_path: Path) -> None:
    held = Held(tmp_path, 1000)
    held.keep(ONE, files("first"), {})
    if replaced:  # it came between the two names
        held.place(ONE).rename(tmp_path / FOLDER / f"{ONE}.old")
    for name in (f"{ONE}.new", f"{OTHER}.new", f"{OTHER}.gone"):
        (tmp_path / FOLDER / name).mkdir()
        (tmp_path / FOLDER / name / MANIFEST).write_text("{}")
    assert held.naming("first") == ([] if replaced else [ONE])
    held.recover()
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [ONE]
    assert held.texts(ONE) == ["first"]
    held.keep(ONE, files("second"), {})
    assert held.texts(ONE) == ["second"]
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [ONE]
