"""Control charts against published run lengths, Markov chains and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from ssmts.detection import baseline, charts
from ssmts.detection.charts import Chart


def chart(d, gate=np.inf, size=1.0, weight=0.1, window=32, limit=np.inf):
    """A chart of rows that are standardised already, and its state before them."""
    level, state = baseline.constant(np.zeros(d), np.ones(d))
    return Chart(level, np.full(d, limit), size, weight, charts.grid(window), gate), state


def scores(method, z, patience=np.inf, state=None, full=False, **settings):
    model, level = chart(z.shape[1], **settings)
    state = charts.start(method, level, int(model.windows[-1])) if state is None else state
    return charts.run(method, model, state, z, np.ones(len(z)), patience, full=full)


# run lengths ------------------------------------------------------------------------------------------------------


def cusum_arl(k, h, mean, n=400):
    """Average run length of a one-sided CUSUM of N(mean, 1): Markov chain of n + 1 states (Brook and Evans 1972)."""
    width = 2 * h / (2 * n + 1)
    i, j = np.arange(n + 1)[:, None], np.arange(n + 1)[None]
    upper = norm.cdf((j - i + 0.5) * width + k - mean)
    step = np.where(j == 0, upper, upper - norm.cdf((j - i - 0.5) * width + k - mean))
    return np.linalg.solve(np.eye(n + 1) - step, np.ones(n + 1))[0]


def two_sided(k, h, mean):
    return 1 / (1 / cusum_arl(k, h, mean) + 1 / cusum_arl(k, h, -mean))


def ewma_arl(weight, limit, mean, n=401):
    """Average run length of an EWMA of N(mean, 1) between +- limit asymptotic standard deviations (Lucas and Saccucci 1990)."""
    edge = limit * np.sqrt(weight / (2 - weight))
    width = 2 * edge / n
    at = -edge + width * (np.arange(n) + 0.5)
    centre = (at[None] - (1 - weight) * at[:, None]) / weight - mean
    step = norm.cdf(centre + 0.5 * width / weight) - norm.cdf(centre - 0.5 * width / weight)
    return np.linalg.solve(np.eye(n) - step, np.ones(n))[n // 2]


def run_lengths(found):
    """Rows up to the first alarm of each sensor."""
    assert found.any(axis=0).all(), "the simulation is too short"
    return found.argmax(axis=0) + 1


# Montgomery (2013), table 9.3 (Lucas 1976): two-sided CUSUM with k = 0.5.
CUSUM_TABLE = [
    (4, 0.0, 168),
    (4, 0.5, 26.6),
    (4, 1.0, 8.38),
    (4, 2.0, 3.34),
    (5, 0.0, 465),
    (5, 0.5, 38.0),
    (5, 1.0, 10.4),
]
# Lucas and Saccucci (1990), table 3, also Montgomery (2013), table 9.11.
EWMA_TABLE = [
    (0.1, 2.814, 0.0, 500),
    (0.1, 2.814, 0.5, 31.3),
    (0.1, 2.814, 1.0, 10.3),
    (0.05, 2.615, 0.0, 500),
    (0.4, 3.054, 1.0, 14.3),
]


@pytest.mark.parametrize("h, mean, published", CUSUM_TABLE)
def test_cusum_has_the_published_run_lengths(h, mean, published):
    expected = two_sided(0.5, h, mean)
    assert expected == pytest.approx(published, rel=0.01)
    z = np.random.default_rng(0).standard_normal((max(int(14 * published), 60), 2000)) + mean
    lengths = run_lengths(scores("cusum", z)[0].score > h)
    assert abs(lengths.mean() - expected) < 4 * lengths.std() / np.sqrt(2000)


@pytest.mark.parametrize("weight, limit, mean, published", EWMA_TABLE)
def test_ewma_has_the_published_run_lengths(weight, limit, mean, published):
    expected = ewma_arl(weight, limit, mean)
    assert expected == pytest.approx(published, rel=0.02)
    z = np.random.default_rng(1).standard_normal((max(int(14 * published), 60), 2000)) + mean
    state = charts.start("ewma", chart(2000)[1], 1)
    state.evidence[:, 1] = weight / (2 - weight)  # the table's limits are those of a chart that has run for long
    lengths = run_lengths(scores("ewma", z, state=state, weight=weight)[0].score > limit**2 / 2)
    assert abs(lengths.mean() - expected) < 4 * lengths.std() / np.sqrt(2000)


def test_ewma_variance_is_exact_from_the_first_row():
    z = np.random.default_rng(2).standard_normal((12, 40000))
    told = scores("ewma", z, weight=0.2, full=True)[0]
    np.testing.assert_allclose((2 * told.score).mean(axis=1), 1.0, atol=0.03)
    np.testing.assert_allclose(told.size.var(axis=1), 0.2**2 * np.cumsum(0.64 ** np.arange(12)), rtol=0.03)


# twins ------------------------------------------------------------------------------------------------------------


def slow_cusum(z, size, gate):
    """Score, shift and window by looking at all starts."""
    told = []
    for t in range(len(z)):
        within = np.append(np.clip(z[:t], -gate, gate), z[t])
        best = (0.0, z[t], 1)
        for sign in (1, -1):
            for start in range(t + 1):
                excess = (sign * within[start:] - size / 2).sum()
                if size * excess > best[0] + 1e-12:
                    best = (size * excess, within[start:].mean(), t - start + 1)
        told.append(best)
    return np.array(told)


def slow_glr(z, windows, gate):
    told = []
    for t in range(len(z)):
        within = np.append(np.clip(z[:t], -gate, gate), z[t])
        best = (-1.0, 0.0, 0)
        for n in windows[windows <= t + 1]:
            total = within[-n:].sum()
            if total**2 / (2 * n) > best[0] + 1e-12:
                best = (total**2 / (2 * n), total / n, n)
        told.append(best)
    return np.array(told)


readings = st.lists(st.floats(-6, 6).map(lambda x: round(x, 3)), min_size=1, max_size=60)


@settings(deadline=None)
@given(readings, st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([2.0, 3.0, np.inf]))
def test_cusum_equals_the_best_of_all_starts(z, size, gate):
    z = np.array(z)
    told = scores("cusum", z[:, None], size=size, gate=gate, full=True)[0]
    expected = slow_cusum(z, size, gate)
    np.testing.assert_allclose(told.score[:, 0], expected[:, 0], atol=1e-9)
    sure = expected[:, 0] > 1e-6
    # Where two starts are as good, either may be told: both fit the score.
    n, mean = told.window[sure, 0], told.size[sure, 0]
    np.testing.assert_allclose(size * n * (np.abs(mean) - size / 2), told.score[sure, 0], atol=1e-8)
    np.testing.assert_allclose(told.size[~sure, 0], z[~sure], atol=1e-5)


@settings(deadline=None)
@given(readings, st.integers(1, 40), st.sampled_from([2.0, np.inf]))
def test_glr_equals_the_best_of_its_windows(z, window, gate):
    z = np.array(z)
    told = scores("glr", z[:, None], window=window, gate=gate, full=True)[0]
    expected = slow_glr(z, charts.grid(window), gate)
    np.testing.assert_allclose(told.score[:, 0], expected[:, 0], atol=1e-8)
    n, mean = told.window[:, 0], told.size[:, 0]
    np.testing.assert_allclose(n * mean**2 / 2, expected[:, 0], atol=1e-8)


@given(st.integers(1, 3000))
def test_windows_of_the_grid_reach_as_far_as_asked(window):
    windows = charts.grid(window)
    assert windows[0] == 1
    assert windows[-1] == window
    assert (windows[1:] / windows[:-1] <= 2).all()
    assert len(windows) <= 2 + 2 * np.log2(window)


def test_glr_finds_shifts_of_unknown_size_as_soon_as_a_cusum_made_for_them():
    """At equal false alarms a GLR takes at most a third longer than the best CUSUM for small and for large shifts (Lorden 1971)."""
    rng = np.random.default_rng(3)
    calm = rng.standard_normal((3000, 300))
    for size in (0.5, 1.0, 2.0):
        late = {}
        for method in ("cusum", "glr"):
            limit = np.quantile(scores(method, calm, size=size, window=128)[0].score, 0.999)
            state = scores(method, calm, size=size, window=128)[1]
            shifted = rng.standard_normal((400, 300)) + size
            late[method] = run_lengths(
                scores(method, shifted, state=state, size=size, window=128)[0].score > limit
            ).mean()
        assert late["glr"] < 1.3 * late["cusum"]


# the stream -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", charts.METHODS)
def test_silent_rows_are_as_if_they_were_not(method):
    rng = np.random.default_rng(4)
    z = rng.standard_normal((200, 1)) + 0.4
    holes = rng.random(300) < 1 / 3
    holes[np.flatnonzero(~holes)[200:]] = True
    sparse = np.full((300, 1), np.nan)
    sparse[~holes] = z[: (~holes).sum()]
    got = scores(method, sparse)[0].score
    assert np.isnan(got[holes]).all()
    np.testing.assert_allclose(got[~holes], scores(method, z[: (~holes).sum()])[0].score, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", charts.METHODS)
def test_windows_count_silent_rows(method):
    z = np.full((12, 1), np.nan)
    z[[2, 5, 9], 0] = 2.5
    told = scores(method, z, full=True)[0]
    assert told.window[9, 0] == {"cusum": 8, "glr": 8, "ewma": 10}[method]


@pytest.mark.parametrize("method", charts.METHODS)
def test_a_spike_counts_in_full_at_once_and_is_forgotten_soon(method):
    z = np.zeros((40, 1))
    z[10] = 1000.0
    got = scores(method, z, gate=3.0)[0].score[:, 0]
    assert got[10] > 900
    assert (got[11:] < 5).all()


@pytest.mark.parametrize("method", charts.METHODS)
@pytest.mark.parametrize("on", ["innovations", "readings"])
def test_an_alarm_lasts_patience_rows_and_then_all_starts_anew(method, on):
    rng = np.random.default_rng(5)
    y = rng.standard_normal((600, 2)) * [1.0, 3.0] + [0.0, 1e3]
    level, state = baseline.fit(on, y, np.ones(600), 8)
    model = Chart(level, np.full(2, 12.0), 1.0, 0.1, charts.grid(64))
    after = charts.run(method, model, charts.start(method, state, 64), y, np.ones(600), 8)[1]
    news = rng.standard_normal((300, 2)) * [1.0, 3.0] + [2.0, 1e3]
    got = charts.run(method, model, after, news, np.ones(300), 8)[0].score
    assert (got[:, 0] >= 12).sum() == 8
    assert (got[:, 1] < 12).all()
    assert np.flatnonzero(got[:, 0] >= 12)[-1] < 40
