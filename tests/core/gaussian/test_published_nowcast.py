"""The nowcasting programs of the Federal Reserve Bank of New York (Matlab): likelihoods, smoothed series and news.

Factors in one block or in three, months and quarters, holes and a ragged edge, at parameters that their EM gave; the files ship with
statsmodels. Steps of that EM are no test of ours: it keeps the first state and a small noise of every column fixed, where ours has the
stationary start and no such noise (docs/decisions.md, Dynamic factors).
"""

import numpy as np
import pandas as pd
import pytest
from oracles.statsmodels_models import RESULTS, converted, observations
from scipy.io import loadmat
from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ

from ssmts.core.gaussian import filter, news, smooth

FOLDER = RESULTS / "frbny_nowcast"
MONTHS, QUARTERS = ["CPIAUCSL", "UNRATE", "PAYEMS", "RSAFS", "TTLCONS", "TCU"], ["GDPC1", "ULCNFB"]
BLOCKS = {
    "CPIAUCSL": "1",
    "UNRATE": "2",
    "PAYEMS": "2",
    "RSAFS": "12",
    "TTLCONS": "1",
    "TCU": "2",
    "GDPC1": "12",
    "ULCNFB": "",
}


def vintage(day, columns):
    """Growth and changes since 2000, months with quarters at their last month."""
    levels = pd.read_csv(FOLDER / "Nowcasting" / "data" / "US" / f"{day}.csv", index_col="Date")
    levels.index = pd.PeriodIndex(levels.index, freq="M")
    months = (100 * (levels / levels.shift(1) - 1)).assign(**levels[["UNRATE", "PAYEMS", "TCU"]].diff())
    quarters = levels[QUARTERS].groupby(levels.index.asfreq("Q")).last()
    quarters = 100 * ((quarters / quarters.shift(1)) ** 4 - 1)
    return months[columns].loc["2000":].dropna(how="all"), quarters.loc["2000":].dropna(how="all")


def read(kind, run):
    """What Matlab wrote, the model with its parameters and start, and the model's columns."""
    blocks, orders = run.startswith("blocks_"), run.removeprefix("blocks_")
    wrote = loadmat(FOLDER / f"test_{kind}_{run}.mat")
    k, p = (int(wrote["Spec"][name][0, 0][0, 0]) for name in ("k", "p"))
    columns = MONTHS[: 6 if blocks else 3]
    if blocks:
        names = ["global", "test1", "test2"]
        factors = {column: ["global", *(f"test{i}" for i in own)] for column, own in BLOCKS.items()}
        form = {"factors": factors, "factor_orders": dict.fromkeys(names, p)}
        form["factor_multiplicities"] = dict.fromkeys(names, k) if k == 2 else None
    else:
        form = {"factors": k, "factor_orders": {("0", "1"): p} if k == 2 else p}
    assert orders[0] == str(k)
    months, quarters = vintage("2016-06-29", columns)
    model = DynamicFactorMQ(
        months, endog_quarterly=quarters, idiosyncratic_ar1=True, init_t0=True, obs_cov_diag=True, **form
    )
    # states of the quarters' own parts: Matlab has them quarter by quarter, statsmodels lag by lag
    first = k * (3 if blocks else 1) * max(5, p) + len(columns)
    order = np.r_[:first, first + np.arange(10).reshape(2, 5).ravel(order="F")]
    mean, cov = wrote["Res"]["Z_0"][0, 0][:, 0], wrote["Res"]["V_0"][0, 0]
    model.initialize_known(mean[order], cov[np.ix_(order, order)])
    model.update(wrote["params"][:, 0])
    return wrote, model, columns


RUNS = ["111", "112", "11F", "221", "222", "22F", "blocks_111", "blocks_112", "blocks_221", "blocks_222"]


@pytest.mark.parametrize("run", RUNS)
def test_likelihoods_and_smoothed_series(run):
    """Their likelihood leaves out log(2 pi); the first row is one before the data."""
    wrote, model, _ = read("dfm", run)
    ssm, y = converted(model.ssm), observations(model.ssm)
    height = filter(ssm, y).loglik + 0.5 * np.log(2 * np.pi) * np.sum(~np.isnan(y))
    assert height == pytest.approx(wrote["Res"]["loglik"][0, 0][0, 0], rel=1e-9)
    longer = np.vstack([y, np.full((1, y.shape[1]), np.nan)])
    signals = smooth(ssm, longer).smoothed_mean @ ssm.observation.T
    np.testing.assert_allclose(signals[1:], wrote["Res"]["x_sm"][0, 0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("run", ["112", "222", "blocks_112", "blocks_222"])
def test_news_of_growth(run):
    """Of output in the third quarter of 2016: forecasts and what came a month later, in the units of the series."""
    wrote, model, columns = read("news", run)
    ssm, before = converted(model.ssm), observations(model.ssm)
    months, quarters = vintage("2016-07-29", columns)
    quarters.index = quarters.index.asfreq("M", how="end")
    both = months.join(quarters, how="outer")
    names = [*columns, *QUARTERS]
    mean, size = (np.asarray(x, dtype=float) for x in (model._endog_mean[names], model._endog_std[names]))
    after = np.vstack([np.full(len(names), np.nan), (both[names].to_numpy() - mean) / size])
    row = 1 + both.index.get_loc(pd.Period("2016-06", "M")) + 3
    found, growth = news(ssm, before, after, row), len(columns)
    revised = found.revision_impacts[0, growth].sum() * size[growth]
    assert revised == pytest.approx(wrote["Res"]["impact_revisions"][0, 0].item(), rel=1e-6)
    which = found.updates[:, 1]
    table = wrote["Res"]["news_table"][0, 0]
    want = table[: len(names) - 1]
    got = np.full((len(names), 4), np.nan)
    got[which, 0] = found.expected * size[which] + mean[which]
    got[which, 1] = (found.expected + found.news) * size[which] + mean[which]
    got[which, 2] = found.update_weights[0, growth] * size[growth] / size[which]
    got[which, 3] = found.update_impacts[0, growth] * size[growth]
    np.testing.assert_allclose(got[: len(names) - 1], want, rtol=1e-6)
