"""Log lines are readable for a person, prioritised for the journal, and carry no secret anywhere."""

import io
import logging
import os
import sys
import time
import types
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TextIO

import pytest

from gateway.journal import Prioritised, Readable, handler_for, set_up, strike


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, linli = root.handlers[:], root.level, logging.getLogger("linli").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("linli").setLevel(linli)
    logging.captureWarnings(capture=False)


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "stderr").open("w+") as file:
        yield file


def as_journal(stream: TextIO) -> dict[str, str]:
    status = os.fstat(stream.fileno())
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def test_a_person_gets_time_level_and_part() -> None:
    out = io.StringIO()
    set_up(stream=out, environ={})
    logging.getLogger("linli.core").warning("pump %s", "on")
    assert out.getvalue().endswith(" warning linli.core: pump on\n")
    assert out.getvalue()[:4].isdecimal()


def test_libraries_are_quiet_and_level_is_ours() -> None:
    out = io.StringIO()
    set_up(stream=out, environ={})
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("linli.core").debug("detail")
    assert out.getvalue() == ""
    set_up(logging.DEBUG, out, {})
    logging.getLogger("linli.core").debug("detail")
    assert out.getvalue().count("detail") == 1


def test_the_journal_gets_priorities_on_every_line(stream: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "systemd", None)
    set_up(stream=stream, environ=as_journal(stream))
    log = logging.getLogger("linli.store")
    log.info("ready")
    log.critical("alarm")
    try:
        raise OSError("disk")
    except OSError:
        log.exception("failed")
    stream.seek(0)
    lines = stream.read().splitlines()
    assert lines[:3] == ["<6>store: ready", "<2>store: alarm", "<3>store: failed"]
    assert len(lines) > 4
    assert all(line.startswith("<3>") for line in lines[2:])
    assert lines[-1] == "<3>OSError: disk"


def test_another_stream_than_the_journals_is_for_people(stream: TextIO, tmp_path: Path) -> None:
    with (tmp_path / "other").open("w") as other:
        assert isinstance(handler_for(other, as_journal(stream)).formatter, Readable)
    assert isinstance(handler_for(io.StringIO(), {"JOURNAL_STREAM": "1:2"}).formatter, Readable)


def test_fields_where_python_systemd_is(stream: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    class JournalHandler(logging.Handler):
        def __init__(self, **fields: str) -> None:
            super().__init__()
            self.fields = fields

    module = types.ModuleType("systemd.journal")
    module.JournalHandler = JournalHandler
    monkeypatch.setitem(sys.modules, "systemd", types.ModuleType("systemd"))
    monkeypatch.setitem(sys.modules, "systemd.journal", module)
    handler = handler_for(stream, as_journal(stream))
    assert isinstance(handler, JournalHandler)
    assert handler.fields == {"SYSLOG_IDENTIFIER": "linli"}
    assert handler.format(logging.makeLogRecord({"msg": "password=abc"})) == "password=***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open rtsp://linli:s3cret@10.0.0.5/stream1", "open rtsp://***@10.0.0.5/stream1"),
        ("mqtts://:pw@broker:8883", "mqtts://***@broker:8883"),
        ("Authorization: Bearer abcdef.123", "Authorization: Bearer ***"),
        ("GET /v1/status?token=abc&x=1", "GET /v1/status?token=***&x=1"),
        ("password: hunter2, user: x", "password: ***, user: x"),
        ("password_file = /etc/linli/secrets/camera-1", "password_file = /etc/linli/secrets/camera-1"),
        ("token = /run/credentials/token", "token = /run/credentials/token"),
        ("answer \x1b[2J\x07 and \x9b0m", "answer \\x1b[2J\\x07 and \\x9b0m"),
        ("集水井水位高 3.1 m", "集水井水位高 3.1 m"),
        ("tcp 192.168.10.20:502", "tcp 192.168.10.20:502"),
    ],
)
def test_secrets_and_control_characters_are_struck(text: str, expected: str) -> None:
    assert strike(text) == expected


def test_secrets_in_a_traceback_are_struck() -> None:
    try:
        raise OSError("cannot open rtsp://a:b@c/d")
    except OSError:
        record = logging.makeLogRecord({"msg": "lost", "exc_info": sys.exc_info(), "levelno": 40, "name": "linli.x"})
    assert "a:b@" not in Prioritised().format(record)
    assert "rtsp://***@c/d" in Prioritised().format(record)


def test_a_forged_line_cannot_choose_its_priority(stream: TextIO) -> None:
    record = logging.makeLogRecord({"msg": "answer %s", "args": ("\n<0>forged",), "levelno": 20, "name": "linli.x"})
    assert Prioritised().format(record) == "<6>x: answer \n<6><0>forged"


@pytest.mark.parametrize(
    ("zone", "shown"), [("UTC", "+00:00"), ("Asia/Shanghai", "+08:00"), ("Asia/Kathmandu", "+05:45")]
)
def test_a_line_for_people_says_how_far_its_time_is_from_utc(
    zone: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = logging.LogRecord("linli.core", logging.INFO, "", 0, "it runs", None, None)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        line = Readable().format(record)
    finally:
        monkeypatch.undo()
        time.tzset()
    stamp, _, rest = line.partition(" info ")
    assert (stamp[-6:], rest) == (shown, "linli.core: it runs")
    assert abs(datetime.fromisoformat(stamp).timestamp() - record.created) < 1
