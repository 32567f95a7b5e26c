"""From a camera's state to its record."""

import pytest

from gateway.contract import SourceState, StateChange
from gateway.daemon.drafts import state_draft
from tests.schemas import validator


@pytest.mark.parametrize("besides", [(), ("list", "spider")])
def test_what_else_lessens_a_camera_is_on_record(besides: tuple[str, ...]) -> None:
    change = StateChange("camera", "gate", SourceState.DEGRADED, "overload", "too slow", 1, 1.0, besides)
    data = state_draft(change).data
    assert data.get("besides", []) == list(besides)
    whole = validator("linli.camera.state.v1")
    whole.evolve(schema=whole.schema["properties"]["data"]).validate(data)
