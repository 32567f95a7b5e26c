"""Every fall that is thought of when the floor is told: how far down and away it is at any time after its release."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from gateway.vision.falling.fit import GRAVITY

TERMINALS = (4.6, 5.4, 6.4, 7.6, 9.2, 11.2, 14.0, 18.0, 24.0, 34.0, 54.0, 100.0)  # m/s
DOWNWARD = (-1.5, -0.5, 0.5)  # m/s at the release
OUTWARD = (0.0, 1.3, 2.6, 3.9)  # m/s away from the wall, which a camera below sees as rising
LONGEST = 8.0  # seconds after the release, at most, that a thing is first followed
STEP = 0.04  # seconds
FINE = 4  # steps of the integration in one of the table
MORE = 1.6  # seconds that the table goes on, for the track itself
Values = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Thrown:
    """A table of falls: ``outward`` m/s at the release; for every ``STEP`` metres ``down``.

    ``carried`` is how far drag lets a thing come that leaves with a metre a second, sideways or outwards.
    """

    outward: Values
    down: Values
    carried: Values

    def down_after(self, fall: Places, seconds: Values) -> Values:
        """Metres below the place of the release."""
        return _read(self.down, fall, seconds)

    def carried_after(self, fall: Places, seconds: Values) -> Values:
        """Metres by each metre a second that it was thrown with."""
        return _read(self.carried, fall, seconds)


@cache
def thrown() -> Thrown:
    """Work the table out, once: quadratic drag along the whole way, as for everything that tumbles."""
    terminals, speeds, outward = (part.ravel() for part in np.meshgrid(TERMINALS, DOWNWARD, OUTWARD, indexing="ij"))
    moments = round((LONGEST + MORE) / STEP)
    down, carried = np.zeros((2, len(terminals), moments))
    kept = np.ones(len(terminals))
    fine = STEP / FINE
    for moment in range(1, moments):
        down[:, moment], carried[:, moment] = down[:, moment - 1], carried[:, moment - 1]
        for _ in range(FINE):
            drag = GRAVITY * np.hypot(speeds, outward * kept) / terminals**2
            speeds = speeds + (GRAVITY - drag * speeds) * fine
            kept = kept - drag * kept * fine
            down[:, moment] += speeds * fine
            carried[:, moment] += kept * fine
    return Thrown(outward, down, carried)


def _read(table: Values, fall: Places, seconds: Values) -> Values:
    place = np.clip(seconds / STEP, 0, table.shape[1] - 1.001)
    whole = place.astype(np.intp)
    at = fall * table.shape[1] + whole
    flat = table.ravel()
    before = flat[at]
    return np.asarray(before + (flat[at + 1] - before) * (place - whole), np.float64)
