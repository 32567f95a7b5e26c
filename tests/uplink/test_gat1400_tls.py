"""TLS to a view library: verified by default, client certificates, and nothing said before it is sure who listens."""

from pathlib import Path
from typing import Any

import pytest

from tests.uplink.gat1400_platform import ViewLibrary
from tests.uplink.gat1400_site import PassageStore, jpeg, make, running
from tests.uplink.test_http_push import until
from tests.uplink.test_http_tls import server_tls
from tests.uplink.test_tls import papers

__all__ = ["papers"]


async def deliver(
    folder: Path, papers: Path, name: str = "server", *, client: bool = False, **options: Any
) -> tuple[PassageStore, dict[str, Any], ViewLibrary]:
    """Try to deliver one passage until that is done or refused."""
    store = PassageStore(folder)
    await store.passage(jpeg())
    async with ViewLibrary(server_tls(papers, name, client=client)) as library:
        uplink = make(store, 0, url=f"https://localhost:{library.port}", **options)
        async with running(uplink):
            await until(lambda: bool(library.vehicles) or uplink.view()["state"] == "offline")
            view = uplink.view()
    return store, view, library


async def test_the_right_authority_is_trusted(tmp_path: Path, papers: Path) -> None:
    _, view, library = await deliver(tmp_path, papers, ca_file=papers / "right-ca.crt")
    assert (library.serials(), library.wrong, library.unregistrations) == ([1], [], 1)
    assert view["insecure"] is False


@pytest.mark.parametrize("options", [{}, {"insecure": True}, {"ca_file": "wrong-ca.crt"}])
async def test_who_is_not_trusted_hears_nothing(tmp_path: Path, papers: Path, options: dict[str, Any]) -> None:
    if "ca_file" in options:
        options = {"ca_file": papers / options["ca_file"]}
    store, view, library = await deliver(tmp_path, papers, **options)
    assert library.http.asked == []
    assert "not trusted" in view["reason"]
    (told,) = store.told("linli.uplink.refused.v1")
    assert (told["uplink"], told["stream"]) == ("gat1400", None)


async def test_a_wrong_name_is_refused(tmp_path: Path, papers: Path) -> None:
    _, view, library = await deliver(tmp_path, papers, "elsewhere", ca_file=papers / "right-ca.crt")
    assert library.http.asked == []
    assert "ostname mismatch" in view["reason"]


async def test_a_client_certificate(tmp_path: Path, papers: Path) -> None:
    proof = {"cert_file": papers / "client.crt", "key_file": papers / "client.key"}
    _, _, library = await deliver(tmp_path, papers, client=True, ca_file=papers / "right-ca.crt", **proof)
    assert library.serials() == [1]
