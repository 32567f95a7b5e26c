"""What `linli status` says of records that wait for an uplink."""

from typing import Any

import pytest

from gateway.cli.status import _waiting


@pytest.mark.parametrize(
    ("uplink", "text"),
    [
        ({"backlog": {"alarm": 0, "perception": 0}, "rate": 5.0, "eta_s": 0}, "nothing"),
        ({}, "nothing"),
        ({"backlog": {"alarm": 1, "perception": 8120}, "rate": 52.4, "eta_s": 156}, "8,121 records, 52/s, 2 min left"),
        ({"backlog": {"perception": 40}, "rate": 40.0, "eta_s": 1}, "40 records"),
        ({"backlog": {"perception": 4000}, "rate": 0.0, "eta_s": None}, "4,000 records"),
    ],
)  # fmt: skip
def test_waiting_records(uplink: dict[str, Any], text: str) -> None:
    cell = _waiting(uplink)
    assert (cell if isinstance(cell, str) else cell.text) == text
