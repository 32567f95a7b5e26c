"""What docs/privacy.md promises of plates, with the daemon as a process: they stand in passages and nowhere else."""

import json
import time
from pathlib import Path
from typing import Any

from gateway.cli.demo.clip import LANE_ENTER, LANE_LINE, LEAVING, PLATE
from gateway.commands import VERBS
from gateway.uplink import inbox
from gateway.vision.grammar import masked
from tests.site import Daemon, free_port, head

NEVER_SEEN = "京B67890"


def configuration(tmp_path: Path, clip: Path, api: int) -> Path:
    (tmp_path / "allow.csv").write_text(f"plate,name\n{PLATE},house 4\n{NEVER_SEEN},house 5\n")
    path = tmp_path / "linli.toml"
    line = [list(point) for point in LANE_LINE]
    path.write_text(f"""{head(tmp_path / "state", api)}
[[camera]]
name = "north"
url = "{clip}"
pace = "free"
purpose = "who comes in"
[camera.vehicles]
lanes = [{{ name = "main", line = {line}, enter = "{LANE_ENTER}" }}]
lists = {{ allow = "{tmp_path / "allow.csv"}" }}
spaces = 5
repeat = "10m"
[[alarm]]
name = "resident"
when = "event(north, allow)"
severity = "warning"
text = {{ en = "A resident" }}
""")
    return path


def passed(daemon: Daemon) -> list[dict[str, Any]]:
    """All of perception, once both cars of the clip have passed."""
    until = time.monotonic() + 60
    while True:
        records = daemon.pull("perception", 1, 60)
        if sum(record["type"] == "linli.vehicle.passage.v1" for record in records) == 2:
            return records
        assert time.monotonic() < until, daemon.tail()
        time.sleep(0.2)


def test_a_plate_stands_in_its_passages_and_nowhere_else(demo_clip: Path, models: Path, tmp_path: Path) -> None:
    state, api = tmp_path / "state", free_port()
    daemon = Daemon(configuration(tmp_path, demo_clip, api), api).start()
    try:
        records = passed(daemon)
        others = {stream: daemon.pull(stream, 1) for stream in ("management", "alarm")}
        status, metrics = daemon.get("/v1/status"), daemon.metrics()
        paths = daemon.get("/openapi.json")["paths"]
        shown = daemon.linli("status", "--state", str(state)).stdout
    finally:
        assert daemon.stop() == 0, daemon.tail()
    passages = [record for record in records if record["type"] == "linli.vehicle.passage.v1"]
    assert [passage["data"]["plate"]["text"] for passage in passages] == [PLATE, LEAVING]
    assert [passage["data"]["list"] for passage in passages] == ["allow", None]
    cameras = [record for record in records if record["source"].endswith("/north")]
    assert {record["purpose"] for record in cameras if "parking" not in record["type"]} == {"who comes in"}
    assert any(record["type"] == "linli.parking.occupancy.v1" for record in records)
    assert others["alarm"][0]["subject"] == "resident"

    rest = [record for record in records if record not in passages]
    spoken = json.dumps([rest, others, status], ensure_ascii=False) + metrics + shown + daemon.log.read_text()
    spoken += " ".join(str(path) for path in state.rglob("*"))
    for plate in (PLATE, LEAVING, NEVER_SEEN):
        assert plate not in spoken
        assert plate[1:] not in spoken
    (camera,) = status["cameras"]
    assert [one["plate"] for one in camera["last_passages"]] == [masked(LEAVING), masked(PLATE)]

    assert not [path for path in paths if any(word in path for word in ("vehicle", "plate", "evidence", "falls"))]

    # Of what was seen only the pictures that the passages name are kept, and nothing of a list is copied.
    named = {passage["data"]["picture"]["sha256"] for passage in passages}
    assert {path.stem for path in (state / "media").rglob("*.*")} == named
    assert not [path for path in state.rglob("*") if path.is_file() and NEVER_SEEN.encode() in path.read_bytes()]


def test_personal_data_is_asked_for_on_the_machine_alone() -> None:
    """MQTT cannot look it up, take it out or erase it; of HTTP the test above says so."""
    personal = {verb for verb in VERBS if verb.startswith("vehicles-")} | {"evidence", "falls-export"}
    assert len(personal) == 4
    assert not personal & inbox.VERBS
