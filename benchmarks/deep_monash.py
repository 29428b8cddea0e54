"""One global `SpaceTimeForecaster` with its default settings for each of five Monash sets, beside the published tables.

The test part is the last horizon of every series, MASE is scaled by the seasonal naive error of the training part and averaged over
series, as published. The forecast is the median, which absolute errors ask for. Coverage of the 80 % interval is pooled over 20 origins,
one row apart, after a fit that ends before the first of them; where a series has too few rows, its origins are left out.
Each set is a line of ``results/deep_monash.csv``, and a set that has one is not run again.

    SSMTS_DATA=... python benchmarks/deep_monash.py [set ...]
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from harness import RESULTS, is_logged, log, logged, machine

from ssmts import SpaceTimeForecaster
from ssmts.datasets import load_monash
from ssmts.evaluation import mase

SETS = ("m3_monthly", "tourism_monthly", "m4_hourly", "nn5_daily", "solar_weekly")
DEEP = ("FFNN", "DeepAR", "N-BEATS", "WaveNet", "Transformer")
ORIGINS = 20
HORIZON = {"nn5_daily": 56}  # where the file does not say
LOG = RESULTS / "deep_monash.csv"


def fitted(train: pd.Series, horizon: int, threads: int | None) -> SpaceTimeForecaster:
    return SpaceTimeForecaster(horizon=horizon, random_state=0, n_threads=threads).fit(train)


def accuracy(data: pd.Series, horizon: int, season: int, threads: int | None) -> tuple[float, float]:
    """MASE of the last horizon, and the seconds of the fit."""
    test = data.groupby(level=0, sort=False).tail(horizon)
    train = data.drop(test.index)
    began = time.perf_counter()
    f = fitted(train, horizon, threads)
    seconds = time.perf_counter() - began
    median = f.forecast(horizon).quantile(0.5)
    return float(mase(test, median.reindex(test.index), y_train=train, season_length=season)), seconds


def coverage(data: pd.Series, horizon: int, threads: int | None) -> tuple[float, int]:
    """Share of values within the 80 % interval over all origins, and how many values."""
    reserved = horizon + ORIGINS - 1
    sizes = data.groupby(level=0, sort=False).size()
    data = data[data.index.get_level_values(0).isin(sizes.index[sizes >= 2 * horizon + reserved])]
    place = data.groupby(level=0, sort=False).cumcount(ascending=False)
    f = fitted(data[place >= reserved], horizon, threads)
    inside = seen = 0
    for origin in range(ORIGINS):
        bounds = f.forecast(horizon).interval(80)
        truth = data[(place < reserved - origin) & (place >= reserved - origin - horizon)].reindex(bounds.index)
        known = truth.notna()
        inside += int(((bounds["lo-80"] <= truth) & (truth <= bounds["hi-80"]) & known).sum())
        seen += int(known.sum())
        if origin + 1 < ORIGINS:
            f.update(data[place == reserved - origin - 1])
    return inside / seen, seen


def run(name: str, threads: int | None) -> None:
    dataset = load_monash(name)
    horizon = int(dataset.card.horizon or HORIZON[name])
    season = int(dataset.card.season_length or 1)
    found, seconds = accuracy(dataset.data, horizon, season, threads)
    covered, seen = coverage(dataset.data, horizon, threads)
    row = {
        "set": name,
        "series": dataset.data.index.get_level_values(0).nunique(),
        "horizon": horizon,
        "mase": f"{found:.3f}",
        "fit_seconds": f"{seconds:.0f}",
        "coverage_80": f"{covered:.3f}",
        "values": seen,
    }
    log(LOG, row)


def table() -> None:
    published = pd.read_csv(Path(os.environ["SSMTS_DATA"]) / "monash" / "mean_mase.csv").set_index("dataset")
    lines = [
        "# One global network a set, default settings",
        "",
        f"{datetime.date.today().isoformat()}. {machine()}.",
        "",
    ]
    lines += [
        "| set | series | horizon | MASE | median of published deep models | best of them | ETS | fit, s | 80 % interval covers |"
    ]
    lines += ["|---|" + "---|" * 8]
    for row in logged(LOG):
        figures = published.loc[row["set"]]
        deep = figures[list(DEEP)].astype(float)
        lines.append(
            f"| {row['set']} | {row['series']} | {row['horizon']} | **{row['mase']}** | {np.median(deep):.3f} | "
            f"{deep.min():.3f} ({deep.idxmin()}) | {float(figures['ETS']):.3f} | {row['fit_seconds']} | "
            f"{100 * float(row['coverage_80']):.1f} % |"
        )
    text = "\n".join(
        [*lines, "", "Published: Godahewa et al. (2021), Monash time series forecasting archive, mean MASE.", ""]
    )
    (RESULTS / "deep_monash.md").write_text(text)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    for each in arguments.sets:
        if not is_logged(LOG, {"set": each}):
            run(each, arguments.threads)
    table()
