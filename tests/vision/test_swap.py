"""Self-tests of packs, and changing them under a running lane: what fails or is slow never stays."""

import hashlib
import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from gateway.vision import runtime, selftest, swap
from gateway.vision.falling.judge import best_judge
from gateway.vision.packs import DETECTION, READING, VEHICLES, Choice, Golden, Pack, PackError, choose, packs
from gateway.vision.plates import FoundPlate
from gateway.vision.runtime import available, missing, usable
from gateway.vision.selftest import Opened, open_tested, ranked, read_picture
from gateway.vision.shapes import Box
from gateway.vision.swap import FAULTS, PROBATION, LiveSight, Seat

MANIFESTS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def folder(tmp_path: Path, models: Path) -> Path:
    """The project's packs in a folder of their own; the files are links."""
    made = tmp_path / "models"
    shutil.copytree(MANIFESTS, made, ignore=shutil.ignore_patterns("files", "in-use.json"))
    for pack in packs(models):
        if pack.present:
            (made / pack.folder.name / "files").mkdir()
            (made / pack.folder.name / "files" / pack.path.name).symlink_to(pack.path)
    return made


def named(folder: Path, name: str) -> Pack:
    return next(pack for pack in packs(folder) if pack.name == name)


def spoiled(pack: Pack, tmp_path: Path, data: bytes) -> Pack:
    """The pack with another file, which its manifest vouches for."""
    path = tmp_path / "spoiled.onnx"
    path.write_bytes(data)
    return replace(pack, path=path, sha256=hashlib.sha256(data).hexdigest())


# ----------------------------------------------------------------------------------------------------- self-tests


def test_every_pack_that_is_here_sees_its_golden_picture(models: Path) -> None:
    for pack in packs(models):
        if pack.present and pack.golden is not None:
            assert open_tested(pack, strict=True).cost > 0.0


def test_a_vehicle_pack_is_tested_where_there_is_one(shared: Path) -> None:
    pack = replace(named(MANIFESTS, "fastestdet"), path=shared / "models" / "FastestDet.onnx")
    opened = open_tested(pack, strict=True)
    assert pack.golden is not None
    assert pack.golden.path is not None
    picture = read_picture(pack.golden.path, pack.name)
    (best, *_) = opened.model.find(picture, Box(0, 0, 352, 352))
    assert best.label in ("car", "truck", "bus")
    assert opened.model.find(picture, Box(0, 0, 10, 10)) == []
    moved = cv2.copyMakeBorder(picture, 50, 0, 100, 0, cv2.BORDER_CONSTANT)
    (same, *_) = opened.model.find(np.asarray(moved, np.uint8), Box(100, 50, 452, 402))
    assert same.box == pytest.approx([best.box[0] + 100, best.box[1] + 50, best.box[2] + 100, best.box[3] + 50])


def test_a_wrong_opset_does_not_load(models: Path, tmp_path: Path) -> None:
    pack = named(models, "plate-detector")
    data = pack.path.read_bytes()
    assert data.endswith(b"B\x02\x10\x0b")  # opset_import: version 11
    with pytest.raises(PackError, match="does not load here") as failed:
        open_tested(spoiled(pack, tmp_path, data[:-1] + b"\x7f"))
    assert failed.value.reason == "models_refused"


@pytest.mark.parametrize("data", [b"", b"no model at all", b"\x08\x08"])
def test_what_is_no_model_does_not_load(models: Path, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(PackError, match="plate-detector") as failed:
        open_tested(spoiled(named(models, "plate-detector"), tmp_path, data))
    assert failed.value.reason == "models_refused"


def test_a_flipped_bit_that_loads_fails_on_the_golden_picture(models: Path, tmp_path: Path) -> None:
    pack = named(models, "plate-detector")
    data = bytearray(pack.path.read_bytes())
    for place in range(100_003, len(data) - 4096, 4):  # the signs of the weights
        data[place] ^= 0x80
    with pytest.raises(PackError, match=r"golden picture|does not load|does not do"):
        open_tested(spoiled(pack, tmp_path, bytes(data)))


def test_another_shape_is_refused(models: Path) -> None:
    reader, detector = named(models, "plate-reader"), named(models, "plate-detector")
    for pack in (
        replace(reader, task=DETECTION, golden=detector.golden),
        replace(detector, task=READING, form="linli", golden=reader.golden),
        replace(detector, task=READING, form="ppocr", golden=reader.golden),
        replace(detector, task=VEHICLES),
    ):
        with pytest.raises(PackError) as failed:
            open_tested(pack)
        assert failed.value.reason == "models_refused"


def test_what_sees_something_else_is_refused(models: Path, tmp_path: Path) -> None:
    detector = named(models, "plate-detector")
    assert detector.golden is not None
    read, expect = SimpleNamespace(text="沪A12345", weakest=0.7), {"text": "沪A12346", "least": 0.8}
    assert "reads 沪A12345 instead of 沪A12346" in selftest._compare_text(read, expect)
    assert "reads nothing" in selftest._compare_text(None, expect)
    assert "only 0.70 sure" in selftest._compare_text(read, {**expect, "text": "沪A12345"})
    shifted = [[[x + 20, y] for x, y in corners] for corners in detector.golden.expect["plates"]]
    with pytest.raises(PackError, match="pixels off"):
        open_tested(replace(detector, golden=replace(detector.golden, expect={"plates": shifted, "within": 6.0})))
    with pytest.raises(PackError, match="1 plate instead of 0"):
        open_tested(replace(detector, golden=replace(detector.golden, expect={"plates": [], "within": 6.0})))
    broken = tmp_path / "golden.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(PackError, match="is no picture"):
        open_tested(replace(detector, golden=replace(detector.golden, path=broken)))
    with pytest.raises(PackError, match="cannot be read"):
        open_tested(replace(detector, golden=replace(detector.golden, path=tmp_path / "none.jpg")))


def test_numbers_can_be_golden_too() -> None:
    session = SimpleNamespace(
        get_inputs=lambda: [SimpleNamespace(name="traits")], run=lambda _, given: [given["traits"].sum(axis=1)]
    )
    compare = selftest._compare_numbers
    assert compare(session, (1.0, 2.0), {"numbers": [3.0], "within": 0.01}) == ""
    assert "off by 1" in compare(session, (1.0, 2.0), {"numbers": [4.0], "within": 0.01})
    assert "instead of 2" in compare(session, (1.0,), {"numbers": [1.0, 1.0], "within": 0.01})


def test_without_a_golden_picture_nothing_is_chosen(models: Path) -> None:
    pack = replace(named(models, "plate-detector"), golden=None)
    assert open_tested(pack).cost == 0.0
    with pytest.raises(PackError, match="no golden picture"):
        open_tested(pack, strict=True)


def test_a_reader_says_which_form_it_has(models: Path) -> None:
    with pytest.raises(PackError, match='form = "linli"'):
        open_tested(replace(named(models, "plate-reader"), name="mine", form=""))


def test_providers_fall_back_to_the_cpu() -> None:
    assert "cpu" in available()
    assert usable(("qnn", "cpu")) == ("cpu",)
    assert missing(("qnn", "cpu")) == ("qnn",)


# ----------------------------------------------------------------------------------------------------- changing


class Model:
    """Stands in for a detector and a reader."""

    def __init__(self, name: str, error: Exception | None = None, work: int = 0) -> None:
        self.name, self.error, self.work = name, error, work
        self.calls = 0

    def find(self, *_: object, **__: object) -> list[str]:
        self.calls += 1
        sum(range(self.work))
        if self.error is not None:
            raise self.error
        return [self.name]

    read = find


class Bench:
    """Packs by name without files: what opens, what it costs, and a clock that is turned by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.now = folder, 0.0
        self.able: dict[str, tuple[str, Model, float] | PackError] = {}
        self.order: dict[str, list[str]] = {DETECTION: ["eyes"], READING: ["old"]}
        self.add("eyes", DETECTION)
        self.add("old", READING)
        monkeypatch.setattr(swap, "ranked", lambda _, task: [self.pack(name, task) for name in self.order[task]])
        monkeypatch.setattr(swap, "open_tested", self.open)

    def add(self, name: str, task: str, cost: float = 0.001, **more: Any) -> Model:
        model = Model(name, **more)
        self.able[name] = (task, model, cost)
        self.pack(name, task)
        return model

    def pack(self, name: str, task: str) -> Pack:
        golden = Golden(None, (1.0,), {})
        words = {"name": name, "task": task, "version": "1", "licence": "", "source": "", "member": "", "notes": ""}
        path = self.folder / name / "files" / "m.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch()
        return Pack(**words, sha256=name, path=path, golden=golden)

    def open(self, pack: Pack) -> Opened:
        able = self.able[pack.name]
        if isinstance(able, PackError):
            raise able
        return Opened(pack, able[1], able[2])

    def choose(self, name: str, slower: float = 4.0) -> None:
        """What `linli model use` does."""
        self.order[READING] = [name, *(other for other in self.order[READING] if other != name)]
        choose(self.folder, READING, Choice(name, "old", slower))

    def renew(self, sight: LiveSight) -> None:
        """Two turns of the lane: one that sees the choice, one that takes over what was loaded."""
        self.now += 2.0
        sight.renew()
        if sight._loading is not None:
            sight._loading.join(10.0)
        sight.renew()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return Bench(monkeypatch, tmp_path / "models")


def sight_of(bench: Bench) -> LiveSight:
    return LiveSight(bench.folder, (), lambda: bench.now)


CROP: Any = np.zeros((4, 4, 3), np.uint8)


def test_a_chosen_pack_takes_over_between_two_frames(bench: Bench) -> None:
    sight = sight_of(bench)
    assert sight.read(CROP) == ["old"]
    bench.add("new", READING)
    bench.choose("new")
    assert sight.read(CROP) == ["old"]  # within a frame nothing changes
    bench.renew(sight)
    assert sight.read(CROP) == ["new"]
    assert sight.names == {DETECTION: "eyes 1", READING: "new 1"}
    assert sight.troubles == []
    for _ in range(PROBATION):
        sight.read(CROP)
    assert sight._seats[READING].before is None  # the old one is let go


def test_the_lane_goes_on_while_the_new_pack_is_loaded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    sight = sight_of(bench)
    bench.add("new", READING)
    bench.choose("new")
    gate = threading.Event()
    opening = bench.open
    monkeypatch.setattr(swap, "open_tested", lambda pack: (gate.wait(10.0), opening(pack))[1])
    bench.now += 2.0
    sight.renew()
    for _ in range(5):
        sight.renew()
        assert sight.read(CROP) == ["old"]
    gate.set()
    assert sight._loading is not None
    sight._loading.join(10.0)
    sight.renew()
    assert sight.read(CROP) == ["new"]


def test_a_pack_that_fails_its_test_never_comes_in(bench: Bench) -> None:
    sight = sight_of(bench)
    bench.able["new"] = PackError("model pack new fails on its golden picture", "models_refused")
    bench.choose("new")
    bench.renew(sight)
    assert sight.read(CROP) == ["old"]
    assert sight.troubles[0][0] == "models_refused"
    assert "old 1 stays in use" in sight.troubles[0][1]
    bench.choose("old")
    bench.renew(sight)
    assert sight.troubles == []


def test_what_does_not_work_is_tried_again_ever_more_seldom(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sight = sight_of(bench)
    bench.pack("new", READING)
    bench.able["new"] = PackError("model pack new does not load here: no memory", "models_refused")
    tries: list[float] = []
    opens = bench.open

    def noted(pack: Pack) -> Opened:
        tries.append(bench.now)
        return opens(pack)

    monkeypatch.setattr(swap, "open_tested", noted)
    bench.choose("new")
    bench.renew(sight)
    first, last = swap.AGAIN
    while bench.now < 30 * first:
        bench.now += first / 4
        bench.renew(sight)
        assert sight.read(CROP) == ["old"]
        assert "no memory" in sight.troubles[0][1]
    gaps = [after - before for before, after in itertools.pairwise(sorted(set(tries)))]
    assert [round(gap / first) for gap in gaps] == [1, 2, 4, 8, 8]
    assert last == 8 * first
    os.utime(bench.folder / "new" / "files" / "m.onnx", (1, 1))  # a change of its file does not wait
    bench.add("new", READING)
    bench.renew(sight)
    assert sight.read(CROP) == ["new"]
    assert sight.troubles == []


def test_a_pack_that_is_slow_on_its_picture_never_comes_in(bench: Bench) -> None:
    sight = sight_of(bench)
    bench.add("new", READING, cost=0.0041)
    bench.choose("new")
    bench.renew(sight)
    assert sight.read(CROP) == ["old"]
    assert "4.1 times the CPU" in sight.troubles[0][1]


def test_a_pack_that_fails_at_work_goes_back_and_no_look_is_lost(bench: Bench) -> None:
    sight = sight_of(bench)
    bench.add("new", READING, error=RuntimeError("bad tensor"))
    bench.choose("new")
    bench.renew(sight)
    assert sight.read(CROP) == ["old"]
    assert "bad tensor" in sight.troubles[0][1]
    bench.renew(sight)
    assert sight.read(CROP) == ["old"]  # it is not tried again and again


def test_a_pack_that_is_slow_at_work_goes_back(bench: Bench) -> None:
    sight = sight_of(bench)
    for _ in range(PROBATION):
        sight.read(CROP)
    new = bench.add("new", READING, work=200_000)
    bench.choose("new")
    bench.renew(sight)
    answers = [sight.read(CROP) for _ in range(PROBATION)]
    assert answers[0] == ["new"]
    assert answers[-1] == ["old"]
    assert new.calls < PROBATION
    assert "times the CPU of the one before" in sight.troubles[0][1]


@pytest.mark.parametrize("error", [None, RuntimeError("bad tensor")])
def test_the_second_opinion_never_is_the_first_ones(bench: Bench, error: Exception | None) -> None:
    bench.add("other", READING)
    bench.order[READING] = ["old", "other"]
    sight = sight_of(bench)
    assert sight.second(CROP) == ["other"]
    for _ in range(PROBATION):
        sight.read(CROP)
    bench.add("other", READING, work=200_000, error=error)
    bench.choose("other")
    bench.renew(sight)
    assert sight.second(CROP) == ["old"]
    for _ in range(PROBATION):
        sight.read(CROP)
    assert sight.read(CROP) == ["old"]
    assert sight.second(CROP) == (["other"] if error is None else None)


def test_what_may_be_slow_stays(bench: Bench) -> None:
    sight = sight_of(bench)
    bench.add("new", READING, cost=0.01)
    bench.choose("new", slower=12.0)
    bench.renew(sight)
    assert sight.read(CROP) == ["new"]


def test_a_chosen_pack_that_does_not_start_leaves_the_work_to_the_next(bench: Bench) -> None:
    bench.able["new"] = PackError("model pack new fails on its golden picture", "models_refused")
    bench.choose("new")
    sight = sight_of(bench)
    assert sight.read(CROP) == ["old"]
    assert "old 1 does its work" in sight.troubles[0][1]
    bench.able["old"] = PackError("gone", "models_missing")
    sight = sight_of(bench)
    assert sight.read(CROP) is None
    assert sight.find(CROP, Box(0, 0, 4, 4)) == []
    assert sight.troubles[0][0] == "models_refused"
    assert "new fails" in sight.troubles[0][1]
    assert sight.troubles[0][1].count("linli model use NAME") == 1
    assert "passages come without plates" in sight.troubles[0][1]


def test_what_comes_later_takes_its_place_without_a_restart(bench: Bench) -> None:
    bench.able["eyes"] = PackError("model pack eyes is not here", "models_missing")
    sight = sight_of(bench)
    assert (sight.sees, sight.troubles[0][0]) == (False, "models_missing")
    bench.add("eyes", DETECTION)
    choose(bench.folder, DETECTION, None)
    bench.renew(sight)
    assert sight.sees
    assert sight.find(CROP, Box(0, 0, 4, 4)) == ["eyes"]
    assert sight.troubles == []


def at_work(bench: Bench, sight: LiveSight, name: str, error: Exception | None) -> None:
    """The pack that is at work begins to fail, or stops."""
    for seat in sight._seats.values():
        if seat.now is not None and seat.now.pack.name == name:
            seat.now.model.error = error
    if sight._second is not None and sight._second.pack.name == name:
        sight._second.model.error = error


def test_one_failure_of_a_pack_that_has_worked_long_costs_one_look(bench: Bench) -> None:
    sight = sight_of(bench)
    for _ in range(PROBATION - 1):
        at_work(bench, sight, "old", RuntimeError("bad tensor"))
        assert sight.read(CROP) is None
        at_work(bench, sight, "old", None)
        for _ in range(PROBATION):
            assert sight.read(CROP) == ["old"]
    assert sight.troubles == []


def test_a_reader_that_fails_again_and_again_is_put_aside_for_the_other_one(bench: Bench) -> None:
    bench.add("other", READING)
    bench.order[READING] = ["old", "other"]
    sight = sight_of(bench)
    assert sight.read(CROP) == ["old"]
    at_work(bench, sight, "old", RuntimeError("bad tensor"))
    assert [sight.read(CROP) for _ in range(FAULTS)] == [None] * (FAULTS - 1) + [["other"]]
    reason, sentence = sight.troubles[0]
    assert reason == "models_refused"
    assert "old fails at work: bad tensor" in sentence
    assert "other 1 does its work" in sentence
    assert sight.second(CROP) is None
    bench.renew(sight)
    assert sight.read(CROP) == ["other"]
    assert "old fails at work" in sight.troubles[0][1]
    at_work(bench, sight, "old", None)
    bench.add("old", READING)
    bench.now += swap.AGAIN[0]
    bench.renew(sight)
    assert sight.read(CROP) == ["old"]  # some hours later it is given a chance
    assert sight.second(CROP) == ["other"]
    assert sight.troubles == []


def test_what_must_not_be_passed_over_is_searched_for_black_plates_too(bench: Bench) -> None:
    class Eyes(Model):
        def find(self, *_: Any, dark: bool = False) -> list[Any]:
            boxes = [Box(0, 0, 40, 12), Box(90, 0, 130, 12)] if dark else [Box(1, 0, 41, 12)]
            return [FoundPlate(box, np.zeros((4, 2), np.float32), 0.9) for box in boxes]

    sight = sight_of(bench)
    seat = sight._seats[DETECTION]
    assert seat.now is not None
    seat.now = replace(seat.now, model=Eyes("eyes"))
    found = sight.search(CROP, Box(0, 0, 200, 100))
    assert [plate.box.left for plate in found] == [1, 90]


def test_a_detector_that_fails_again_and_again_is_put_aside(bench: Bench) -> None:
    sight = sight_of(bench)
    place = Box(0, 0, 4, 4)
    at_work(bench, sight, "eyes", ValueError("no boxes"))
    with pytest.raises(ValueError, match="no boxes"):  # what leaves is not looked through with half an eye
        sight.search(CROP, place)
    assert [sight.find(CROP, place) for _ in range(FAULTS)] == [[]] * FAULTS
    assert not sight.sees
    assert sight.troubles[0][0] == "models_refused"
    assert "eyes fails at work: no boxes" in sight.troubles[0][1]
    assert "passages come without plates" in sight.troubles[0][1]
    with pytest.raises(RuntimeError):
        sight.search(CROP, place)
    bench.renew(sight)
    assert "eyes fails at work: no boxes" in sight.troubles[0][1]  # not that there is no pack
    bench.add("glasses", DETECTION)
    bench.order[DETECTION] = ["eyes", "glasses"]
    choose(bench.folder, DETECTION, None)
    bench.add("eyes", DETECTION, error=ValueError("no boxes"))
    bench.renew(sight)
    for _ in range(FAULTS):
        sight.find(CROP, place)
    bench.renew(sight)
    assert sight.find(CROP, place) == ["glasses"]
    assert "eyes fails at work" in sight.troubles[0][1]


def test_a_second_opinion_that_fails_again_and_again_is_not_asked_any_more(bench: Bench) -> None:
    bench.add("other", READING)
    bench.order[READING] = ["old", "other"]
    sight = sight_of(bench)
    at_work(bench, sight, "other", RuntimeError("bad tensor"))
    assert [sight.second(CROP) for _ in range(FAULTS + 1)] == [None] * (FAULTS + 1)
    assert "without its second opinion" in sight.troubles[0][1]
    assert sight.read(CROP) == ["old"]
    at_work(bench, sight, "other", None)
    bench.add("other", READING)
    bench.renew(sight)
    assert sight.second(CROP) is None
    bench.now += swap.AGAIN[0]
    bench.renew(sight)
    assert sight.second(CROP) == ["other"]  # some hours later it is given a chance
    assert sight.troubles == []


def test_what_is_not_asked_for_costs_one_look_a_second(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sight = sight_of(bench)
    looks: list[int] = []
    monkeypatch.setattr(swap, "stamps", lambda _: looks.append(1) or sight._stamp)
    for step in range(100):
        bench.now = step / 25
        sight.renew()
    assert len(looks) == 3


def test_a_provider_that_is_not_there_is_told(bench: Bench) -> None:
    sight = LiveSight(bench.folder, ("qnn", "cpu"), lambda: 0.0)
    assert sight.troubles[0][0] == "provider"
    assert "qnn" in sight.troubles[0][1]


def test_real_packs_change_over(folder: Path) -> None:
    if not named(folder, "plate-reader-linli").present:
        pytest.skip("our own reader's file is not here")
    now = 0.0
    sight = LiveSight(folder, ("cpu",), lambda: now)
    assert sight.names[READING].startswith("plate-reader-linli")
    golden = named(folder, "plate-reader").golden
    assert golden is not None
    assert golden.path is not None
    crop = read_picture(golden.path, "plate-reader")
    assert sight.read(crop).text == "沪A12345"  # type: ignore[union-attr]
    choose(folder, READING, Choice("plate-reader", "plate-reader-linli", 50.0))
    now = 2.0
    sight.renew()
    assert sight._loading is not None
    sight._loading.join(30.0)
    sight.renew()
    assert sight.names[READING].startswith("plate-reader 3")
    assert sight.read(crop).text == "沪A12345"  # type: ignore[union-attr]
    second = sight.second(crop)
    assert second is not None
    assert second.text == "沪A12345"


def test_ranking_prefers_what_was_chosen_then_what_is_here(folder: Path) -> None:
    names = [pack.name for pack in ranked(folder, READING)]
    choose(folder, READING, Choice(names[-1], names[0]))
    assert ranked(folder, READING)[0].name == names[-1]
    choose(folder, READING, None)
    ranked(folder, READING)[0].path.unlink()
    assert ranked(folder, READING)[0].name == names[1]


def test_a_seat_without_looks_costs_nothing() -> None:
    assert Seat(Opened(named(MANIFESTS, "plate-reader"), None, 0.0)).cost == 0.0


def test_every_model_of_the_gateway_runs_on_the_providers_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    code = Path(runtime.__file__).parents[1].rglob("*.py")
    opens = [path.name for path in code if "onnxruntime.InferenceSession" in path.read_text(encoding="utf-8")]
    assert opens == ["runtime.py"]
    asked: list[tuple[str, ...]] = []
    really = runtime.open_session

    def noted(pack: Pack) -> Any:
        asked.append(pack.providers)
        return really(replace(pack, providers=("cpu",)))

    monkeypatch.setattr(runtime, "open_session", noted)
    best_judge(MANIFESTS, ("openvino", "cpu"))
    assert asked == [("openvino", "cpu")]
