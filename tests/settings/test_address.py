"""Addresses as they stand in a configuration."""

import pytest

from gateway.settings.address import host_port, is_loopback


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8470", ("127.0.0.1", 8470)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert host_port(text, any_port=True) == expected


@pytest.mark.parametrize(
    "text", ["", "8470", ":8470", "127.0.0.1", "127.0.0.1:", "::1:80", "a:65536", "[::1]", "a:x", "[::1:80", "[a]:80"]
)
def test_wrong_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        host_port(text, any_port=True)


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.1", "gateway.lan")] == [False] * 4


def test_only_what_listens_may_leave_the_port_to_the_system() -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        host_port("127.0.0.1:0")
