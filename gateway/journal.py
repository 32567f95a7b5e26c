"""Where log lines go: the systemd journal with priorities (and fields, where python-systemd is), or readable stderr."""

import importlib
import logging
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

IDENTIFIER = "linli"
# syslog(3) priorities of the levels of logging.
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
DEBUG_PRIORITY = 7

# Libraries quote URLs and headers in their own messages, so the last way out is where secrets are struck.
SECRETS = (
    (re.compile(r"(\w+://)[^/\s@:]*:[^/\s@]*@"), r"\1***@"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{4,}", re.IGNORECASE), r"\1 ***"),
    (
        re.compile(r"\b((?:access_)?token|password|passwd|secret)(\s*[=:]\s*|%3D)(?!/)[^\s&\"',;]+", re.IGNORECASE),
        r"\1\2***",
    ),
)
# A device's answer, quoted in an error, must not move the technician's cursor.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), 127, *range(128, 160))}


def set_up(level: int = logging.INFO, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Send all logging of this process to the journal or to ``stream`` (standard error); call it once, at start."""
    stream = stream if stream is not None else sys.stderr
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler_for(stream, environ))
    root.setLevel(logging.WARNING)
    logging.getLogger(IDENTIFIER).setLevel(level)
    logging.captureWarnings(capture=True)


def handler_for(stream: TextIO, environ: Mapping[str, str]) -> logging.Handler:
    """Choose: fields into the journal, lines with a priority for it, or lines with the time for a person."""
    if not is_journal(stream, environ):
        return _on(stream, Readable())
    try:
        journal = importlib.import_module("systemd.journal")
    except ImportError:
        return _on(stream, Prioritised())
    handler: logging.Handler = journal.JournalHandler(SYSLOG_IDENTIFIER=IDENTIFIER)
    handler.setFormatter(Struck("%(message)s"))
    return handler


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether ``stream`` is connected to the journal: JOURNAL_STREAM names its device and inode (systemd.exec)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def strike(text: str) -> str:
    """Return ``text`` without what looks like a secret and without control characters."""
    for pattern, replacement in SECRETS:
        text = pattern.sub(replacement, text)
    return text.translate(CONTROLS)


class Struck(logging.Formatter):
    """Formats as usual, then strikes secrets and control characters, from tracebacks too."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        return strike(super().format(record))


class Readable(Struck):
    """``2026-11-21 08:25:30+08:00 warning linli.core: …`` for a terminal or a file."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(level)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """The record's time in this machine's zone, with its offset from UTC."""
        return datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(" ", "seconds")

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        record.level = record.levelname.lower()
        return super().format(record)


class Prioritised(Struck):
    """``<4>core: …`` as sd-daemon(3) reads it; every line of a traceback has the priority of its record."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        priority = next((number for level, number in PRIORITIES if record.levelno >= level), DEBUG_PRIORITY)
        name = record.name.removeprefix(f"{IDENTIFIER}.")
        return "\n".join(f"<{priority}>{line}" for line in f"{name}: {super().format(record)}".split("\n"))


def _on(stream: TextIO, formatter: logging.Formatter) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    return handler
