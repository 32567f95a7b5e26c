"""What the camera tests share: model packs (skipped loudly without), drawn clips, the lane of the drawn scene."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.cli.demo.clip import DrawnCar, write_gate_clip
from gateway.vision.packs import models_folder, packs
from gateway.vision.sight import ModelSight


@pytest.fixture(scope="session")
def models() -> Path:
    folder = models_folder()
    missing = [pack.name for pack in packs(folder) if not (pack.present or pack.optional)]
    if missing or not packs(folder):
        pytest.skip(f"MODEL PACKS MISSING ({', '.join(missing)}): run scripts/setup or `linli model pull`")
    return folder


@pytest.fixture(scope="session")
def sight(models: Path) -> ModelSight:
    return ModelSight(models)


@pytest.fixture(scope="session")
def demo_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "gate.mp4"
    write_gate_clip(path)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Callable[[Sequence[DrawnCar], float], Path]:
    def write(cars: Sequence[DrawnCar], seconds: float) -> Path:
        path = tmp_path / "clip.mp4"
        write_gate_clip(path, seconds=seconds, cars=cars)
        return path

    return write
