"""Decides whether a measured way is a fall: the trained verifier where its pack is there, a rule otherwise."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gateway.vision.falling.candidate import Measured
from gateway.vision.packs import Pack, PackError, pack_for

TASK = "fall-verification"
LEAST = 0.8  # of the verifier's answer: below it nothing is told


class Judge(Protocol):
    """Says how sure it is that this is a fall, 0 to 1; below 0.5 it is none."""

    def sure(self, measured: Measured) -> float:
        """Judge one way."""


class RuleJudge:
    """Free fall in so many words: speed grows as gravity and drag have it, over metres, by one steady thing."""

    def sure(self, measured: Measured) -> float:
        """0 when any limit is broken, else by how well it fits."""
        if not possible(measured):
            return 0.0
        told = measured.traits
        loose = told["misfit_share"] / 0.035
        free = told["gain"] > 0.9 and 3.0 < told["acceleration"] < 16.0
        # At its terminal speed a thing seems to sink evenly: then it has to be quick, and straight for long.
        sinking = told["speed_last"] > 6.0 and told["seconds"] > 0.8 and told["drop"] > 8.0 and told["gain"] > 0.2
        if not (free or sinking) or loose > 1.0 or told["crowd"] > 3.4:
            return 0.0
        if told["size_spread"] > 1.1:
            return 0.0
        return 0.55 + 0.4 * (1.0 - loose)


class Verifier:
    """The pack's network over the traits of a way."""

    def __init__(self, pack: Pack) -> None:
        """PackError when the pack is missing or not what its manifest says; ImportError without onnxruntime."""
        from gateway.vision.runtime import open_session

        self._session: Any = open_session(pack)

    def sure(self, measured: Measured) -> float:
        """The network's probability; 0 for what cannot be a fall at all."""
        if not possible(measured):
            return 0.0
        (answer,) = self._session.run(None, {"traits": measured.vector()[None]})
        sure = float(np.asarray(answer).reshape(-1)[0])
        return sure if sure >= LEAST else 0.0


def best_judge(folder: Path, providers: Sequence[str] = ()) -> tuple[Judge, PackError | None]:
    """The verifier of the packs in ``folder``, on the best of ``providers``; without it the rule, and why."""
    try:
        return Verifier(replace(pack_for(folder, TASK), providers=tuple(providers))), None
    except PackError as error:
        return RuleJudge(), error
    except ImportError:
        return RuleJudge(), PackError("onnxruntime is not installed; run scripts/setup", "models_missing")


def possible(measured: Measured) -> bool:
    """Wide limits beyond which nothing is a fall, whatever a model thinks."""
    told = measured.traits
    return (
        told["drop"] > 1.5
        and told["speed_last"] > 2.0
        and told["misfit_share"] < 0.12
        and told["acceleration"] > -4.0
        and told["inside"] > 0.5
        and told["height"] < 1.1
    )
