"""Runs schemathesis, a program of its own, against the OpenAPI document that a running daemon gives out."""

import shutil
import subprocess
import sys
from pathlib import Path

from prey import SEEDED, TOKEN, Prey

from gateway.contract import STREAMS

MISSING = "schemathesis is not installed: .venv/bin/pip install -e '.[fuzz]' (wheels only, nothing is compiled)"

# No schema can say which cursors exist in this store: a well-formed one may be beyond the end (400), of another stream
# (400) or of another epoch (410). Everything else that fits the document must be taken. A wait of any length is taken,
# too, and kept: a minute each would be the whole run, so tests/api try the long ones.
CONFIGURATION = """
[dictionaries.cursors]
values = [{cursors}]
[dictionaries.pictures]
values = ["{picture}"]
[dictionaries.waits]
values = [0, 0.01]
[parameters]
"query.after" = {{ dictionary = "cursors", probability = 0.5 }}
"body.cursor" = {{ dictionary = "cursors", probability = 0.5 }}
"query.wait" = {{ dictionary = "waits", probability = 1.0 }}
"path.sha256" = {{ dictionary = "pictures", probability = 0.5 }}
[[operations]]
include-path-regex = "^/v1/streams/"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "410"]
"""


def schemathesis() -> str | None:
    """Where the program is: beside this Python, or on the PATH."""
    beside = Path(sys.executable).with_name("schemathesis")
    return str(beside) if beside.exists() else shutil.which("schemathesis")


def attack(program: str, prey: Prey, folder: Path, examples: int, seed: int) -> int:
    """Run every check on every operation; its summary goes to the terminal. Returns its exit code, 0 for no failure."""
    cursors = ", ".join(f'"{prey.epoch}.{stream}.{number}"' for stream in STREAMS for number in (0, 1, SEEDED // 2))
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.format(cursors=cursors, picture=prey.picture), encoding="utf-8")
    # By its address schemathesis would leave out the operation that gives the document.
    document = folder / "openapi.json"
    document.write_bytes(prey.description())
    command = [program, "--config-file", str(configuration), "run", str(document)]
    command += ["--url", f"http://127.0.0.1:{prey.port}"]
    command += ["--header", f"Authorization: Bearer {TOKEN}", "--checks", "all", "--max-examples", str(examples)]
    command += ["--seed", str(seed), "--request-timeout", "20", "--continue-on-failure", "--no-color"]
    command += ["--generation-database", "none"]
    return subprocess.run(command, cwd=folder, check=False).returncode
