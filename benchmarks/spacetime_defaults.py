"""What the defaults of `SpaceTimeForecaster` are chosen by: one argument changed at a time, on validation rows of seven data sets.

No test row is read. ETTh1 and ETTm1 (column OT), the weather of Jena (column OT) and eight exchange rates (a panel) are fitted to their
training rows and forecast 96 rows ahead from 20 times in their validation part; of three Monash sets the last horizon of every series is
put aside, and the rows before are forecast from 4 times. Trainings are short: at most 300 steps. MASE is that of `backtest`, of means. Each
run is a line of
``results/spacetime_defaults.csv``, and runs that have one are not run again.

    SSMTS_DATA=... python benchmarks/spacetime_defaults.py [set ...] [--threads 1]
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from harness import RESULTS, is_logged, log, machine

from ssmts import SpaceTimeForecaster, backtest
from ssmts.datasets import load_ett, load_monash

LOG = RESULTS / "spacetime_defaults.csv"
LONG, MONASH = ("ETTh1", "ETTm1", "exchange", "weather"), ("m3_monthly", "nn5_daily", "solar_weekly")
AHEAD = 96
SHORT = {"max_epochs": 6, "batches_per_epoch": 50}
CHANGES: list[dict[str, Any]] = [
    {},
    {"random_state": 1},
    {"normalization": "last"},
    {"normalization": "mean"},
    {"loss_weights": (1.0, 0.0, 0.0)},
    {"learning_rate": 1e-3},
    {"n_layers": 2},
    {"width": 16},
]


class Job(NamedTuple):
    """Series, numbered backwards from their last rows so that all end at the same time, and the windows to forecast."""

    y: pd.Series
    horizon: int
    n_windows: int
    step: int
    stride: int


def job(name: str) -> Job:
    """The rows before the test part of a set, and where its validation part begins."""
    if name in MONASH:
        card = load_monash(name)
        horizon = int(card.card.horizon or 56)
        series = [rows.to_numpy()[:-horizon] for _, rows in card.data.groupby(level=0, sort=False)]
        return Job(_panel(series), horizon, 4, max(1, horizon // 6), 1)
    if name.startswith("ETT"):
        month = 720 if name == "ETTh1" else 2880
        series, held = [load_ett(name).data["OT"].to_numpy()[: 16 * month]], 4 * month
    else:
        frame = _table(name)
        end, held = int(0.8 * len(frame)), int(0.8 * len(frame)) - int(0.7 * len(frame))
        series = [frame[column].to_numpy(float)[:end] for column in frame]
    stride = 4 if max(map(len, series)) > 30_000 else 1
    return Job(_panel(series), AHEAD, 20, (held - AHEAD) // 19, stride)


def _table(name: str) -> pd.DataFrame:
    folder = Path(os.environ["SSMTS_DATA"]) / "ltsf"
    if name == "exchange":
        return pd.read_csv(folder / "exchange_rate.csv").iloc[:, 1:]
    return pd.read_csv(folder / "weather.csv", encoding="latin-1")[["OT"]].replace(-9999, np.nan)


def _panel(series: list[np.ndarray]) -> pd.Series:
    return pd.concat({i: pd.Series(y, range(-len(y), 0)) for i, y in enumerate(series)}, names=["id", "row"])


def run(name: str, change: dict[str, Any], threads: int | None) -> None:
    y, horizon, n_windows, step, stride = job(name)
    f = SpaceTimeForecaster(horizon=horizon, stride=stride, n_threads=threads, **{"random_state": 0, **SHORT, **change})
    began = time.perf_counter()
    result = backtest(f, y, horizon=horizon, n_windows=n_windows, step=step, refit=False, level=80)
    seconds = time.perf_counter() - began
    found = result.scores().iloc[0]
    row = {
        "set": name,
        "change": _label(change),
        "mase": f"{found['mase']:.4f}",
        "coverage_80": f"{found['coverage-80']:.3f}",
        "seconds": f"{seconds:.0f}",
    }
    log(LOG, row)


def _label(change: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in change.items()) or "defaults"


def table() -> None:
    """MASE by set and change, and its geometric mean over the sets beside that of the defaults."""
    runs = pd.read_csv(LOG)
    mase = runs.pivot_table(index="change", columns="set", values="mase").reindex(columns=[*LONG, *MONASH])
    mase = mase.loc[[label for label in map(_label, CHANGES) if label in mase.index]]
    ratio = np.exp(np.log(mase / mase.loc["defaults"]).mean(axis=1))
    covered = runs[runs["change"] == "defaults"].set_index("set")["coverage_80"]
    lines = [
        "# One argument changed at a time, validation rows",
        "",
        f"{datetime.date.today().isoformat()}. {machine()}.",
        "MASE of the means, and its geometric mean over the sets as a multiple of that of the defaults.",
        "",
        "| change | " + " | ".join(mase.columns) + " | of defaults |",
        "|---|" + "---|" * (len(mase.columns) + 1),
    ]
    for label, row in mase.iterrows():
        lines.append(f"| {label} | " + " | ".join(f"{x:.3f}" for x in row) + f" | {ratio[label]:.3f} |")
    shares = " | ".join(f"{100 * covered[name]:.0f} %" if name in covered else "" for name in mase.columns)
    text = "\n".join([*lines, f"| *80 % intervals of the defaults hold* | {shares} | |", ""])
    (RESULTS / "spacetime_defaults.md").write_text(text)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=[*MONASH, *LONG])
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    for change in CHANGES:
        for each in arguments.sets:
            if not is_logged(LOG, {"set": each, "change": _label(change)}):
                run(each, change, arguments.threads)
    table()
