"""The linear-Gaussian engine against statsmodels and other filters, one thread each: ``python benchmarks/kalman.py``.

Every row is timed in the same run as its peers, in turn; beside the times stand the log-likelihoods that both sides reach, and how far
the time is from the floor of the operations and bytes that the algorithm used must move on this machine. ``--only WORDS`` runs the rows
whose names contain the words; ``--quick`` leaves out what takes statsmodels minutes. Peers besides statsmodels: `peers.txt`.
"""

import argparse
import functools
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import harness  # isort: skip  # first: it sets the number of threads
import kalman_peers as peers
import numpy as np
import pandas as pd
from sklearn.base import clone
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents

from ssmts import StructuralForecaster
from ssmts.components import Composition, DummySeason, Trend, TrigonometricSeason
from ssmts.core.gaussian import Stream, Streams, filter, loglik, pack, score, smooth, step
from ssmts.core.types import LinearGaussianSSM

VALUES = np.array([1.0, 0.3, 1e-4, 0.02])  # irregular, level, slope, season: variances
N = 10_000
LIMIT = 12_000  # MB that a fit may take


def series(n, s, seed=1, missing=0.0):
    """Level, slope and season drawn from the model, with noise."""
    rng = np.random.default_rng(seed)
    slope = np.cumsum(rng.normal(0, np.sqrt(VALUES[2]), n))
    level = np.cumsum(slope + rng.normal(0, np.sqrt(VALUES[1]), n))
    season = np.zeros(n + s)
    season[:s] = rng.normal(0, 3, s)
    for t in range(s, n + s):
        season[t] = -season[t - s + 1 : t].sum() + rng.normal(0, np.sqrt(VALUES[3]))
    y = level + season[s:] + rng.normal(0, np.sqrt(VALUES[0]), n)
    y[rng.random(n) < missing] = np.nan
    return y


def season_of(s, kind):
    return DummySeason(s) if kind == "dummy" else TrigonometricSeason(s, tuple(range(1, s // 2 + 1)))


def ours(s, kind, y):
    model = Composition([Trend(), season_of(s, kind)])
    return pack(model.build(VALUES), len(y))


def theirs(y, s, kind, exact=True):
    season = {"seasonal": s} if kind == "dummy" else {"freq_seasonal": [{"period": s}]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return UnobservedComponents(y, "lltrend", use_exact_diffuse=exact, **season)


# the floor -----------------------------------------------------------------------------------------------------------


@functools.cache
def machine():
    """Flops a second of one thread (a matrix product that fits the cache) and bytes a second (a copy that does not)."""
    a, big = np.random.default_rng(0).normal(size=(192, 192)), np.zeros(8_000_000)
    flops = 2 * 192**3 / harness.seconds(lambda: a @ a, repeats=5)[1]
    copy = np.empty_like(big)
    moved = 2 * big.nbytes / harness.seconds(lambda: np.copyto(copy, big), repeats=5)[1]
    return flops, moved


def floor(flops, moved):
    """Operations and bytes in words, and the seconds they take at least."""
    most_flops, most_bytes = machine()
    return f"{flops:.2g} flop, {moved:.2g} B", max(flops / most_flops, moved / most_bytes)


def schur_floor(n, q):
    """Three multiply-adds a tap and row (Schur's G and W, the prediction), and the series read once."""
    return floor(6.0 * n * q, 8.0 * n)


def sequential_floor(n, k, observed=1.0):
    """A symmetric rank-one change of the covariance an observation, two multiply-adds for mean and gain; it stays in cache."""
    return floor(n * observed * (k * (k + 1) + 4.0 * k), 8.0 * n)


# rows ----------------------------------------------------------------------------------------------------------------


class Table:
    """Rows as they come, printed as they come, for these runs take their time."""

    columns = (
        "job",
        "ssmts",
        "statsmodels",
        "ratio",
        "asked",
        "stretch",
        "others",
        "log-likelihood, ssmts",
        "statsmodels",
        "must move",
        "times the floor",
    )

    def __init__(self, only, quick):
        self.only, self.quick, self.rows = only, quick, []

    def wants(self, job, slow=False):
        return all(word in job for word in self.only) and not (slow and self.quick)

    def add(
        self,
        job,
        mine,
        reference,
        *,
        asked,
        stretch,
        others=None,
        logliks=("", ""),
        must=None,
        repeats=7,
        slow_repeats=None,
        peer="",
    ):
        """Time both sides in turn and add a row."""
        if slow_repeats is None:
            both = harness.interleaved({"ssmts": mine, "statsmodels": reference}, repeats=repeats)
            t, r = both["ssmts"][0], both["statsmodels"][0]
        else:
            t, r = harness.seconds(mine, repeats)[0], once(reference, slow_repeats)
        words = ", ".join(
            f"{name} {harness.duration(harness.seconds(call, 3)[0])}" for name, call in (others or {}).items()
        )
        what, least = must or ("", 0.0)
        self.put(
            job,
            harness.duration(t),
            f"{harness.duration(r)} {peer}".strip(),
            f"{r / t:,.0f} x",
            asked,
            stretch,
            words,
            *logliks,
            what,
            f"{t / least:.1f}" if least else "",
        )

    def put(self, *cells):
        self.rows.append(list(cells))
        print(" | ".join(map(str, cells)), flush=True)


def once(call, repeats):
    """Median seconds of a call that takes seconds, without a warm-up."""
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return float(np.median(samples))


def number(value):
    return f"{value:.4f}"


def available(ssm, y, task, *, complete):
    """Calls of the other packages that can do the task."""
    makers = {"simdkalman": peers.simdkalman, "pykalman": peers.pykalman, "filterpy": peers.filterpy}
    if complete:
        makers["dynamax"] = peers.dynamax
    found = {name: make(ssm, y) for name, make in makers.items() if peers.installed(name)}
    return {name: calls[task] for name, calls in found.items() if task in calls}


def likelihoods(table):
    """Log-likelihoods of structural models, complete and with holes."""
    goals = {
        ("dummy", 12, 0.0): ("60 x", "110 x"),
        ("dummy", 12, 0.05): ("10 x", "18 x"),
        ("dummy", 168, 0.0): ("3,000 x", "8,000 x"),
        ("dummy", 168, 0.05): ("150 x", "290 x"),
        ("trigonometric", 12, 0.0): ("60 x", "110 x"),
        ("trigonometric", 168, 0.0): ("2,500 x", "7,500 x"),
    }
    for (kind, s, missing), goal in goals.items():
        likelihood(table, kind, s, missing, *goal)


def likelihood(table, kind, s, missing, asked, stretch):
    job = f"loglik, slope + {kind} season {s}, {'5 % missing' if missing else 'complete'}"
    if not table.wants(job, slow=s > 100):
        return
    y = series(N, s, missing=missing)
    packed, column = ours(s, kind, y), y[:, None].copy()
    # statsmodels' exact diffuse start never ends for trigonometric seasons of thousands of rows: its default is timed,
    # and log-likelihoods are compared on 1,000 rows, where it is right
    exact = kind == "dummy"
    model, compared = theirs(y, s, kind, exact), (y if exact else y[:1000])
    check = model if exact else theirs(compared, s, kind)
    reached = number(loglik(packed, compared[:, None].copy())), number(check.loglike(VALUES))
    small = s == 12 and kind == "dummy"
    table.add(
        job,
        lambda: loglik(packed, column),
        lambda: model.loglike(VALUES),
        asked=asked,
        stretch=stretch,
        others=available(packed.ssm, y, "loglik", complete=not missing) if small else None,
        logliks=reached,
        must=sequential_floor(N, s + 1, 0.95) if missing else schur_floor(N, s + 1),
        slow_repeats=2 if s > 100 else None,
    )


def moving_average(theta, season_theta, variance, s):
    """(1 + theta B)(1 + season_theta B^s) e in state-space form: shocks wait in line; the first state is what is seen."""
    weights = np.zeros(s + 2)
    weights[[0, 1, s, s + 1]] = 1.0, theta, season_theta, theta * season_theta
    F, G = np.eye(s + 2, k=1), weights[:, None]
    start = sum(np.outer(x, x) for x in (np.append(weights[j:], np.zeros(j)) for j in range(s + 2)))
    return LinearGaussianSSM(
        F,
        np.array([[variance]]),
        np.eye(1, s + 2),
        np.zeros((1, 1)),
        np.zeros(s + 2),
        variance * start,
        process_loading=G,
    )


def airline(table):
    """The airline model of SARIMAX: differences of lags 1 and s are taken here as part of the job, there by states."""
    for s, asked, stretch in ((12, "100 x", "190 x"), (168, "5,000 x", "20,000 x")):
        if table.wants(f"loglik, airline model, season {s}", slow=s > 100):
            one_airline(table, s, asked, stretch)


def one_airline(table, s, asked, stretch):
    y = series(N, s)
    reference, packed = (
        SARIMAX(y, order=(0, 1, 1), seasonal_order=(0, 1, 1, s)),
        pack(moving_average(-0.4, -0.55, 1.5, s)),
    )

    def mine():
        w = np.diff(y)
        return loglik(packed, (w[s:] - w[:-s])[:, None])

    def others():
        return reference.loglike([-0.4, -0.55, 1.5])

    table.add(
        f"loglik, airline model, season {s}",
        mine,
        others,
        asked=asked,
        stretch=stretch,
        logliks=(number(mine()), number(others())),
        must=schur_floor(N, s + 1),
        slow_repeats=2 if s > 100 else None,
    )


def smoothers(table):
    job = "smoother, 13 states"
    if table.wants(job):
        y = series(N, 12)
        packed, column, model = ours(12, "dummy", y), y[:, None].copy(), theirs(y, 12, "dummy")
        moved = 8.0 * N * (13 * 13 + 13) * 2  # means and covariances are written; gains in between
        table.add(
            job,
            lambda: smooth(packed, column),
            lambda: model.smooth(VALUES),
            asked="10 x",
            stretch="20 x",
            others=available(packed.ssm, y, "smooth", complete=True),
            must=floor(N * (13 * 14 + 2 * 13 * 13 + 2 * 13**3), moved),
        )


def scores(table):
    """Likelihood and exact score together, against the likelihood alone of the same rung."""
    y = series(N, 12)
    packed, column = ours(12, "dummy", y), y[:, None].copy()
    for method in ("schur", "sequential"):
        job = f"score / loglik, 13 states, {method}"
        if not table.wants(job):
            continue
        calls = {
            "score": functools.partial(score, packed, column, ("process_cov", "obs_cov"), method=method),
            "loglik": functools.partial(loglik, packed, column, method=method),
        }
        both = harness.interleaved(calls)
        t, r = both["score"][0], both["loglik"][0]
        table.put(
            job,
            harness.duration(t),
            "",
            f"{t / r:.2f} times",
            "< 3.5",
            "< 2.5",
            "",
            "",
            "",
            f"loglik {harness.duration(r)}",
            "",
        )


def fits(table):
    job = "fit, slope + dummy season 12, n = 1,000"
    if table.wants(job):
        y = series(1000, 12)
        model = StructuralForecaster(trend="local_linear", season_length=12, seasonal="dummy").fit(y)
        reference = theirs(y, 12, "dummy")

        def fit():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return reference.fit(disp=0)

        table.add(
            job,
            lambda: model.fit(y),
            fit,
            asked="80 x",
            stretch="300 x",
            logliks=(number(model.loglik_), number(fit().llf)),
            repeats=5,
        )
    job = "fit of 1,000 series x 150, 2 cores"
    if table.wants(job):
        panel(table, job)


def panel(table, job):
    """A wide frame of a thousand series; statsmodels' loop is measured on twelve of them."""
    Y = np.stack([series(150, 12, seed) for seed in range(1000)], axis=1)
    model = StructuralForecaster(trend="local_linear", season_length=12, seasonal="dummy", n_jobs=2).fit(Y)
    t = once(lambda: model.fit(Y), 5)
    results = []

    def loop():
        results.clear()
        for column in range(12):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results.append(theirs(Y[:, column], 12, "dummy").fit(disp=0).llf)

    r = once(loop, 2) / 12 * 1000
    reached = [unit.loglik for unit in model.units_[:12]]
    table.put(
        job,
        harness.duration(t),
        harness.duration(r),
        f"{r / t:,.0f} x",
        "300 x",
        "800 x",
        "",
        number(sum(reached)),
        number(sum(results)),
        f"{1000 / t:,.0f} fits a second",
        "",
    )


def streams(table):
    """Ten thousand streams of one model, one step each."""
    n = 10_000
    for shared, asked, stretch in ((False, "30 x", "65 x"), (True, "60 x", "125 x")):
        job = f"10,000 streams, one step, 13 states, {'shared' if shared else 'own'} covariance"
        if not table.wants(job):
            continue
        y = np.random.default_rng(0).normal(size=n)
        packed = ours(12, "dummy", np.zeros(1))
        state = filter(packed, series(300, 12)[:, None]).state
        take = functools.partial(Streams(packed, n, state, shared=shared).step, y[:, None])
        k = len(state.mean)
        must = (
            floor(n * 4.0 * k, 8.0 * n * 2 * k) if shared else floor(n * (k * (k + 1) + 4.0 * k), 8.0 * n * k * (k + 3))
        )
        if not peers.installed("torch_kf"):
            table.put(
                job,
                harness.duration(harness.seconds(take)[0]),
                "",
                "",
                asked,
                stretch,
                "",
                "",
                "",
                must[0],
                "",
            )
            continue
        model = packed.ssm._replace(initial_mean=state.mean, initial_cov=state.cov, initial_diffuse_cov=None)
        step_of = peers.torch_kf(model, n, y, shared)
        table.add(job, take, step_of, asked=asked, stretch=stretch, must=must, peer="torch-kf")


def one_stream(table):
    """One row of one stream: the core's own step and the estimator's update."""
    y = series(1000, 12)
    packed = ours(12, "dummy", y)
    state, row = filter(packed, y[:, None]).state, np.array([y[-1]])
    stream = Stream(packed, state)
    index = pd.date_range("2000-01-01", periods=len(y) + 20_000, freq="h")
    make = StructuralForecaster(trend="local_linear", season_length=12, seasonal="dummy")
    array, stamped = clone(make).fit(y), clone(make).fit(pd.Series(y, index=index[: len(y)]))
    later = pd.Series(np.resize(y, 20_000), index=index[len(y) :])
    rows = iter([later[i : i + 1] for i in range(len(later))])
    reference = theirs(y, 12, "dummy").smooth(VALUES)
    jobs = {
        "one stream, one step: core, state in place": (lambda: stream.step(y[-1]), "1.5 µs", "0.5 µs"),
        "one stream, one step: core, a new state": (lambda: step(packed, state, row), "1.5 µs", "0.5 µs"),
        "one stream, update with an array": (lambda: array.update(row), "15 µs", "5 µs"),
    }
    for job, (call, asked, stretch) in jobs.items():
        if table.wants(job):
            t, r = harness.seconds(call)[0], harness.seconds(lambda: reference.extend(row), repeats=3)[0]
            table.put(
                job,
                harness.duration(t),
                harness.duration(r),
                f"{r / t:,.0f} x",
                asked,
                stretch,
                "",
                "",
                "",
                *stepping(t),
            )
    job = "one stream, update with a one-row Series"
    if table.wants(job):
        samples = []
        for _ in range(10_000):
            one = next(rows)
            start = time.perf_counter()
            stamped.update(one)
            samples.append(time.perf_counter() - start)
        t = float(np.median(samples))
        table.put(job, harness.duration(t), "", "", "40 µs", "25 µs", "", "", "", *stepping(t))


def stepping(t):
    """What one step must move, and how far a time is from it."""
    what, least = sequential_floor(1, 13)
    return what, f"{t / least:,.0f}"


def memory(table):
    job = "peak memory of a fit, season 168 (statsmodels: two iterations)"
    if not table.wants(job, slow=True):
        return
    ours_used, theirs_used = (measured(side) for side in ("ssmts", "statsmodels"))
    words = "beyond what importing takes"
    if np.isinf(theirs_used):  # its results hold a dozen covariances of every row
        theirs_used, words = LIMIT, words + f"; statsmodels ran out of the {LIMIT / 1000:.0f} GB it was given"
    table.put(
        job,
        f"{ours_used:.0f} MB",
        f"{theirs_used:,.0f} MB",
        f"1/{theirs_used / ours_used:.0f}",
        "< 1/10",
        "",
        "",
        "",
        "",
        words,
        "",
    )


def measured(side):
    """Peak memory of a fit in a process of its own, in MB."""
    out = subprocess.run([sys.executable, __file__, "--memory", side], check=True, capture_output=True, text=True)
    return float(out.stdout.split()[-1])


def measure_memory(side):
    """Peak memory of a fit less what stood after the imports, in MB; infinite where it is more than `LIMIT`."""
    import resource

    y = series(N, 168)

    def peak():
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024

    def reset():
        """Forget the peak of imports and compilation (Linux)."""
        Path("/proc/self/clear_refs").write_text("5")
        return peak()

    if side == "ssmts":
        model = StructuralForecaster(trend="local_linear", season_length=12, seasonal="dummy").fit(series(400, 12))
        before = reset()
        model.set_params(season_length=168).fit(y)
        print(peak() - before)
        return
    theirs(series(400, 12), 12, "dummy").fit(disp=0, maxiter=2)
    before = reset()
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT * 10**6, LIMIT * 10**6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs(y, 168, "dummy").fit(disp=0, maxiter=2)
            print(peak() - before)
        except MemoryError:
            print(np.inf)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory", choices=("ssmts", "statsmodels"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        return measure_memory(options.memory)
    table = Table(options.only, options.quick)
    for part in (likelihoods, airline, smoothers, scores, fits, streams, one_stream, memory):
        part(table)
    names = ["ssmts", "statsmodels", "numpy", "numba", "scipy"]
    names += [
        p for p in ("simdkalman", "pykalman", "filterpy", "dynamax", "torch-kf") if peers.installed(p.replace("-", "_"))
    ]
    flops, moved = machine()
    harness.report(
        "kalman" if not options.only else "kalman-part",
        f"The linear-Gaussian engine, n = {N:,} unless a row says otherwise",
        Table.columns,
        table.rows,
        names,
        [
            "Medians of repeats taken in turn. The floor is what the operations take at "
            f"{flops / 1e9:.0f} Gflop/s and the bytes at {moved / 1e9:.0f} GB/s, both measured in this run.",
            "Trigonometric seasons: statsmodels is timed with its approximate diffuse start, and log-likelihoods are of the "
            "first 1,000 rows.",
        ],
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
