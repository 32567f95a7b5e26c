"""A community's configuration that uses everything, built or not."""

import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMMUNITY = (HERE / "community.toml").read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the profile that the community's configuration names."""
    (tmp_path / "devices").mkdir()
    shutil.copy(HERE / "level.toml", tmp_path / "devices" / "level.toml")
    return tmp_path


@pytest.fixture
def community(place: Path) -> Path:
    path = place / "linli.toml"
    path.write_text(COMMUNITY, encoding="utf-8")
    return path
