"""Gaussian process regression at irregular stamps, against scikit-learn's: ``python benchmarks/gaussian_process.py``.

The job is a Matérn kernel of order 3/2 with noise, about a mean of zero. Both sides maximise the same marginal likelihood from their own
start values; scikit-learn's search starts once, ours follows five.
"""

import warnings

import harness  # isort: skip  # first: it sets the number of threads
import numpy as np
import pandas as pd
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as theirs

from ssmts import GaussianProcessForecaster
from ssmts.components.kernels import Matern
from ssmts.forecasting._process_likelihood import Likelihood


def series(n, seed=0):
    """Slow waves with noise at random times, one a unit of time on average."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, n, n))
    return t, np.sin(t / 9) + np.sin(t / 31 + 1) + 0.3 * rng.standard_normal(n)


def regressor(**options):
    kernel = theirs.ConstantKernel() * theirs.Matern(10.0, nu=1.5) + theirs.WhiteKernel()
    return GaussianProcessRegressor(kernel, **options)


def likelihoods(n):
    """One likelihood with its gradient, at the same parameters."""
    t, y = series(n)
    ours = Likelihood(Matern(1.5, 10.0), y, np.append(np.diff(t), 0.0), False, None)
    values = {"matern_var": 1.0, "matern_length_scale": 10.0, "obs_var": 1.0}
    other = regressor(optimizer=None).fit(t[:, None], y)
    theta = other.kernel_.theta
    calls = {
        "ssmts": lambda: ours(values)[0],
        "scikit-learn": lambda: other.log_marginal_likelihood(theta, eval_gradient=True)[0],
    }
    return calls, [f"{call():.4f}" for call in calls.values()]


def fits(n):
    """The search for the best parameters."""
    t, y = series(n)
    rows, model = pd.Series(y, index=t), GaussianProcessForecaster(Matern(1.5, 10.0), mean="zero")
    other = regressor()
    calls = {"ssmts": lambda: model.fit(rows), "scikit-learn": lambda: other.fit(t[:, None], y)}
    for call in calls.values():
        call()
    return calls, [f"{model.loglik_:.4f}", f"{other.log_marginal_likelihood_value_:.4f}"]


def main():
    warnings.simplefilter("ignore")
    rows = []
    for name, job, sizes in (("likelihood and gradient", likelihoods, (250, 1000, 2000)), ("fit", fits, (250, 1000))):
        for n in sizes:
            calls, heights = job(n)
            times = harness.interleaved(calls, repeats=3)
            ratio = times["scikit-learn"][0] / times["ssmts"][0]
            rows.append([name, n, *(harness.duration(times[side][0]) for side in calls), f"{ratio:.3g} x", *heights])
    t, y = series(10_000)
    alone = GaussianProcessForecaster(Matern(1.5, 10.0), mean="zero")
    took = harness.seconds(lambda: alone.fit(pd.Series(y, index=t)), repeats=3)[0]
    rows.append(["fit", 10_000, harness.duration(took), "", "", f"{alone.loglik_:.4f}", ""])
    harness.report(
        "gaussian_process",
        "Gaussian process at irregular stamps: Matérn 3/2 and noise",
        ["job", "rows", "ssmts", "scikit-learn", "ratio", "log-likelihood, ssmts", "scikit-learn"],
        rows,
        ["ssmts", "scikit-learn", "numpy", "scipy", "numba"],
        [
            "Medians of interleaved repeats. 10,000 rows are an (n, n) matrix of 800 MB, its gradient four of them: not run."
        ],
    )


if __name__ == "__main__":
    main()
