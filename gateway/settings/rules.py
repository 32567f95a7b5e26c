"""Alarms and what they do."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from gateway.contract import Severity
from gateway.settings.base import Duration, MisfitError, Name, Table, Value

# Tags that no TOML key can be mistaken for: they turn up in the paths of validation errors.
WRITE, CLIP = "<write>", "<clip>"


class WriteAction(Table):
    """``{ write = "device.point", value = … }``: set a writable point when the alarm is raised.

    Without ``until`` the point stays so. With it, ``else`` is written when the alarm lets go of the point. ``for``
    makes it a pulse: so long, then ``else``, whatever becomes of the alarm.
    """

    write: str = Field(description="the point to write, DEVICE.POINT", examples=["siren.output"])
    value: Value = Field(description="the value to write, in the point's unit")
    until: Literal["cleared", "acknowledged"] | None = Field(
        default=None, description="when the alarm lets go of the point; without it, never"
    )
    for_: Duration | None = Field(
        default=None, alias="for", ge=0.1, le=3600, description="a pulse: how long the value stays", examples=["1s"]
    )
    else_: Value | None = Field(
        default=None, alias="else", description="what is written then; a switch needs none: it goes the other way"
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        ends = [key for key, value in (("until", self.until), ("for", self.for_)) if value is not None]
        if self.else_ is not None and not ends:
            raise MisfitError('has else without until; add until = "cleared" or "acknowledged", or for', "else")
        if len(ends) > 1:
            raise MisfitError("has until and for; a pulse ends by itself, so take one of them away", "for")
        if ends and self.after is None:
            raise MisfitError(f"has {ends[0]}, so it also needs else: what to write then", ends[0])
        if self.for_ is not None and self.after == self.value:
            raise MisfitError("has the same value before and after, so nothing would happen", "else")
        return self

    @property
    def after(self) -> float | int | bool | str | None:
        """What is written when the alarm lets go of the point, or the pulse is over."""
        if self.else_ is None and isinstance(self.value, bool):
            return not self.value
        return self.else_


class ClipAction(Table):
    """``{ clip = "camera", before = "10s", after = "10s" }``: keep what the camera saw around the alarm."""

    clip: Name = Field(description="the camera", examples=["north-gate"])
    before: Duration = Field(default=10.0, ge=0, le=120, description="how much to keep from before the alarm")
    after: Duration = Field(default=10.0, ge=0, le=120, description="how much to keep from after the alarm")


def _which(value: object) -> str | None:
    keys = set(value) if isinstance(value, dict) else set(type(value).model_fields) if isinstance(value, Table) else ()
    return WRITE if "write" in keys else CLIP if "clip" in keys else None


Action = Annotated[
    Annotated[WriteAction, Tag(WRITE)] | Annotated[ClipAction, Tag(CLIP)],
    Discriminator(
        _which,
        custom_error_type="action",
        custom_error_message='expected { write = "device.point", value = … } or { clip = "camera" }',
    ),
]


class AlarmSettings(Table):
    """``[[alarm]]``: raised when ``when`` holds for ``for``; cleared when ``clear`` holds, or ``when`` no more."""

    name: Name = Field(description="the alarm's name", examples=["sump-high"])
    when: str = Field(
        min_length=1,
        description="the condition that raises it",
        examples=["sump-level.level > 2.5", "stale(sump-level.level, 5m)", "event(north-gate, deny)"],
    )
    for_: Duration = Field(default=0.0, alias="for", ge=0, description="how long the condition must hold")
    clear: str | None = Field(
        default=None,
        min_length=1,
        description="the condition that clears it; without it, `when` not holding",
        examples=["sump-level.level < 2.2"],
    )
    severity: Severity = Field(default="warning", description="how bad it is")
    text: dict[str, str] = Field(
        default={}, description="what people read, by language", examples=[{"en": "Sump level high"}]
    )
    do: tuple[Action, ...] = Field(default=(), description="what happens on the spot when it is raised")
