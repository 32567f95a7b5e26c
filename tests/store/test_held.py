"""Held evidence after a power cut."""

import json
import threading
from collections.abc import Callable
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


def sealed(text: str) -> dict[str, bytes]:
    signed = {"format": "", "gateway": "", "key": "", "exported": "", "by": "", "reason": "", "records": [], "head": ""}
    return {**files(text), MANIFEST: json.dumps({"signed": signed}).encode()}


@pytest.mark.parametrize("meanwhile", ["release", "keep"])
@pytest.mark.parametrize("ask", [lambda held: held.naming("first"), lambda held: held.texts(ONE)])
def test_what_is_let_go_of_or_held_anew_while_it_is_read_is_read_as_it_was(
    meanwhile: str, ask: Callable[[Held], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, other = Held(tmp_path, 10_000), Held(tmp_path, 10_000)
    held.keep(ONE, sealed("first"), {})
    doing = {"release": lambda: other.release(ONE), "keep": lambda: other.keep(ONE, sealed("second"), {})}[meanwhile]
    beside = threading.Thread(target=doing)
    read = Path.open

    def race(path: Path, *how: object, **more: object) -> object:
        if path.suffix == ".json" and path.parent.name == RECORDS and beside.ident is None:
            beside.start()
            beside.join(0.1)  # it would be done by then if it were not kept waiting
        return read(path, *how, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", race)
    assert ask(held) in ([ONE], ["first"])
    beside.join(10.0)
    monkeypatch.undo()
    assert held.texts(ONE) == ([] if meanwhile == "release" else ["second"])
