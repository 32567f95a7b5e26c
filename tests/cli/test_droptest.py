"""`linli camera droptest` before a real daemon: told live, as a test, into the records and into the report."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("av", reason="the extra `vision` is not installed")

from gateway.cli.camera import camera
from gateway.cli.client import find
from tests.cli.falls import CAMERA, Drawn
from tests.schemas import validate
from tests.site import Daemon, free_port, head

ALARM = """
[[alarm]]
name = "something-fell"
when = "event(tower, fall)"
severity = "critical"
text = { zh = "高空抛物", en = "Something fell" }
"""


@pytest.fixture
def daemon(tmp_path: Path, shown: Drawn) -> Iterator[Daemon]:
    """A camera that sees a still wall, again and again, until its file is replaced by one with a fall."""
    (tmp_path / "view.mp4").write_bytes(shown.quiet.read_bytes())
    config, api = tmp_path / "linli.toml", free_port()
    tower = CAMERA.format(url=tmp_path / "view.mp4", masks="[]").replace("purpose", "repeat = true\npurpose")
    config.write_text(head(tmp_path / "state", api) + tower + ALARM)
    running = Daemon(config, api).start()
    try:
        yield running
    finally:
        assert running.stop() == 0, running.tail()


def run(*words: str) -> Result:
    return CliRunner().invoke(camera, words)


def online(daemon: Daemon, reason: str = "models_missing") -> None:
    until = time.monotonic() + 60
    while daemon.get("/v1/status")["cameras"][0]["reason"] != reason:
        assert time.monotonic() < until, daemon.tail()
        time.sleep(0.1)


def test_a_throw_is_told_as_a_test_and_calls_nobody(daemon: Daemon, shown: Drawn, tmp_path: Path) -> None:
    online(daemon)
    where = ("-c", str(daemon.config))
    asked = [sys.executable, "-m", "gateway", "camera", "droptest", "tower", "--floors", "10", "--each", "60", *where]
    trying = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    daemon.pull("disposal", 1)
    online(daemon, "droptest")
    second = run("droptest", "tower", *where)
    assert second.exit_code == 1
    assert "runs already" in second.output
    (tmp_path / "next.mp4").write_bytes(shown.fall.read_bytes())
    (tmp_path / "next.mp4").replace(tmp_path / "view.mp4")
    said, complaints = trying.communicate(timeout=90)
    assert trying.returncode == 0, complaints + daemon.tail()
    assert "Throw 1 of 1 from floor 10: now." in said
    assert "beware: no model pack for fall-verification" in said
    assert "told: 1 of 1 throw" in said
    assert "  told: " in said
    assert ", floor 10, " in said or ", floor 9" in said or ", floor 11" in said
    assert "floor right" in said or "off by" in said

    fall = next(one for one in daemon.pull("perception", 1) if one["type"] == "linli.falling_object.v1")
    assert validate(json.dumps(fall))["data"]["test"] is True
    raised, cleared = (validate(json.dumps(one)) for one in daemon.pull("alarm", 2)[:2])
    assert (raised["data"]["test"], cleared["data"]["test"]) == (True, True)
    assert (raised["severitytext"], raised["data"]["text"]["en"]) == ("warning", "TEST: Something fell")
    began, ended = (validate(json.dumps(one)) for one in daemon.pull("disposal", 2)[:2])
    assert (began["data"]["state"], ended["data"]["state"], ended["data"]["told"]) == ("began", "ended", 1)
    assert ended["data"]["throws"][0]["record"] == fall["id"]
    online(daemon)
    states = [one["data"]["reason"] for one in daemon.pull("management", 4) if one["type"] == "linli.camera.state.v1"]
    assert states[:4] == ["starting", "models_missing", "droptest", "models_missing"]
    report = run("report", "tower", *where)
    assert report.exit_code == 0, report.output
    assert "told: 1 of 1 throw" in report.stdout
    told = json.loads(run("report", "tower", *where, "--json").stdout)
    assert told["drop_test"]["throws"][0]["from"] == 10

    records = len(daemon.pull("disposal", 2))
    for json_too in ((), ("--json",)):
        none = run("droptest", "tower", "--end", *where, *json_too)
        assert (none.exit_code, "no drop test of camera tower runs" in none.output) == (1, True)
    assert len(daemon.pull("disposal", 2)) == records
    assert json.loads(run("report", "tower", *where, "--json").stdout)["drop_test"]["told"] == 1
    port = daemon.port
    page = run("calibrate", "tower", *where).stdout
    assert f"open http://127.0.0.1:{port}/#calibrate=tower" in page
    assert f"ssh -L {port}:localhost:{port} HOST" in page
    # What is not told fails; what is wrong is refused.
    missed = run("droptest", "tower", "--throws", "1", "--each", "1", *where, "--json")
    assert missed.exit_code == 1, missed.output
    assert json.loads(missed.stdout)["throws"] == [{"from": None, "record": None}]
    asked = [sys.executable, "-m", "gateway", "camera", "droptest", "tower", *where]
    broken = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    online(daemon, "droptest")
    broken.send_signal(signal.SIGINT)
    said, complaints = broken.communicate(timeout=60)
    assert (broken.returncode, "0 of 0 throws" in said) == (1, True), complaints
    # Whoever throws hears of another's --end, and is asked for no throw that would be a real fall.
    theirs = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    online(daemon, "droptest")
    assert run("droptest", "tower", "--end", *where).exit_code == 0
    said, complaints = theirs.communicate(timeout=60)
    assert theirs.returncode == 1
    assert "the drop test of tower was ended by " in complaints
    assert "throw nothing more" in complaints
    online(daemon)
    find(daemon.config, None).ask("drop-test", camera="tower", seconds=60)  # by one who is gone before it ends
    online(daemon, "droptest")
    assert run("droptest", "tower", "--end", *where).output == "the drop test of tower is over\n"
    online(daemon)
    for words, why in (
        (("towel",), "did you mean"),
        (("tower", "--floors", "3,x"), "expected up to"),
        (("tower", "--floors", "3,4", "--throws", "3"), "give one of them"),
        (("tower", "--floors", "3,13"), "the facade of tower has 12 floors"),
        (("tower", "--throws", "20", "--each", "120"), "more than 30 minutes"),
    ):
        refused = run("droptest", *words, *where)
        assert refused.exit_code != 0
        assert why in refused.output
