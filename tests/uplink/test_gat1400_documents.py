"""The guide says what is: every key, and a block that can be used as it stands."""

import re
import tomllib
from pathlib import Path

from gateway.settings.core import Gat1400Settings, ViewedCameraSettings

GUIDE = (Path(__file__).parents[2] / "docs" / "platform" / "gat1400.md").read_text(encoding="utf-8")


def test_every_key_is_in_the_guide() -> None:
    table = GUIDE.partition("| key |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(row.split("|")[1] for row in table.splitlines()[2:])))
    assert named == set(Gat1400Settings.model_fields) - {"insecure"}
    assert "`insecure = true`" in table
    for key in ViewedCameraSettings.model_fields:
        assert re.search(rf"^{key} = ", GUIDE, re.MULTILINE), key


def test_the_defaults_are_those_of_the_guide() -> None:
    for key, default in re.findall(r"^\| `([a-z_]+)` \| `?([^`|]+?)`? \|", GUIDE, re.MULTILINE):
        field = Gat1400Settings.model_fields.get(key)
        if field is None or default == "–":
            assert field is None or field.default is None or field.is_required()
            continue
        found = {True: "true", False: "false", 60: '"60s"', 20: '"20s"', 1 << 20: '"1MiB"', "number": '"number"'}
        assert default in (found.get(field.default), str(field.default), "device_id"), key


def test_the_block_is_a_configuration() -> None:
    block = GUIDE.partition("```toml\n")[2].partition("```")[0]
    settings = Gat1400Settings.model_validate(tomllib.loads(block)["uplink"]["gat1400"])
    assert settings.camera["north-gate"].heading == "east"
