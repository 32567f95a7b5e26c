"""The fixture that the asking commands share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.served import Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as running:
        yield running
