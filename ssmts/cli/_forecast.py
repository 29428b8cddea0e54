"""``ssmts forecast``: the rows after the last one."""

from __future__ import annotations

import argparse
from typing import Any

from ._tables import draw, read_frame, read_series, write

__all__ = ["forecaster", "run"]


def run(options: argparse.Namespace) -> int:
    """Forecast a file."""
    y = read_series(read_frame(options.file), target=options.target, time=options.time, id=options.id)
    model = forecaster(options.model, options.season, options)
    forecast = model.fit(y).forecast(options.horizon, level=options.level)
    if options.plot:
        draw(forecast.plot, options.plot)
    if options.save:
        from ..persist import save

        save(model, options.save)
    write(forecast.to_frame(), options.output)
    return 0


def forecaster(model: str, season: list[float] | None, options: argparse.Namespace) -> Any:
    """The forecaster of a name; the seasonal naive one takes the first season, in whole rows."""
    import ssmts

    if model == "naive":
        return ssmts.Naive(freq=options.freq)
    if model == "structural":
        length = None if not season else season[0] if len(season) == 1 else tuple(season)
        return ssmts.StructuralForecaster(season_length=length, freq=options.freq)
    if not season:
        return options.refuse_usage("seasonal_naive needs a --season")
    return ssmts.SeasonalNaive(season_length=round(season[0]), freq=options.freq)
