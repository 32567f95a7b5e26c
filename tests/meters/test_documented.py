"""What docs/meters.md shows works as it is shown."""

import re
from pathlib import Path

from gateway.plan import load_plan

PROJECT = Path(__file__).resolve().parents[2]


def test_the_examples_load(tmp_path: Path):
    devices, points = re.findall(r"```toml\n(.*?)```", (PROJECT / "docs/meters.md").read_text("utf-8"), re.S)
    electric, _, volume = points.partition("[device.points.volume]")
    first, _, second = devices.rpartition("[[device]]")
    path = tmp_path / "linli.toml"
    path.write_text(
        f'[gateway]\nid = "gate-1"\nstate = "{tmp_path}"\n'
        f"{first}{electric}[[device]]{second}[device.points.volume]{volume}",
        encoding="utf-8",
    )
    plan = load_plan(path)
    assert plan.warnings == ()
    assert {device.name: len(device.spec.points) for device in plan.devices} == {
        "house-4-meter": 12, "house-4-water": 5,
    }  # fmt: skip
