"""Run lengths against all segmentations, marginal likelihoods in closed form, the restarted recursion by hand, and published changes."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gammaln, logsumexp

from ssmts.detection import baseline, run_lengths
from ssmts.detection.change_point import _traced
from ssmts.detection.run_lengths import Prior, Runs

CONJUGATE = Prior(0.3, 0.2, 1.5, 0.8, False)
RELATIVE = Prior(0.3, 0.2, 1.5, 0.8, True)


def told(
    x, prior=CONJUGATE, hazard=0.1, window=1e9, restarts=False, n_runs=500, limit=np.inf, patience=1e9, drop=False
):
    """What is said of rows that are standardised already, and the state after them."""
    x = x[:, None] if x.ndim == 1 else x
    level, start = baseline.constant(np.zeros(x.shape[1]), np.ones(x.shape[1]))
    negligible = run_lengths.NEGLIGIBLE if drop else -np.inf
    model = Runs(level, np.full(x.shape[1], limit), prior, hazard, window, np.inf, restarts, negligible)
    state = run_lengths.start(start, n_runs)
    return run_lengths.run(model, state, x, np.ones(len(x)), patience, full=True)


def evidence(x, prior):
    """Log marginal likelihood of one run: Murphy (2007), equation 95 for the normal-inverse-gamma distribution."""
    mean, kappa, alpha, beta, relative = prior
    if relative:
        first = stats.t.logpdf(x[0], 2 * alpha, mean, np.sqrt(beta * (kappa + 1) / (alpha * kappa)))
        return first + (evidence(x[1:], Prior(x[0], 1.0, alpha, beta, False)) if len(x) > 1 else 0.0)
    n = len(x)
    kappa_n, alpha_n = kappa + n, alpha + n / 2
    beta_n = beta + 0.5 * ((x - x.mean()) ** 2).sum() + kappa * n * (x.mean() - mean) ** 2 / (2 * kappa_n)
    return (
        gammaln(alpha_n) - gammaln(alpha) + alpha * np.log(beta) - alpha_n * np.log(beta_n)
        + 0.5 * np.log(kappa / kappa_n) - n / 2 * np.log(2 * np.pi)
    )  # fmt: skip


def exact(x, prior, hazard):
    """Log probabilities of all starts after each reading, and the most probable sequence of changes up to it."""
    n = len(x)
    total, best, back = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1, dtype=int)
    posterior, centre = np.full((n, n), -np.inf), np.full(n, prior.mean)
    for t in range(n):
        if t and prior.relative:
            top = posterior[t - 1].argmax()
            centre[t] = x[top:t].mean() if t - top >= 5 else centre[t - 1]
        for s in range(t + 1):
            run = (
                evidence(x[s : t + 1], prior._replace(mean=centre[s]))
                + (t - s) * np.log1p(-hazard)
                + (np.log(hazard) if s else 0.0)
            )
            posterior[t, s] = total[s] + run
            if s == 0 or best[s] + run > best[t + 1]:
                best[t + 1], back[t + 1] = best[s] + run, s
        total[t + 1] = logsumexp(posterior[t, : t + 1])
        posterior[t] -= total[t + 1]
    return posterior, back[1:]


def test_probabilities_are_those_of_all_segmentations():
    prior = CONJUGATE
    x = np.array([0.1, -0.4, 0.2, 3.1, 2.7, 3.3, -1.0, 0.5, 0.2])
    n, hazard = len(x), 0.2
    weight, changes = {}, []
    for cuts in itertools.product([False, True], repeat=n - 1):
        edges = [0, *(np.flatnonzero(cuts) + 1), n]
        log_p = sum(evidence(x[a:b], prior) for a, b in itertools.pairwise(edges))
        log_p += sum(np.log(hazard) if cut else np.log1p(-hazard) for cut in cuts)
        weight.setdefault(edges[-2], []).append(log_p)
        changes.append((log_p, edges[1:-1]))
    starts = {s: logsumexp(terms) for s, terms in weight.items()}
    total = logsumexp(list(starts.values()))
    got, state = told(x, prior, hazard)
    alive = int(state.counts[0, run_lengths.ALIVE])
    runs = state.runs[0, :alive]
    assert {int(s) for s in runs[:, run_lengths.START]} == set(starts)
    for run in runs:
        assert run[run_lengths.WEIGHT] == pytest.approx(starts[int(run[run_lengths.START])] - total, abs=1e-10)
    assert _traced(got.start[:, 0], False) == list(max(changes, key=lambda pair: pair[0])[1])
    assert got.run[-1, 0] == n - max(starts, key=starts.get)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.floats(-6, 6), st.floats(0.2, 3), st.integers(2, 12)), min_size=1, max_size=4),
    st.sampled_from([CONJUGATE, RELATIVE]),
    st.sampled_from([0.004, 0.1, 0.5]),
    st.integers(1, 30),
)
def test_scores_and_changes_equal_marginal_likelihoods_in_closed_form(pieces, prior, hazard, window):
    rng = np.random.default_rng(len(pieces) + window)
    x = np.concatenate([mean + sd * rng.standard_normal(n) for mean, sd, n in pieces])
    posterior, back = exact(x, prior, hazard)
    got, _ = told(x, prior, hazard, window)
    for t in range(len(x)):
        settled = max(t - window, 0)
        expected = -logsumexp(posterior[t, : settled + 1])
        assert got.score[t, 0] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    np.testing.assert_array_equal(got.start[:, 0], back)
    np.testing.assert_array_equal(got.run[:, 0], np.arange(1, len(x) + 1) - posterior.argmax(axis=1))


def slow_restarted(x, prior, eta):
    """Log of the best weight over the oldest one's at each row, and the changes: Alami et al. (2020), algorithm 1."""
    ratios, changes, oldest, centre = [], [], 0, prior.mean
    weights = {}
    for t in range(len(x)):
        if t == oldest:
            means = {t: prior._replace(mean=centre)}
            weights = {t: evidence(x[t : t + 1], means[t])}
            ratios.append(-np.inf)
            continue
        before = weights[oldest]  # the predictive probability of x[oldest..t-1] by the oldest
        top = max(weights, key=weights.get)
        if prior.relative and t - top >= 5:
            centre = x[top:t].mean()
        means[t] = prior._replace(mean=centre)
        weights = {s: evidence(x[s : t + 1], means[s]) - evidence(x[s:t], means[s]) + w for s, w in weights.items()}
        weights[t] = np.log(eta) + before + evidence(x[t : t + 1], means[t])
        best = max((s for s in weights if s != oldest), key=weights.get)
        ratios.append(weights[best] - weights[oldest])
        if ratios[-1] > 0:
            changes.append(best)
            oldest = t + 1
    return np.array(ratios), changes


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.floats(-6, 6), st.floats(0.2, 3), st.integers(2, 15)), min_size=1, max_size=4),
    st.sampled_from([CONJUGATE, RELATIVE]),
    st.sampled_from([0.004, 0.1]),
)
def test_restarted_equals_its_recursion(pieces, prior, hazard):
    rng = np.random.default_rng(len(pieces))
    x = np.concatenate([mean + sd * rng.standard_normal(n) for mean, sd, n in pieces])
    ratios, changes = slow_restarted(x, prior, hazard)
    got, _ = told(x, prior, hazard, restarts=True, limit=run_lengths.EVIDENT, patience=1)
    np.testing.assert_allclose(got.score[:, 0], np.logaddexp(0.0, ratios), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(got.dropped[~np.isnan(got.dropped)], changes)


def test_few_runs_are_nearly_as_good_as_all():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1200, 8))
    x[600:, :4] += 0.8
    every = told(x, RELATIVE, 0.004, 100, n_runs=1200)[0]
    few = told(x, RELATIVE, 0.004, 100, n_runs=64, drop=True)[0]
    np.testing.assert_allclose(few.score[:600], every.score[:600], rtol=0.1, atol=0.2)
    onset = np.abs(few.score[600:660] - every.score[600:660])
    assert onset.mean() < 0.2
    assert (few.run == every.run).mean() > 0.9


def test_silent_rows_are_as_if_they_were_not_but_count_as_rows():
    x = np.random.default_rng(1).standard_normal(80)
    x[40:] += 4
    sparse = np.full(160, np.nan)
    sparse[::2] = x
    got, plain = told(sparse)[0], told(x)[0]
    np.testing.assert_allclose(got.score[::2], plain.score, atol=1e-12)
    assert np.isnan(got.score[1::2]).all()
    assert _traced(got.start[:, 0], False) == [2 * at for at in _traced(plain.start[:, 0], False)]
    np.testing.assert_array_equal(got.run[::2], 2 * plain.run - 1)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_settled_change_is_no_news(restarts):
    rng = np.random.default_rng(2)
    x = rng.standard_normal(600)
    x[200:] += 5.0
    x[400:] *= 0.1
    got, _ = told(x, RELATIVE, 0.004, 100, restarts, limit=7.0, patience=5, drop=True)
    alarm = np.flatnonzero(got.score[:, 0] >= 7.0)
    assert 200 <= alarm[0] <= 203
    assert (alarm < 400).sum() == 5
    assert (alarm >= 400).sum() == 5
    assert alarm[-1] < 440


@pytest.mark.parametrize("size", [1e3, -1e9])
def test_far_from_the_prior_the_next_change_is_found_as_soon(size):
    x = np.random.default_rng(3).standard_normal(300)
    x[100:] += size
    x[200:] += 4.0
    got, _ = told(x, RELATIVE, 0.004, 100, limit=7.0, patience=5, drop=True)
    alarm = np.flatnonzero(got.score[:, 0] >= 7.0)
    assert set(alarm[alarm < 200]) == set(range(100, 105))
    assert 200 <= alarm[alarm >= 200][0] <= 204


@pytest.mark.parametrize("score", [0.5, 5.0, 40.0])
def test_reach_is_where_one_reading_has_the_score(score):
    prior = Prior(0.0, 0.1, 2.0, 2.0, True)
    level, _ = baseline.constant(np.zeros(1), np.ones(1))
    model = Runs(level, np.ones(1), prior, 0.004, 100.0, np.inf, False)
    edge = run_lengths.reach(model, np.array([[score]]))[0, 0]
    log_old = stats.norm.logpdf(edge) + np.log1p(-0.004)
    log_new = stats.t.logpdf(edge, 4, 0, np.sqrt(2.2 / 0.2)) + np.log(0.004)
    assert np.logaddexp(log_old, log_new) - log_old == pytest.approx(score, rel=1e-6)


# Change points of the R package ocp with a = b = k = 1 and an expected run of 100, rows counted from 0: results "default_bocpd" of
# the Turing change point benchmark (van den Burg and Williams 2020, arXiv:2003.06222), github.com/alan-turing-institute/TCPDBench.
PUBLISHED = {
    "nile": [28],
    "seatbelts": [10, 72, 168],
    "quality_control_1": [144, 179],
    "well_log": [4, 173, 179, 202, 204, 239, 255, 281, 311, 343, 402, 412, 432, 462, 464, 657, 661],
}


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_changes_are_found(data_folder, name):
    series = json.loads((data_folder / "tcpd" / f"{name}.json").read_text())["series"][0]["raw"]
    x = np.array(series, dtype=float)
    x = (x - x.mean()) / x.std(ddof=1)
    got, _ = told(x, Prior(0.0, 1.0, 1.0, 1.0, False), 0.01, drop=True)
    found = _traced(got.start[:, 0], False)
    # The package looks for the best past among runs that it has not truncated at 1e-4.
    for at in PUBLISHED[name]:
        assert min(abs(at - other) for other in found) <= 1
    assert len(found) <= len(PUBLISHED[name]) + 2
