"""Decides whether a measured way is a fall: the trained verifier where its pack is there, a rule otherwise."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gateway.vision.falling.candidate import TRAITS, Measured
from gateway.vision.packs import Pack, PackError, pack_for

TASK = "fall-verification"
# Metres from the first sight, and how sure the verifier has to be until a thing came down so far: then it may be less.
ENOUGH = ((6.0, 0.99), (math.inf, 0.98))
LEAST = ENOUGH[-1][1]


class Judge(Protocol):
    """Says how sure it is that a way is a fall, 0 to 1, and how sure is enough."""

    def sure(self, measured: Measured) -> float:
        """Judge one way."""

    def enough(self, age: float) -> float:
        """How sure it has to be ``age`` seconds after the eighth sight for the fall to be told."""


class RuleJudge:
    """Free fall in so many words: speed grows as gravity and drag have it, over metres, by one steady thing."""

    def sure(self, measured: Measured) -> float:
        """0 when any limit is broken, else by how well it fits."""
        told = measured.traits
        loose = told["misfit_share"] / 0.035
        free = told["gain"] > 0.9 and 3.0 < told["acceleration"] < 16.0
        # At its terminal speed a thing seems to sink evenly: then it has to be quick, and straight for long.
        sinking = told["speed_last"] > 6.0 and told["seconds"] > 0.8 and told["drop"] > 8.0 and told["gain"] > 0.4
        if not (free or sinking) or loose > 1.0 or told["crowd"] > 3.4:
            return 0.0
        if told["size_spread"] > 1.1:
            return 0.0
        return 0.55 + 0.4 * (1.0 - loose)

    def enough(self, age: float) -> float:
        """Half, after it had time; nothing at once."""
        return 2.0 if age < 0.2 else 0.9 if age < 0.55 else 0.5


class Verifier:
    """The pack's network over the traits of a way."""

    def __init__(self, pack: Pack) -> None:
        """PackError when the pack is missing or not what its manifest says; ImportError without onnxruntime."""
        from gateway.vision.runtime import open_session

        self._session: Any = open_session(pack)
        takes = self._session.get_inputs()[0].shape[-1]
        if takes != len(TRAITS):
            raise PackError(
                f"model pack {pack.name} takes {takes} traits of a fall, and this version measures {len(TRAITS)}; "
                "the pack of this version came with the gateway, install it again",
                "models_refused",
            )

    def sure(self, measured: Measured) -> float:
        """The network's probability, less what more it would need to be told after so short a way (see ``ENOUGH``)."""
        (answer,) = self._session.run(None, {"traits": measured.vector()[None]})
        needed = next(least for until, least in ENOUGH if measured.traits["drop"] < until)
        return max(0.0, float(np.asarray(answer).reshape(-1)[0]) - (needed - LEAST))

    def enough(self, age: float) -> float:
        """The same at any age: the way fallen says more."""
        return LEAST


def best_judge(folder: Path, providers: Sequence[str] = ()) -> tuple[Judge, PackError | None]:
    """The verifier of the packs in ``folder``, on the best of ``providers``; without it the rule, and why."""
    try:
        return Verifier(replace(pack_for(folder, TASK), providers=tuple(providers))), None
    except PackError as error:
        return RuleJudge(), error
    except ImportError:
        return RuleJudge(), PackError("onnxruntime is not installed; run scripts/setup", "models_missing")
