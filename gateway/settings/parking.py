"""What is made of passages: gates that open, zones that must stay free."""

from typing import Literal, Self

from pydantic import Field, model_validator

from gateway.settings.base import Duration, MisfitError, Name, Polygon, Table
from gateway.settings.rules import WriteAction


class GateAction(WriteAction):
    """``open``: set a point for a moment when a plate of the allow list is read surely, before the car has passed."""

    again: Duration = Field(
        default=10.0, ge=0, le=86_400, description="the same plate does not open this gate again so soon"
    )
    way: Literal["any", "toward", "away"] = Field(
        default="any", description="only for vehicles that come nearer in the picture, or only for those that leave"
    )

    @model_validator(mode="after")
    def _a_pulse(self) -> Self:
        if self.for_ is None:
            raise MisfitError('needs for = "1s": a gate is opened for a moment, and closes by itself', "")
        return self


class ZoneSettings(Table):
    """``zones``: where nothing may stand for long; a fire lane, a hydrant, an entrance."""

    name: Name = Field(description="the zone's name", examples=["fire-lane"])
    area: Polygon = Field(description="its outline on the ground, at least three [x, y] in pixels")
    after: Duration = Field(
        default=180.0, ge=5, le=86_400, description="how long something may stand there", examples=["3m"]
    )
    least: float = Field(
        default=0.15, gt=0, le=1, description="share of the zone that a vehicle covers at least; less is no vehicle"
    )
    kind: Literal["fire-lane", "no-parking"] = Field(default="no-parking", description="why it must stay free")
