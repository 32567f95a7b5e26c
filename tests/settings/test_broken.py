"""Every broken configuration gives the messages of the golden file, word for word.

``LINLI_ACCEPT=1`` rewrites the golden file; read the difference as the technician who gets the messages.
"""

import os
import re
from pathlib import Path

import pytest

from gateway.contract import ConfigError
from gateway.plan import load_plan

BROKEN = Path(__file__).parent / "broken"
GOLDEN = BROKEN / "golden.txt"
FILES = sorted(BROKEN.glob("*.toml"))
JARGON = re.compile(r"pydantic|Input should|validation error|Traceback|NoneType|\b(dict|tuple|str|int|literal)\b", re.I)


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        load_plan(path)
    return refused.value.problems


def test_messages_are_the_golden_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    text = "\n".join("\n".join([f"# {file.name}", *problems(Path(file.name)), ""]) for file in FILES)
    if os.environ.get("LINLI_ACCEPT"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_message_names_file_and_line_and_speaks_plainly(file: Path) -> None:
    for problem in problems(file):
        match = re.match(r"(?P<file>.+?\.toml):(?P<line>[1-9]\d*): \S", problem)
        assert match, problem
        assert int(match["line"]) <= max(1, len(Path(match["file"]).read_text().splitlines()))
        assert not JARGON.search(problem), problem
        assert "s3cr3t" not in problem, problem


def test_there_are_enough() -> None:
    assert len(FILES) >= 20
