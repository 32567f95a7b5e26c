"""Alarms and what they do."""

from typing import Annotated

from pydantic import Field

from gateway.contract import Scalar, Severity
from gateway.settings.base import Duration, Name, Table


class WriteAction(Table):
    """``{ write = "device.point", value = … }``: set a writable point when the alarm is raised."""

    write: str
    value: Scalar


class ClipAction(Table):
    """``{ clip = "camera", before = "10s", after = "10s" }``: keep what the camera saw around the alarm."""

    clip: Name
    before: Annotated[Duration, Field(ge=0, le=120)] = 10.0
    after: Annotated[Duration, Field(ge=0, le=120)] = 10.0


class AlarmSettings(Table):
    """``[[alarm]]``: raised when ``when`` holds for ``for``; cleared when ``clear`` holds, or ``when`` no more."""

    name: Name
    when: str
    for_: Annotated[Duration, Field(alias="for", ge=0)] = 0.0
    clear: str | None = None
    severity: Severity = "warning"
    text: dict[str, str] = {}
    do: tuple[WriteAction | ClipAction, ...] = ()
