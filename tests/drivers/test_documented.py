"""The examples of docs/devices.md are whole configurations that can be used."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import drivers
from gateway.plan import load_plan
from gateway.settings import Profile
from tests.drivers.test_vectors import Registers, spec_of

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/devices.md").read_text("utf-8"), re.DOTALL)
EXAMPLES = [block for block in BLOCKS if block.startswith("[[device]]")]
HEAD = '[gateway]\nid = "gate-1"\nstate = "{state}"\n[[line]]\nname = "port-1"\nserial = "/dev/null"\n'


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split('"')[5])
def test_an_example_of_the_documentation_can_be_used(example: str, tmp_path: Path):
    if "mbus" in example:
        pytest.importorskip("meterbus")
    path = tmp_path / "linli.toml"
    path.write_text(HEAD.format(state=tmp_path) + example, "utf-8")
    assert len(load_plan(path).drivers) == 1


async def test_the_documented_profile_of_ones_own_can_be_used_and_answers_its_vector(tmp_path: Path):
    written = "".join(block for block in BLOCKS if not block.startswith("[[device]]"))
    path = tmp_path / "linli.toml"
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "own.toml").write_text(written, "utf-8")
    path.write_text(
        f'{HEAD.format(state=tmp_path)}[[device]]\nname = "pit"\nline = "port-1"\nprofile = "own"\n', "utf-8"
    )
    assert len(load_plan(path).drivers) == 1
    profile = Profile.model_validate(tomllib.loads(written))
    (vector,) = profile.vector
    device = drivers.find(profile.driver).make(spec_of(profile, 1))
    values = await device.read(Registers(vector.registers), frozenset(vector.expect))
    assert {name: value.value for name, value in values.items()} == vector.expect


def test_a_site_loads_only_the_protocols_that_it_speaks():
    code = (
        "import sys, drivers; [drivers.find(name) for name in ('nmea', 'line', 'frames', 'mbus')]; "
        "print([name for name in ('pymodbus', 'meterbus', 'serial') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
