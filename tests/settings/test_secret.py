"""Secrets come from files or systemd credentials, without the line end."""

from pathlib import Path

import pytest

from gateway.contract import ConfigError
from gateway.settings.secret import is_public, read_secret, unreadable


def test_the_line_end_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" with spaces \r\n")
    assert read_secret(path) == " with spaces "


def test_a_bare_name_is_a_credential_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broker").write_text("from the folder")
    assert read_secret(Path("broker")) == "from the folder"
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "broker").write_text("from systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert read_secret(Path("broker")) == "from systemd"
    assert read_secret(tmp_path / "broker") == "from the folder"
    assert unreadable(Path("broker"), credential=True) is None


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), (b"", "empty"), (b"\xff\xfe", "UTF-8")])
def test_no_secret_is_an_error_that_names_the_file(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as refused:
        read_secret(path)
    assert str(path) in str(refused.value)


def test_a_secret_for_everybody_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0o600)
    assert not is_public(path)
    path.chmod(0o644)
    assert is_public(path)
    assert "no file" in (unreadable(tmp_path / "none") or "")
