"""News against statsmodels and the closed form of the local level; impacts add up to what has changed."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError

from .cases import close

ONE = np.eye(1)
LEVEL = LinearGaussianSSM(ONE, 1469.1 * ONE, ONE, 15099.0 * ONE, np.zeros(1), 0 * ONE, ONE)


def test_a_new_row_of_a_local_level_weighs_its_gain(nile):
    found = gaussian.news(LEVEL, nile[:80], nile[:81], [81, 90])
    state = gaussian.filter(LEVEL, nile[:80]).state
    K = state.cov[0, 0] / (state.cov[0, 0] + 15099.0)
    np.testing.assert_allclose(found.update_weights.ravel(), [K, K], rtol=1e-10)
    np.testing.assert_allclose(found.expected, state.mean)
    np.testing.assert_allclose(found.news, nile[80] - state.mean)
    np.testing.assert_array_equal(found.updates, [[80, 0]])
    assert found.revisions.shape == (0, 2)
    assert found.revision_impacts.shape == (2, 1, 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["signals", "states"]))
def test_impacts_add_up_to_what_has_changed(seed, of):
    """Rows are added, holes filled, values revised and withdrawn at random; noise is correlated within a row."""
    rng = np.random.default_rng(seed)
    ssm = dense.random_model(rng, 12, dy=2, diffuse=2, inputs=1)
    inputs, current = rng.normal(size=(12, 1)), dense.random_series(rng, 9, 2, 0.2)
    current[:2] = rng.normal(size=(2, 2))
    previous = np.where(np.isnan(current[:7]), rng.normal(size=(7, 2)), current[:7])
    previous += rng.normal(size=(7, 2)) * (rng.random((7, 2)) < 0.3)
    previous[2:][rng.random((5, 2)) < 0.2] = np.nan
    both = np.where(np.isnan(previous), np.nan, current[:7])
    assume(gaussian.filter(ssm, both, inputs[:7]).state.rank == 0)
    found = gaussian.news(ssm, previous, current, [3, 11], inputs, of=of)
    impacts = found.revision_impacts, found.withdrawal_impacts, found.update_impacts
    close(sum(part.sum(axis=2) for part in impacts), found.current - found.previous, 1e-8)
    assert len(found.withdrawals) == np.sum(np.isnan(both) & ~np.isnan(previous))
    close(found.update_weights * found.news, found.update_impacts)
    twin = dense.joint(ssm, 12, inputs)
    padded = np.concatenate([current, np.full((3, 2), np.nan)])
    target = twin.states[33:36]
    if of == "signals":
        target = twin.observations[22:24].plus(-twin.noises[22:24].B)
    close(found.current[1], dense.given(twin, target, padded, 12)[0], 1e-8)
    revised = np.full((12, 2), np.nan)
    revised[:7] = both
    expected = dense.given(twin, twin.observations, revised, 12)[0].reshape(12, 2)
    close(found.expected, expected[tuple(found.updates.T)], 1e-8)


def test_statsmodels_agrees():
    """A vector autoregression: ragged edge filled, a new row, two revisions."""
    rng = np.random.default_rng(0)
    index = pd.period_range("2000-01", periods=31, freq="M")
    values = rng.normal(size=(31, 2)).cumsum(axis=0) * 0.3
    current = pd.DataFrame(values, index=index, columns=["a", "b"])
    previous = current.iloc[:30].copy()
    previous.iloc[29, 1] = np.nan
    previous.iloc[10, 0] += 0.5
    previous.iloc[28, 1] -= 0.7
    params = np.array([0.1, -0.2, 0.5, 0.1, 0.2, 0.4, 1.5, 0.4, 0.8])
    model = sm.tsa.VARMAX(previous, order=(1, 0), trend="c", measurement_error=False)
    before = model.smooth(params, cov_type="none")
    theirs = before.apply(current).news(before, start="2002-08", end="2002-10", revisions_details_start=True)
    ssm = LinearGaussianSSM(
        np.array(model["transition"]),
        np.array(model["state_cov"]),
        np.array(model["design"]),
        np.zeros((2, 2)),
        np.asarray(before.filter_results.initial_state),
        np.asarray(before.filter_results.initial_state_cov),
        state_offset=np.array(model["state_intercept"]).reshape(-1)[:2],
    )
    found = gaussian.news(ssm, previous.to_numpy(), current.to_numpy(), [31, 32, 33])
    close(found.previous, theirs.prev_impacted_forecasts.to_numpy(), 1e-7)
    close(found.current, theirs.post_impacted_forecasts.to_numpy(), 1e-7)
    close(found.update_impacts.sum(axis=2), theirs.update_impacts.to_numpy(), 1e-7)
    close(found.revision_impacts.sum(axis=2), theirs.revision_impacts.to_numpy(), 1e-7)
    close(found.news, theirs.news.to_numpy(), 1e-7)
    close(found.expected, theirs.update_forecasts.to_numpy(), 1e-7)
    np.testing.assert_array_equal(found.updates, theirs.updates_iloc.to_numpy(int))
    # their weights have data in rows, and dates and variables in columns
    weights = theirs.weights.to_numpy().reshape(len(found.news), 3, 2).transpose(1, 2, 0)
    close(found.update_weights, weights, 1e-7)


def test_vintages_that_do_not_follow_each_other_are_refused(nile):
    with pytest.raises(InputError, match="current has 9 rows, but previous has 10"):
        gaussian.news(LEVEL, nile[:10], nile[:9], 12)
    with pytest.raises(InputError, match="undetermined"):
        gaussian.news(LEVEL, np.full((3, 1), np.nan), nile[:4], 5)


def test_a_value_that_is_withdrawn_takes_its_news_along(nile):
    """There and back is the same way."""
    hole = nile[:10].copy()
    hole[7] = np.nan
    there, back = gaussian.news(LEVEL, hole, nile[:10], 12), gaussian.news(LEVEL, nile[:10], hole, 12)
    np.testing.assert_array_equal(back.withdrawals, [[7, 0]])
    close(back.withdrawal_impacts, -there.update_impacts)
    close(back.current - back.previous, there.previous - there.current)


def test_nothing_new_changes_nothing(nile):
    found = gaussian.news(LEVEL, nile[:10], nile[:10], 3)
    assert found.update_impacts.shape == found.revision_impacts.shape == (1, 1, 0)
    np.testing.assert_array_equal(found.previous, found.current)
