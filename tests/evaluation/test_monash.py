"""The protocol of the Monash archive: simple exponential smoothing reaches its published figures."""

import numpy as np
import pandas as pd
import pytest

from ssmts.datasets import load_monash
from ssmts.evaluation import mase, smape

# Godahewa et al. (2021), "Monash time series forecasting archive", mean MASE and mean sMAPE over series, column SES.
PUBLISHED = {
    "m3_monthly": (1.091, 16.22),
    "hospital": (0.813, 17.98),
    "fred_md": (0.617, 10.65),
    "solar_weekly": (1.215, 24.59),
    "m4_hourly": (11.607, 42.95),
}
# Many of these series have several optima, among them one near alpha = 0, of which the published optimiser took others.
TOLERANCE = {"m3_monthly": (0.001, 0.03), "hospital": (0.004, 0.09)}


def last_levels(rows, alphas):
    """Last level of simple exponential smoothing of each row of ``rows`` (NaN after its end), of the least squared error.

    The errors are linear in the first level, so the best one is known for each alpha on the grid.
    """
    a, b = np.zeros((len(alphas), len(rows))), np.ones((len(alphas), len(rows)))  # level = a + b first_level
    yy, yb, bb = (np.zeros_like(a) for _ in range(3))
    for y in rows.T:
        known = ~np.isnan(y)
        error = np.where(known, y - a, 0.0)
        weight = np.where(known, b, 0.0)
        yy, yb, bb = yy + error**2, yb + error * weight, bb + weight**2
        a, b = a + alphas[:, None] * error, np.where(known, (1 - alphas[:, None]) * b, b)
    first = yb / bb
    best = np.argmin(yy - yb * first, axis=0), np.arange(len(rows))
    return (a + b * first)[best]


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_of_simple_exponential_smoothing(data_folder, name):
    data, card = load_monash(name)
    test = data.groupby(level="series", sort=False).tail(card.horizon)
    train = data.drop(test.index)
    rows = [y.to_numpy() for _, y in train.groupby(level="series", sort=False)]
    padded = np.full((len(rows), max(map(len, rows))), np.nan)
    for row, y in zip(padded, rows):
        row[: len(y)] = y
    levels = last_levels(padded, np.linspace(1e-4, 0.9999, 101))
    forecast = pd.Series(np.repeat(levels, card.horizon), test.index)
    scaled = mase(test, forecast, y_train=train, season_length=card.season_length)
    percent = smape(test, forecast, by="series").mean()
    close = TOLERANCE.get(name, (0.0005, 0.005))
    assert scaled == pytest.approx(PUBLISHED[name][0], abs=close[0])
    assert percent == pytest.approx(PUBLISHED[name][1], abs=close[1])


@pytest.mark.data
def test_published_smape_of_the_naive_forecast(data_folder):
    """M4 competition, official table of results: sMAPE of Naive, hourly series, 43.003."""
    data, card = load_monash("m4_hourly")
    test = data.groupby(level="series", sort=False).tail(card.horizon)
    last = data.drop(test.index).groupby(level="series", sort=False).last()
    forecast = pd.Series(np.repeat(last.to_numpy(), card.horizon), test.index)
    assert smape(test, forecast, by="series").mean() == pytest.approx(43.003, abs=1e-3)
