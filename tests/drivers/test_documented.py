"""The examples of docs/devices.md are whole configurations that can be used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.plan import load_plan

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/devices.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split('"')[5])
def test_an_example_of_the_documentation_can_be_used(example: str, tmp_path: Path):
    if "mbus" in example:
        pytest.importorskip("meterbus")
    path = tmp_path / "linli.toml"
    head = f'[gateway]\nid = "gate-1"\nstate = "{tmp_path}"\n[[line]]\nname = "port-1"\nserial = "/dev/null"\n'
    path.write_text(head + example, "utf-8")
    assert len(load_plan(path).drivers) == 1


def test_a_site_loads_only_the_protocols_that_it_speaks():
    code = (
        "import sys, drivers; [drivers.find(name) for name in ('nmea', 'line', 'frames', 'mbus')]; "
        "print([name for name in ('pymodbus', 'meterbus', 'serial') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
