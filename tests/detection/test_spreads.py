"""Windows of squared innovations against SciPy's chi-squared distribution and brute force; repeated values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln, gammaln
from scipy.stats import chi2, kstest

from ssmts.detection import baseline, spreads
from ssmts.detection.spreads import Spread


def scores(z, window=16, gate=np.inf, limit=np.inf, patience=10**9, repeats=None, full=True):
    """Scores of rows that are standardised already."""
    d = z.shape[1]
    level, state = baseline.constant(np.zeros(d), np.ones(d))
    model = spreads.learn(level, np.full(d, limit), np.zeros((3, d)) if repeats is None else repeats, window)
    return spreads.run(model._replace(gate=gate), spreads.start(state, window), z, np.ones(len(z)), patience, full=full)


def slow(z, window, gate=np.inf):
    """Log p-values of both tails by SciPy, one window after the other."""
    told = []
    for t in range(len(z)):
        part = z[max(t - window + 1, 0) : t + 1].copy()
        part[:-1] = np.clip(part[:-1], -gate, gate)
        square = max(((part - part.mean()) ** 2).sum(), spreads.FLOOR * len(part))
        told.append(
            (0.0, 0.0) if len(part) == 1 else (chi2.logsf(square, len(part) - 1), chi2.logcdf(square, len(part) - 1))
        )
    return np.array(told)


@settings(deadline=None)
@given(st.floats(-25, 2.5), st.integers(1, 200))
def test_tails_are_those_of_scipy(exponent, dof):
    square = dof * 10.0**exponent
    up, low = spreads.log_tails(square, float(dof), gammaln(dof / 2))
    p, q = chi2.sf(square, dof), chi2.cdf(square, dof)
    if p > 1e-290:
        assert up == pytest.approx(np.log(p), rel=1e-9, abs=1e-9)
    if q > 1e-290:
        assert low == pytest.approx(np.log(q), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dof", [1, 7, 31])
def test_tails_beyond_double_precision(dof):
    square = np.array([3e3, 1e5, 1e16])
    up = [spreads.log_tails(x, float(dof), gammaln(dof / 2))[0] for x in square]
    leading = (dof / 2 - 1) * np.log(square / 2) - square / 2 - gammaln(dof / 2)  # DLMF 8.11.2
    np.testing.assert_allclose(up, leading, rtol=1e-4)
    tiny = 1e-80
    low = spreads.log_tails(tiny, float(dof), gammaln(dof / 2))[1]
    assert low == pytest.approx(dof / 2 * np.log(tiny / 2) - gammaln(dof / 2 + 1), rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(-8, 8), min_size=1, max_size=50), st.integers(2, 20), st.sampled_from([2.0, 3.0, np.inf]))
def test_scores_equal_windows_taken_by_hand(z, window, gate):
    z = np.array(z)
    told = scores(z[:, None], window, gate)[0]
    tails = slow(z, window, gate)
    np.testing.assert_allclose(told.score[:, 0], np.maximum(-tails.min(axis=1) - np.log(2), 0), rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(told.window[:, 0], np.minimum(np.arange(len(z)) + 1, window))
    clear = np.abs(tails[:, 0] - tails[:, 1]) > 1e-6
    np.testing.assert_array_equal(told.sign[clear, 0], np.where(tails[clear, 0] < tails[clear, 1], 1, -1))


@pytest.mark.parametrize("window", [2, 16])
def test_p_values_of_normal_innovations_are_uniform(window):
    z = np.random.default_rng(0).standard_normal((window, 4000))
    p = np.exp(-scores(z, window)[0].score[-1])
    assert kstest(p, "uniform").pvalue > 0.01


def test_windows_leave_silent_rows_out_and_reach_back_over_them():
    rng = np.random.default_rng(1)
    z = rng.standard_normal(60)
    silent = rng.random(100) < 0.4
    silent[np.flatnonzero(~silent)[60:]] = True
    sparse = np.full(100, np.nan)
    sparse[~silent] = z[: (~silent).sum()]
    told, plain = scores(sparse[:, None])[0], scores(z[: (~silent).sum(), None])[0]
    np.testing.assert_allclose(told.score[~silent], plain.score, rtol=1e-12)
    at = np.flatnonzero(~silent)
    assert told.window[at[20], 0] == at[20] - at[5] + 1
    assert np.isnan(told.score[silent]).all()


# repeated values --------------------------------------------------------------------------------------------------


def test_runs_have_the_probability_that_training_rows_give_them():
    rng = np.random.default_rng(2)
    trained = rng.integers(0, 2, 400).astype(float)
    same = (np.diff(trained) == 0).sum()
    a, b = same + 1, 399 - same + 1
    z = np.append(rng.standard_normal(200), np.full(40, 0.7))
    told = scores(z[:, None], 8, repeats=trained[:, None])[0]
    # P(a run has k repetitions or more), the probability of one being beta distributed.
    log_p = betaln(a + np.arange(40), b) - betaln(a, b)
    assert told.score[-1, 0] >= -log_p[-1] - np.log(3)
    quiet = scores(z[:, None], 8)[0]
    expected = np.maximum(quiet.score[-40:, 0] + np.log(2), -log_p) - np.log(3)
    np.testing.assert_allclose(told.score[-40:, 0], np.maximum(expected, 0), rtol=1e-9, atol=1e-9)


def test_a_coarse_sensor_may_repeat_its_value_and_a_fine_one_may_not():
    rng = np.random.default_rng(3)
    fine = rng.standard_normal((2000, 1))
    coarse = np.round(fine)
    stuck = np.vstack([fine[:50], np.full((6, 1), fine[49, 0])])
    limit = -np.log(1e-4)
    for trained, run_length in ((fine, 3), (coarse, 9)):
        found = np.flatnonzero(
            scores(np.vstack([stuck, stuck[-1:].repeat(30, 0)]), 64, repeats=trained)[0].score[:, 0] > limit
        )
        assert abs(found[0] - 49 + 1 - run_length) <= 2


def test_of_a_sensor_that_hardly_changes_repeated_values_say_nothing():
    trained = np.repeat([1.0, 2.0, 1.0], 100)[:, None]
    level, _ = baseline.constant(np.zeros(1), np.ones(1))
    assert spreads.learn(level, np.ones(1), trained, 8).changed[0] == 0


# alarms end -------------------------------------------------------------------------------------------------------


def test_range_of_normal_variances_widens_and_falls_back():
    rng = np.random.default_rng(4)
    z = rng.standard_normal((3000, 1))
    z[500:1000] *= 6.0
    z[1500:2000] *= 0.05
    told, _ = scores(z, gate=3.0, limit=9.0, patience=10)
    alarm = told.score[:, 0] >= 9.0
    assert 500 <= np.flatnonzero(alarm)[0] < 505
    assert alarm[500:1000].sum() <= 20, "the burst is normal after patience rows, or once again"
    assert not alarm[1000:1500].any(), "its end is no anomaly"
    assert (told.sign[1500:2000][alarm[1500:2000]] == -1).all()
    assert 1 <= alarm[1500:2000].sum() <= 20
    assert not alarm[2000:].any()
    again = z.copy()
    again[1400:1410] *= 6.0
    assert (scores(again, gate=3.0, limit=9.0, patience=10)[0].score[1400:1410] >= 9.0).any(), "the next burst is found"


@pytest.mark.parametrize("score", [0.1, 3.0, 20.0, 500.0])
@pytest.mark.parametrize("window", [2, 16, 64])
def test_reach_is_where_one_reading_has_the_score(score, window):
    model = Spread(
        None, np.ones(1), np.ones(1), np.zeros(1), np.append(np.inf, gammaln(0.5 * np.arange(1, window + 1)))
    )
    edge = spreads.reach(model, np.array([[score]]))[0, 0]
    rest = np.random.default_rng(5).standard_normal(window - 1)
    rest -= rest.mean()
    if window > 2:
        rest *= np.sqrt((window - 2) / (rest**2).sum())
    got = chi2.logsf((np.append(rest, edge) ** 2).sum() - edge**2 / window, window - 1)
    if got > -700:
        assert -got - np.log(2) == pytest.approx(score, rel=1e-6) or edge == 0.0
