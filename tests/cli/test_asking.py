"""The commands that ask the daemon, against a real API on a real Unix socket."""

import json
import re
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import linli
from gateway.cli.alarms import alarm_table
from gateway.cli.client import find
from gateway.cli.output import plain, value
from gateway.cli.status import summary
from gateway.contract import Draft, LinkError, PointValue
from tests.cli.served import Served
from tests.desk import EPOCH, View, device_view, uplink_view


def fill(served: Served, count: int) -> None:
    for number in range(count):
        data = {"points": {"level": {"value": number / 2, "unit": "m", "quality": "good"}}}
        served.desk.store.add(Draft("perception", "linli.reading.v1", "sump", "sump", 1, data, f"id-{number}"))


# ---- status


def test_status_of_a_healthy_gateway(served: Served) -> None:
    done = served.run("status")
    assert done.exit_code == 0
    assert "desk-1, 花园里12号" in done.output
    assert "No problems: 2 of 2 devices online." in done.output
    assert "No alarms (1 configured)." in done.output
    assert "level 1.82 m" in done.output
    assert "\x1b" not in done.output


def test_status_says_what_is_wrong_before_everything_else(served: Served) -> None:
    gone = device_view("sump", "offline", "timeout", "no answer for 1 s; check its power")
    served.desk.sources["sump"].shown = gone
    served.desk.uplinks.append(View(uplink_view("offline", "connection refused")))
    served.desk.level(3.0)
    lines = served.run("status").output.splitlines()
    at = {word: next(n for n, line in enumerate(lines) if word in line) for word in
          ("2 problems", "uplink mqtt is offline", "device sump is offline", "sump-high", "Devices")}  # fmt: skip
    assert list(at.values()) == sorted(at.values())
    assert lines[at["device sump is offline"] + 1].strip() == ("since 21 Nov 20:16 (2 h 10 min)")
    assert lines[at["device sump is offline"] + 2].strip() == "do: check its power; to try it: linli read sump"
    assert any("linli ack sump-high" in line for line in lines)


def test_status_shows_how_lines_are_and_what_stations_are_not_asked_for(served: Served) -> None:
    state = served.desk.commands.status()
    line, device = state["lines"][0], state["devices"][0]
    line |= {"mean_ms": 12.4, "worst_ms": 80.0, "troubles": [{"reason": "noise", "sentence": "noise on line bus"}]}
    refused = {"count": 3, "peer": "10.0.0.9", "sentence": "it is in no network of allow", "time": state["time"]}
    state["lines"] = [line, {**line, "name": "stations", "connections": ["10.0.0.1"], "refused": refused}]
    device |= {"unnamed": {"count": 2, "last": "component 1/1/3/18"}, "clock_off_s": -90.0}
    text = "\n".join(row for block in summary(state) for row in plain(block))
    assert "12, 80 ms" in text
    assert "noise" in text
    assert "1 connected" in text
    assert "stations refused 3 calls, last 10.0.0.9" in text
    assert "it is in no network of allow" in text
    assert "spoke 2 times of what no point names, last of component 1/1/3/18" in text
    assert f"the clock of {device['name']} is 90 s behind" in text


def test_status_as_json_is_the_state(served: Served) -> None:
    state = json.loads(served.run("status", "--json").output)
    assert (state["gateway"], state["epoch"]) == ("desk-1", EPOCH)


# ---- read


def test_read_a_device_in_aligned_columns(served: Served) -> None:
    done = served.run("read", "pump")
    heading, *rows = done.output.splitlines()
    assert heading.split() == ["POINT", "VALUE", "QUALITY", "AGE"]
    assert {row.index("good" if "good" in row else "uncertain") for row in rows} == {heading.index("QUALITY")}
    assert "\x1b" not in done.output, "a device may not send control sequences to a terminal"


def test_read_one_point_prints_the_value_alone(served: Served) -> None:
    assert served.run("read", "sump", "level").output == "1.82 m\n"


def test_read_one_bad_point_fails(served: Served) -> None:
    served.desk.sources["sump"].values = {"level": PointValue(None, "bad", "timeout")}
    done = served.run("read", "sump", "level")
    assert (done.exit_code, done.output) == (1, "bad (timeout)\n")
    assert json.loads(served.run("read", "sump", "level", "--json").output)["points"]["level"]["reason"] == "timeout"
    assert served.run("read", "sump").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["read", "smup"], 'did you mean "sump"'),
        (["read", "sump", "x"], "no point x"),
        (["ack", "sump-high"], "not raised"),
    ],
)
def test_a_refusal_is_one_sentence(served: Served, arguments: list[str], words: str) -> None:
    done = served.run(*arguments)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert words in done.output
    assert "Traceback" not in done.output


def test_a_device_that_fails_says_why(served: Served) -> None:
    served.desk.sources["sump"].fails = LinkError("/dev/ttyUSB0 is gone; plug it in again", "unplugged")
    assert "plug it in again" in served.run("read", "sump").output


# ---- alarms


def test_alarms_and_acknowledgement(served: Served) -> None:
    assert served.run("alarms").output == "No alarms.\n"
    served.desk.level(3.0)
    (heading, row) = served.run("alarms").output.splitlines()
    (occurrence,) = (alarm["occurrence"] for alarm in json.loads(served.run("alarms", "--json").output))
    assert heading.split() == ["ALARM", "RAISED", "STATE", "SEVERITY", "OCCURRENCE", "INPUTS", "TEXT"]
    first = rf"sump-high  \d\d \w{{3}} [\d:]{{5}} \(\d s\)  unacknowledged  major     {occurrence[-8:]} "
    assert re.match(first, row)
    assert "sump.level 3 m" in row
    assert row.endswith("水位高 / High")
    assert occurrence not in row
    assert occurrence in served.run("alarms", "--full").output
    assert occurrence[-8:] not in served.run("status").output  # the name is enough there
    done = served.run("ack", occurrence[-8:], "--note", "pump was off")
    assert done.output == "sump-high acknowledged (it is active still)\n"
    (alarm,) = json.loads(served.run("alarms", "--json").output)
    assert (alarm["state"], alarm["note"]) == ("acknowledged", "pump was off")
    assert alarm["by"].startswith("uid:")


def test_alarms_all_shows_the_normal_ones_too(served: Served) -> None:
    rows = served.run("alarms", "--all").output.splitlines()
    assert [row.split()[:4] for row in rows if "sump-high" in row] == [["sump-high", "normal", "(input", "bad)"]]


# ---- records


def test_records_of_all_pages_as_stored(served: Served) -> None:
    fill(served, 2500)
    done = CliRunner().invoke(linli, ["records", "perception", "--json", "--state", str(served.state)])
    assert done.stdout_bytes == b"".join(record.json + b"\n" for record in served.desk.store.streams["perception"])
    assert done.stderr == f"next cursor: {EPOCH}.perception.2500\n"


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--limit", "2"], ["id-0", "id-1"]),
        (["--after", f"{EPOCH}.perception.3"], ["id-3", "id-4"]),
        (["--last", "1"], ["id-4"]),
        (["--last", "0"], []),
        (["--last", "99", "--limit", "1"], ["id-0"]),
    ],
)
def test_records_in_part(served: Served, options: list[str], ids: list[str]) -> None:
    fill(served, 5)
    done = served.run("records", "perception", "--json", *options)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ids


def test_records_for_people(served: Served) -> None:
    fill(served, 2)
    assert (
        served.run("records", "perception").stdout.splitlines()[1]
        == "2026-11-21 08:25:30+08:00 2 reading sump level 0.5 m"
    )


def test_records_follow_sees_what_comes(served: Served) -> None:
    fill(served, 1)
    timer = threading.Timer(0.3, fill, (served, 2))
    timer.start()
    done = served.run("records", "perception", "--follow", "--json", "--limit", "3")
    timer.join()
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["alrm"], 2, "alarm"),
        (["alarm", "--after", "nonsense"], 1, "malformed cursor"),
        (["alarm", "--after", "old.alarm.1"], 1, "another epoch"),
        (["alarm", "--after", f"{EPOCH}.alarm.1", "--last", "2"], 2, "exclude each other"),
    ],
)
def test_records_refused(served: Served, options: list[str], code: int, words: str) -> None:
    done = served.run("records", *options)
    assert done.exit_code == code
    assert words in done.output


# ---- watch


def test_watch_prints_one_table_after_the_other_in_a_pipe(served: Served) -> None:
    served.desk.level(3.0)
    done = served.run("watch", "--count", "2", "--every", "0.1")
    assert done.exit_code == 0
    assert done.output.count("DEVICE") == 2
    assert done.output.count("SEVERITY") == 2
    assert "\x1b" not in done.output


def test_watch_as_json_is_one_line_a_look(served: Served) -> None:
    lines = served.run("watch", "--count", "3", "--every", "0.1", "--json").output.splitlines()
    assert [json.loads(line)[0]["name"] for line in lines] == ["sump"] * 3


def test_watch_ends_cleanly_at_ctrl_c(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pressed)
    done = served.run("watch")
    assert (done.exit_code, done.output.count("DEVICE")) == (0, 1)


# ---- where the daemon is


def test_the_configuration_names_the_socket(served: Served, tmp_path: Path) -> None:
    config = tmp_path / "linli.toml"
    config.write_text(f'[gateway]\nid = "x"\nstate = "{served.state}"\nnonsense = [1, "a"]\n')
    assert CliRunner().invoke(linli, ["status", "-c", str(config)]).exit_code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no such file"),
        ("[gateway\n", "is no TOML"),
        ("[gateway]\nstate = 3\n", "gateway.state is no text"),
        ('[gateway]\nstate = "/nowhere/at/all"\n', "the gateway is not running"),
    ],
)
def test_no_daemon_there(tmp_path: Path, text: str | None, words: str) -> None:
    config = tmp_path / "linli.toml"
    if text is not None:
        config.write_text(text)
    done = CliRunner().invoke(linli, ["status", "-c", str(config)])
    assert done.exit_code == 1
    assert words in done.output


def test_a_socket_nobody_listens_at(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "linli.sock"))
    done = CliRunner().invoke(linli, ["status", "--state", str(tmp_path)])
    assert done.exit_code == 1
    assert "sudo systemctl start linli" in done.output


def test_a_daemon_without_a_disk_is_found_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    spare = tmp_path / "spare.sock"
    monkeypatch.setattr("gateway.cli.client.spare_socket", lambda _state: spare)
    with socket.socket(socket.AF_UNIX) as here, socket.socket(socket.AF_UNIX) as left:
        here.bind(str(spare))
        assert find(None, tmp_path).path == spare
        left.bind(str(tmp_path / "linli.sock"))
        assert find(None, tmp_path).path == spare, "nobody listens at the usual one"
        left.listen()
        assert find(None, tmp_path).path == tmp_path / "linli.sock"


def test_somebody_who_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", refuse)
    done = CliRunner().invoke(linli, ["status", "--state", str(tmp_path)])
    assert done.exit_code == 1
    assert "usermod -aG linli" in done.output


def test_a_peer_that_hangs_up(tmp_path: Path) -> None:
    import socket

    def hang_up(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        peer.close()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "linli.sock"))
        listener.listen()
        thread = threading.Thread(target=hang_up, args=(listener,))
        thread.start()
        done = CliRunner().invoke(linli, ["status", "--state", str(tmp_path)])
        thread.join(10)
    assert done.exit_code == 1
    assert "hung up" in done.output


def test_a_text_that_is_empty_can_be_seen() -> None:
    assert value({"value": "", "unit": "", "quality": "good"}) == '""'
    assert value({"value": "", "unit": "", "quality": "uncertain"}) == '"" ?'


def test_an_alarm_without_a_text_of_its_own_shows_its_condition() -> None:
    row = {
        "name": "fire-at-gate", "severity": "critical", "state": "unacknowledged", "active": True, "blind": {},
        "raised_at": "2026-11-22T08:00:00.000+08:00", "text": {}, "when": 'panel.where != ""',
        "points": {"panel.where": {"value": "", "unit": "", "quality": "good"}},
    }  # fmt: skip
    ((*_, inputs, text),) = alarm_table([row], "2026-11-22T08:01:00.000+08:00").rows
    assert (inputs, text) == ('panel.where ""', 'panel.where != ""')
    ((*_, text),) = alarm_table([{**row, "text": {"zh": "火警"}}], "2026-11-22T08:01:00.000+08:00").rows
    assert text == "火警"
