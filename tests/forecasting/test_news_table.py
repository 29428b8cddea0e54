"""News of joint forecasters: statsmodels' tables, sums that are exact, and what can be handed in."""

import numpy as np
import pandas as pd
import pytest
from oracles.factors import indicators, mixed
from oracles.lutkepohl import GROWTH

from ssmts import DynamicFactorForecaster, KalmanFilter, VARForecaster, load, save
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import FutureRowsError, InputError, SsmtsError, TimeIndexError
from ssmts.forecasting.dynamic_factor import read_params

QUARTERS = pd.PeriodIndex(["2014-09", "2014-12"], freq="M")


def vintages():
    """Sixty months, and what of them was known three months before the last."""
    y, _ = indicators(60)
    before = y[:55].copy()
    before.iloc[53:] = np.nan
    before.iloc[50:, 1] = np.nan
    return before, y[:57]


@pytest.fixture(scope="module")
def nowcaster():
    return DynamicFactorForecaster(aggregation={"gdp": "growth"}, max_iter=15, tol=0.0).fit(vintages()[0])


def test_news_of_statsmodels(nowcaster):
    before, later = vintages()
    found = nowcaster.news(later, QUARTERS)
    p = read_params(nowcaster.params_)
    model, numbers = mixed(p, before.to_numpy())
    was, now = (model.clone(rows - p.level, k_endog_monthly=3).smooth(numbers) for rows in (before, later))
    theirs = now.news(was, comparison_type="previous", start="2014-09", end="2014-12")
    for quarter in QUARTERS:
        frame = found.to_frame("gdp", quarter).loc["news"]
        expected = theirs.weights[(quarter, "gdp")]
        assert list(frame.index) == list(expected.index)
        np.testing.assert_allclose(frame["weight"], expected, atol=1e-8)
        np.testing.assert_allclose(frame["news"], theirs.news, rtol=1e-7)
        np.testing.assert_allclose(frame["impact"], expected * theirs.news, atol=1e-8)
        np.testing.assert_allclose(frame["actual"] - frame["forecast"], frame["news"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            found.current.loc[quarter] - found.previous.loc[quarter], theirs.total_impacts.loc[quarter], atol=1e-8
        )


def test_revisions_and_withdrawals_add_up(nowcaster):
    """The forecasts before are the forecaster's own; those after, of one that saw the later rows."""
    before, later = vintages()
    later = later.copy()
    later.iloc[51, 0] += 1
    later.iloc[52, 2] = np.nan
    found = nowcaster.news(later[30:], 7)
    np.testing.assert_allclose(found.previous, nowcaster.predict(7), rtol=1e-9)
    assert found.previous.index.equals(nowcaster.predict(7).index)
    assert list(found.details.index.get_level_values("kind").unique()) == ["news", "revision", "withdrawal"]
    total = found.previous.to_numpy().ravel() + found.impacts.sum()
    np.testing.assert_allclose(total, found.current.to_numpy().ravel(), rtol=1e-12)
    revision = found.details.loc["revision"]
    assert revision.index.tolist() == [(before.index[51], "a")]
    assert revision["news"].item() == pytest.approx(1.0)
    assert revision["forecast"].item() == before.iloc[51, 0]
    assert found.details.loc["withdrawal"].index.tolist() == [(before.index[52], "c")]
    one = found.to_frame("gdp", found.previous.index[3])
    np.testing.assert_allclose(one["impact"], found.impacts[(found.previous.index[3], "gdp")])
    np.testing.assert_allclose(one["weight"] * one["news"], one["impact"].where(one["weight"].notna()), rtol=1e-9)


def test_rows_that_came_are_what_update_sees(nowcaster, tmp_path):
    later = vintages()[1]
    found = nowcaster.news(later[55:], 5)
    save(nowcaster, tmp_path / "model", data=True)
    other = load(tmp_path / "model").update(later[55:])
    np.testing.assert_allclose(found.current[2:], other.predict(3), rtol=1e-9)
    assert set(found.details.index.get_level_values("kind")) == {"news"}
    save(nowcaster, tmp_path / "model")
    with pytest.raises(SsmtsError, match="not saved"):
        load(tmp_path / "model").news(later)


def test_other_models_arrays_and_panels():
    f = VARForecaster().fit(GROWTH[:70])
    found = f.news(GROWTH[:72], 3)
    np.testing.assert_allclose(found.previous, f.predict(3), rtol=1e-9)
    np.testing.assert_allclose(found.current.loc[72], VARForecaster.predict(f.update(GROWTH[70:72]), 1)[0], rtol=1e-9)
    one = np.eye(1)
    level = LinearGaussianSSM(one, one, one, one, np.zeros(1), 0 * one, initial_diffuse_cov=one)
    panel = pd.concat({"p": pd.Series([1.0, 2.0]), "q": pd.Series([5.0, 5.0, 5.0])}, names=["series", "row"])
    news = KalmanFilter(level).fit(panel).news(pd.concat({"p": pd.Series([1.0, 3.0, 4.0])}), series="p", at=2)
    assert news.current.iloc[-1, 0] == pytest.approx(3.375)
    assert news.impacts.iloc[:, -1].tolist() == pytest.approx([1.04166667, 0.66666667])


def test_covariates_of_what_is_forecast():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 1)), pd.RangeIndex(100, 160))
    y = pd.DataFrame(GROWTH[:60], X.index) + X.to_numpy()
    f = DynamicFactorForecaster(max_iter=5).fit(X[:50], y[:50])
    found = f.news(y[:52], X[50:55])
    np.testing.assert_allclose(found.previous, f.predict(X[50:55]), rtol=1e-9)
    np.testing.assert_allclose(found.current[2:], f.update(X[50:52], y[50:52]).predict(X[52:55]), rtol=1e-9)
    with pytest.raises(FutureRowsError, match="no covariates for 151"):
        f.news(y[:52], X[50:51])


def test_refusals(nowcaster):
    later = vintages()[1]
    early = later.copy()
    early.index = early.index - 1
    with pytest.raises(TimeIndexError, match="before the first training row"):
        nowcaster.news(early)
    with pytest.raises(InputError, match="at must have rows"):
        nowcaster.news(later, early.index[:1])
    with pytest.raises(InputError, match="pass time="):
        nowcaster.news(later, 3).to_frame("gdp")
    with pytest.raises(InputError, match="choose one of"):
        nowcaster.news(later).to_frame("z")
    with pytest.raises(InputError, match="choose one of"):
        nowcaster.news(later).to_frame("gdp", "2030")
