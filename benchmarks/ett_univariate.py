"""ETTh1 and ETTm1, column OT, 96 to 720 rows ahead: SpaceTime beside NLinear, the seasonal naive forecast and a structural model.

Protocol: train 12, validation 4, test 4 months of 30 days; z-scores of the training rows; every test window counts, and may look back
over the border; the mean runs over windows and rows ahead. Choices are made on validation rows (`choose`); the test rows are looked at
once, by three seeds. Each run is a line of ``results/ett_univariate.csv``, and runs that have one are not run again.

    SSMTS_DATA=... python benchmarks/ett_univariate.py [choose | run | table] [--set ETTh1]
"""

from __future__ import annotations

import argparse
import datetime
import time
from typing import Any

import numpy as np
import torch
from harness import RESULTS, is_logged, log, logged, machine
from torch import nn

from ssmts import SpaceTimeForecaster, StructuralForecaster
from ssmts.datasets import load_ett
from ssmts.deep.scaling import normalise
from ssmts.deep.train import TrainOptions, train
from ssmts.deep.windows import Batch, Windows

HORIZONS = (96, 192, 336, 720)
SEEDS = (0, 1, 2)
MONTH = {"ETTh1": 720, "ETTm1": 2880}
SEASON = {"ETTh1": 24, "ETTm1": 96}
LOG = RESULTS / "ett_univariate.csv"
CHOICES = RESULTS / "ett_univariate_choices.csv"
PUBLISHED = {"ETTh1": (0.053, 0.069, 0.081, 0.080), "ETTm1": (0.026, 0.039, 0.052, 0.073)}  # NLinear, look-back 336

# What every candidate has in common; the rest is chosen on validation rows.
FIXED: dict[str, Any] = {
    "horizon": 720,
    "loss": "mse",
    "loss_weights": (1, 0, 0),
    "average": 0.95,
    "batches_per_epoch": 60,
}
CANDIDATES: list[dict[str, Any]] = [
    {"context_length": length, "learning_rate": rate, "normalization": kind, "max_epochs": epochs, "width": width}
    for length, rate, kind, epochs, width in (
        (336, 1e-3, "mean", 3, 16),
        (336, 1e-3, "last", 3, 16),
        (336, 2e-3, "last", 6, 16),
        (720, 4e-3, "mean", 3, 16),
        (720, 4e-3, "last", 3, 16),
        (720, 2e-3, "last", 6, 16),
        (720, 2e-3, "last", 6, 32),
    )
]


class NLinear(nn.Module):
    """Zeng et al. (2023): one linear map of a window from which its last value is taken, per horizon."""

    def __init__(self, context: int, horizon: int) -> None:
        super().__init__()
        self.line = nn.Linear(context, horizon)

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        last = context[..., -1:]
        return self.line(context - last) + last


def data(name: str) -> tuple[np.ndarray, int]:
    """z-scores of OT, and the rows of a month."""
    y = load_ett(name).data["OT"].to_numpy()
    month = MONTH[name]
    y = y[: 20 * month]
    return (y - y[: 12 * month].mean()) / y[: 12 * month].std(), month


def windows(y: np.ndarray, context: int, horizon: int, low: int, high: int, stride: int = 1) -> Windows:
    """Windows whose rows ahead lie from row `low` to before row `high`."""
    return Windows([y[:high, None]], None, context, horizon, first=max(low, context), stride=stride)


def errors(forecast: Any, asked: Windows) -> tuple[float, float]:
    """Mean squared and mean absolute error over all windows and rows ahead."""
    square = absolute = 0.0
    for start in range(0, len(asked), 256):
        batch = asked.batch(np.arange(start, min(start + 256, len(asked))))
        e = forecast(batch).double() - batch.target.double()
        square, absolute = square + e.square().sum().item(), absolute + e.abs().sum().item()
    n = len(asked) * asked.horizon
    return square / n, absolute / n


def spacetime(name: str, seed: int, choice: dict[str, Any]) -> SpaceTimeForecaster:
    """A network fitted to the training months, its epoch chosen on the validation months."""
    y, month = data(name)
    stride = 1 if name == "ETTh1" else 4
    f = SpaceTimeForecaster(**FIXED | choice, stride=stride, validation=4 * month, random_state=seed, n_threads=THREADS)
    return f.fit(y[: 16 * month])


def answer(f: SpaceTimeForecaster) -> Any:
    """What a fitted network says of windows on the scale of the benchmark, for any horizon."""
    centre, spread = float(f.centre_[0, 0]), float(f.spread_[0, 0])

    def forecast(batch: Batch) -> torch.Tensor:
        scaled = normalise((batch.context - centre) / spread, f.normalization)
        with torch.no_grad():
            ahead = f.network_(scaled.values, scaled.observed, None, batch.target.shape[-1], in_context=False).ahead[
                :, 0
            ]
        return (scaled.location + scaled.scale * ahead) * spread + centre

    return forecast


def choose(name: str) -> None:
    """Mean squared error of each candidate on validation rows, two seeds."""
    y, month = data(name)
    for seed in SEEDS[:2]:
        for choice in CANDIDATES:
            key = {"set": name, "seed": seed, **{k: str(v) for k, v in choice.items()}}
            if is_logged(CHOICES, key):
                continue
            began = time.perf_counter()
            f = spacetime(name, seed, choice)
            stride = month // 720 * 4
            found = [
                errors(answer(f), windows(y, f.context_length_, h, 12 * month, 16 * month, stride))[0] for h in HORIZONS
            ]
            log(
                CHOICES,
                key | {"validation_mse": f"{np.mean(found):.5f}", "seconds": f"{time.perf_counter() - began:.0f}"},
            )


def chosen(name: str) -> dict[str, Any]:
    """The candidate with the least mean validation error."""
    rows = [row for row in logged(CHOICES) if row["set"] == name]

    def score(choice: dict[str, Any]) -> float:
        mine = [float(r["validation_mse"]) for r in rows if all(r[k] == str(v) for k, v in choice.items())]
        return float(np.mean(mine)) if mine else np.inf

    return min(CANDIDATES, key=score)


def run(name: str) -> None:
    """The test rows, once for each seed."""
    y, month = data(name)
    test = {h: (16 * month, 20 * month, h) for h in HORIZONS}
    choice = chosen(name)
    for seed in SEEDS:
        if not all(is_logged(LOG, key_of(name, "SpaceTime", seed, h)) for h in HORIZONS):
            began = time.perf_counter()
            f = spacetime(name, seed, choice)
            seconds = time.perf_counter() - began
            for low, high, h in test.values():
                record(
                    name, "SpaceTime", seed, h, errors(answer(f), windows(y, f.context_length_, h, low, high)), seconds
                )
        for low, high, h in test.values():
            if not is_logged(LOG, key_of(name, "NLinear", seed, h)):
                began = time.perf_counter()
                network = nlinear(y, month, h, seed)
                seconds = time.perf_counter() - began
                with torch.no_grad():
                    record(
                        name,
                        "NLinear",
                        seed,
                        h,
                        errors(lambda b, n=network: n(b.context), windows(y, 336, h, low, high)),
                        seconds,
                    )
    naive(name, y, test)
    structural(name, y, month, test)


def nlinear(y: np.ndarray, month: int, horizon: int, seed: int) -> NLinear:
    """Look-back 336 and batches of 32 as published; the height of the learning rate is the best of three on validation rows."""

    def loss(net: nn.Module, batch: Batch) -> torch.Tensor:
        return (net(batch.context) - batch.target).square().mean()

    known, held = windows(y, 336, horizon, 336, 12 * month), windows(y, 336, horizon, 12 * month, 16 * month, 4)
    best: tuple[float, NLinear | None] = (np.inf, None)
    for rate in (5e-3, 1e-3, 2e-4):
        torch.manual_seed(seed)
        network = NLinear(336, horizon)
        options = TrainOptions(rate, 0.0, 32, 10, 100_000, 3, seed=seed, n_threads=THREADS)
        history = train(network, loss, known, held, options)
        if min(history.validation) < best[0]:
            best = min(history.validation), network
    assert best[1] is not None
    return best[1]


def naive(name: str, y: np.ndarray, test: dict[int, tuple[int, int, int]]) -> None:
    """The value of the same time a day before."""
    season = SEASON[name]
    for low, high, h in test.values():
        if not is_logged(LOG, key_of(name, "SeasonalNaive", 0, h)):

            def forecast(batch: Batch) -> torch.Tensor:
                return batch.context[..., torch.arange(batch.target.shape[-1]) % season]

            record(name, "SeasonalNaive", 0, h, errors(forecast, windows(y, season, h, low, high)), 0.0)


def structural(name: str, y: np.ndarray, month: int, test: dict[int, tuple[int, int, int]]) -> None:
    """Damped trend and a season of a day, fitted once to the training months and updated row by row through the test months."""
    if all(is_logged(LOG, key_of(name, "Structural", 0, h)) for h in HORIZONS):
        return
    began = time.perf_counter()
    f = StructuralForecaster(season_length=SEASON[name]).fit(y[: 12 * month])
    f.update(y[12 * month : 16 * month])
    total = {h: np.zeros(3) for h in HORIZONS}
    for row in range(16 * month, 20 * month - min(HORIZONS) + 1):
        ahead = f.predict(max(HORIZONS))
        for _, high, h in test.values():
            if row + h <= high:
                e = ahead[:h] - y[row : row + h]
                total[h] += (e @ e, np.abs(e).sum(), h)
        f.update(y[row : row + 1])
    for h, (square, absolute, n) in total.items():
        record(name, "Structural", 0, h, (square / n, absolute / n), time.perf_counter() - began)


# the log ------------------------------------------------------------------------------------------------------------


def key_of(name: str, model: str, seed: int, horizon: int) -> dict[str, Any]:
    return {"set": name, "model": model, "seed": seed, "horizon": horizon}


def record(name: str, model: str, seed: int, horizon: int, found: tuple[float, float], seconds: float) -> None:
    figures = {"mse": f"{found[0]:.5f}", "mae": f"{found[1]:.5f}", "seconds": f"{seconds:.0f}"}
    log(LOG, key_of(name, model, seed, horizon) | figures)


def table() -> None:
    """What was found, as a table in ``results/ett_univariate.md``."""
    rows = logged(LOG)
    lines = [
        "# Univariate ETT: column OT, all test windows",
        "",
        f"{datetime.date.today().isoformat()}. {machine()}.",
        "",
    ]
    for name in MONTH:
        if not any(row["set"] == name for row in rows):
            continue
        choice = ", ".join(f"{k} {v}" for k, v in chosen(name).items())
        lines += [
            f"## {name}",
            "",
            f"SpaceTime: {choice} (of validation rows), one network for all four horizons.",
            "",
        ]
        lines += ["| MSE / MAE | " + " | ".join(map(str, HORIZONS)) + " | mean MSE | fit, s |", "|---|" + "---|" * 6]
        for model in ("SpaceTime", "NLinear", "Structural", "SeasonalNaive"):
            cells, means, seconds = [], [], [0.0]
            for h in HORIZONS:
                mine = [r for r in rows if (r["set"], r["model"], r["horizon"]) == (name, model, str(h))]
                if mine:
                    mse, mae = (np.array([float(r[k]) for r in mine]) for k in ("mse", "mae"))
                    cells.append(
                        f"{mse.mean():.4f} / {mae.mean():.3f}" + (f" (± {mse.std():.4f})" if len(mine) > 1 else "")
                    )
                    means.append(mse.mean())
                    seconds = [float(r["seconds"]) for r in mine]
            if len(means) == len(HORIZONS):
                lines.append(
                    f"| {model} | " + " | ".join(cells) + f" | **{np.mean(means):.4f}** | {np.mean(seconds):.0f} |"
                )
        published = PUBLISHED[name]
        lines += [f"| NLinear, published | {' | '.join(map(str, published))} | {np.mean(published):.4f} | |", ""]
    text = "\n".join(lines)
    (RESULTS / "ett_univariate.md").write_text(text)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["choose", "run", "table"])
    parser.add_argument("--set", nargs="*", default=list(MONTH))
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    THREADS = arguments.threads
    for each in arguments.what:
        if each == "table":
            table()
        for name in arguments.set if each != "table" else ():
            {"choose": choose, "run": run}[each](name)
