"""Fitting and updating a structural model, against statsmodels in the same run: ``python benchmarks/structural.py``.

The job is level + slope + season 12 on 1,000 points, with the dummy season and with the trigonometric one. Both sides maximise the
same exact diffuse likelihood from their own start values; a fit that ends at a worse likelihood is no win, so it stands beside the time.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings

import harness  # isort: skip  # first: it sets the number of threads
import numpy as np
import pandas as pd
from statsmodels.tsa.statespace.structural import UnobservedComponents

from ssmts import StructuralForecaster


def series(n=1000, seed=1):
    """Level, slope and a slowly changing season of 12, with noise."""
    rng = np.random.default_rng(seed)
    slope = 0.02 + np.cumsum(rng.normal(0, 0.005, n))
    level = np.cumsum(slope + rng.normal(0, 0.5, n))
    season = np.zeros(n + 12)
    season[:12] = rng.normal(0, 3, 12)
    for t in range(12, n + 12):
        season[t] = -season[t - 11 : t].sum() + rng.normal(0, 0.1)
    return level + season[12:] + rng.normal(0, 1.0, n)


def statsmodels_fit(y, seasonal):
    kind = {"seasonal": 12} if seasonal == "dummy" else {"freq_seasonal": [{"period": 12}]}
    model = UnobservedComponents(y, "lltrend", use_exact_diffuse=True, **kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(disp=0)


def first_call_seconds():
    """Import and first fit in a new process: with an empty kernel cache, then with the cache it left."""
    code = (
        "import numpy as np, time; t = time.perf_counter(); from ssmts import StructuralForecaster;"
        "f = StructuralForecaster(season_length=12).fit(np.sin(np.arange(200.)) + np.arange(200.)); f.predict(3); f.update(np.ones(1));"
        "print(time.perf_counter() - t)"
    )
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "NUMBA_CACHE_DIR": cache}
        return [
            float(
                subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout
            )
            for _ in range(2)
        ]


def main():
    y = series()
    rows = []
    for seasonal in ("dummy", "trigonometric"):
        ours = StructuralForecaster(trend="local_linear", season_length=12, seasonal=seasonal)
        times = harness.interleaved(
            {"ssmts": lambda f=ours: f.fit(y), "statsmodels": lambda s=seasonal: statsmodels_fit(y, s)}, repeats=5
        )
        theirs = statsmodels_fit(y, seasonal)
        ratio = times["statsmodels"][0] / times["ssmts"][0]
        rows.append(
            [
                f"fit, {seasonal} season",
                harness.duration(times["ssmts"][0]),
                harness.duration(times["statsmodels"][0]),
                f"{ratio:.0f} x",
                f"{ours.loglik_:.4f}",
                f"{theirs.llf:.4f}",
                "yes" if ours.loglik_ >= theirs.llf - 1e-4 else "NO",
            ]
        )
    model = StructuralForecaster(trend="local_linear", season_length=12).fit(y)
    one = np.array([y[-1]])
    index = pd.date_range("2000-01-01", periods=len(y) + 20_000, freq="h")
    stamped = StructuralForecaster(trend="local_linear", season_length=12).fit(pd.Series(y, index=index[: len(y)]))
    later = pd.Series(np.resize(y, 20_000), index=index[len(y) :])
    new_rows = iter([later[i : i + 1] for i in range(len(later))])
    samples = []
    for _ in range(10_000):
        row = next(new_rows)
        start = time.perf_counter()
        stamped.update(row)
        samples.append(time.perf_counter() - start)
    array = harness.seconds(lambda: model.update(one))[0]
    theirs = statsmodels_fit(y, "dummy")
    append = harness.seconds(lambda: theirs.extend(one), repeats=3)[0]
    rows.append(
        [
            "update, one value in an array",
            harness.duration(array),
            harness.duration(append),
            f"{append / array:.0f} x",
            "",
            "",
            "",
        ]
    )
    rows.append(["update, a one-row Series", harness.duration(float(np.median(samples))), "", "", "", "", ""])
    empty, warm = first_call_seconds()
    rows.append(["import + first fit, empty kernel cache", harness.duration(empty), "", "", "", "", ""])
    rows.append(["import + first fit, later processes", harness.duration(warm), "", "", "", "", ""])
    harness.report(
        "structural",
        "Structural model: level + slope + season 12, 1,000 points",
        ["job", "ssmts", "statsmodels", "ratio", "log-likelihood, ssmts", "statsmodels", "at least as good"],
        rows,
        ["ssmts", "statsmodels", "numpy", "numba", "pandas"],
        [
            "Medians of interleaved repeats. statsmodels: `fit()` with its defaults and exact diffuse start; its update is `extend`."
        ],
    )


if __name__ == "__main__":
    main()
