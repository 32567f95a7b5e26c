"""The fixtures that the tests of commands share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.served import Served

if TYPE_CHECKING:
    from tests.cli.falls import Drawn


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Drawn]":
    """Drawn clips with and without a fall; there is no verifier: how well it judges is not what is tried here."""
    from tests.cli.falls import drawn  # needs the extra `vision`

    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINLI_MODELS", str(folder))
        yield drawn(folder)
