"""A fall with drag is found again from its points, and the wall from its corners."""

import numpy as np
import pytest

from gateway.settings.camera import FacadeSettings
from gateway.vision.falling.facade import Facade
from gateway.vision.falling.fit import fit_fall
from tests.vision.falling.drawn import FACADE, HEIGHT

TIMES = np.arange(0, 1.0, 0.04)


@pytest.mark.parametrize(("speed", "terminal"), [(0.0, 90.0), (3.0, 12.0), (8.0, 25.0), (-1.5, 40.0)])
def test_speed_and_drag_are_found(speed: float, terminal: float) -> None:
    start = np.arctanh(speed / terminal)
    drops = terminal**2 / 9.81 * np.log(np.cosh(9.81 * TIMES / terminal + start) / np.cosh(start))
    fit = fit_fall(TIMES, drops + np.random.default_rng(1).normal(0, 0.01, len(TIMES)), (1.0, 1.0))
    assert fit.speed == pytest.approx(speed, abs=0.8)
    assert fit.misfit < 0.08  # the grid of falls that are tried is no finer
    assert fit.plain > 3 * fit.misfit
    truth = terminal * np.tanh(9.81 * 0.96 / terminal + np.arctanh(speed / terminal))
    assert fit.speed_after(0.96) == pytest.approx(float(truth), rel=0.2)


def test_an_even_speed_is_no_better_as_a_fall() -> None:
    fit = fit_fall(TIMES, 3.0 * TIMES)
    assert fit.plain < 0.01
    assert abs(fit.acceleration) < 0.1
    assert fit.misfit > fit.plain


def test_the_facade_goes_there_and_back() -> None:
    facade = Facade(FacadeSettings.model_validate(FACADE), HEIGHT)
    places = [(0.1, 0.4), (0.5, 6.0), (0.9, 11.5)]
    assert facade.on_wall(facade.in_picture(places)) == pytest.approx(np.array(places), abs=1e-3)
    assert np.stack(facade.placed(*np.array(places).T), axis=1) == pytest.approx(facade.in_picture(places), abs=1e-3)
    assert (facade.floor(0.5), facade.floor(11.9), facade.floor(40)) == (1, 12, 12)
    assert (facade.column(0.1), facade.column(0.5), facade.column(0.99)) == (1, 2, 3)


def test_the_corners_tell_how_far_the_camera_stands() -> None:
    # 20 floors seen from 30 m at a height of 1.6 m, tilted by 41 degrees, with a focal length of 1,000 pixels.
    tilt, focal, away = np.radians(41), 1000.0, 30.0

    def pixel(x: float, z: float) -> list[float]:
        depth = away * np.cos(tilt) + (z - 1.6) * np.sin(tilt)
        rise = (z - 1.6) * np.cos(tilt) - away * np.sin(tilt)
        return [540 + focal * x / depth, 960 - focal * rise / depth]

    corners = {"ground": [pixel(-10, 0), pixel(10, 0)], "roof": [pixel(-10, 58), pixel(10, 58)]}
    facade = Facade(FacadeSettings.model_validate({"floors": 20, **corners}), 1920)
    assert facade.distance == pytest.approx(away, rel=0.03)
