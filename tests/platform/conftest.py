"""Fixtures for the platform's side: the programs of scripts/fleet, and a private PostgreSQL where there is one."""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "scripts" / "fleet_parts"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running PostgreSQL of this session's own."""
    import tempfile

    from cluster import MissingError, Postgres

    pytest.importorskip("psycopg", reason="psycopg is not installed: scripts/setup installs it")
    # Not pytest's own folder: PostgreSQL runs as another user, and a socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="linli-pg-") as folder:
        try:
            postgres = Postgres(Path(folder))
        except MissingError as missing:
            warnings.warn(f"{missing} is missing: the tests with a real PostgreSQL are SKIPPED", stacklevel=2)
            pytest.skip(f"{missing} is not installed; `apt-get install postgresql` to run this test")
        postgres.start()
        yield postgres
        postgres.stop()


@pytest.fixture
def dsn(cluster: Any) -> str:
    """An empty database with the platform's tables."""
    import psycopg

    from tests.platform.conftest import PROJECT

    with psycopg.connect(cluster.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        connection.execute((PROJECT / "docs/platform/postgresql.sql").read_text(encoding="utf-8"))
    return cluster.dsn
