"""Heads: what a network's numbers mean, held to scipy and to definitions written out."""

import numpy as np
import pytest
import torch
from scipy import stats

from ssmts.deep.losses import LEVELS, LOSSES, head, mean_of_observed
from ssmts.exceptions import InputError

B, C, N = 2, 3, 5


def numbers(loss, seed=0):
    generator = torch.Generator().manual_seed(seed)
    parameters = torch.randn(B, head(loss).n_parameters, C, N, generator=generator, dtype=torch.float64)
    return parameters, torch.randn(B, C, N, generator=generator, dtype=torch.float64)


def test_errors_are_what_their_names_say():
    parameters, target = numbers("mse")
    error = (parameters[:, 0] - target).numpy()
    np.testing.assert_allclose(head("mse").loss(parameters, target), error**2)
    np.testing.assert_allclose(head("mae").loss(parameters, target), abs(error))


def test_pinball_is_the_mean_over_levels():
    parameters, target = numbers("quantile")
    values = np.sort(parameters.numpy(), axis=1)
    edges = np.r_[0, (np.array(LEVELS[1:]) + LEVELS[:-1]) / 2, 1]
    want = np.zeros((B, C, N))
    for i, q in enumerate(LEVELS):
        error = target.numpy() - values[:, i]
        want += 2 * (edges[i + 1] - edges[i]) * np.where(error > 0, q * error, (q - 1) * error)
    np.testing.assert_allclose(head("quantile").loss(parameters, target), want)


def test_pinball_is_least_at_the_quantiles_of_the_data():
    y = torch.from_numpy(np.random.default_rng(0).standard_normal(4001))[:, None, None]
    best = torch.from_numpy(np.quantile(y.numpy(), LEVELS)).reshape(1, -1, 1, 1).expand(len(y), -1, 1, 1)
    least = head("quantile").loss(best, y).mean()
    for i in range(len(LEVELS)):
        for step in (-0.05, 0.05):
            moved = best.clone()
            moved[:, i] += step
            assert head("quantile").loss(moved, y).mean() > least


def law(loss, parameters):
    p = parameters.numpy()
    scale = np.logaddexp(0, p[:, 1]) + 1e-3
    if loss == "gaussian":
        return stats.norm(p[:, 0], scale)
    return stats.t(np.logaddexp(0, p[:, 2]) + 2, p[:, 0], scale)


@pytest.mark.parametrize("loss", ["gaussian", "student_t"])
def test_likelihoods_and_quantiles_are_those_of_scipy(loss):
    parameters, target = numbers(loss)
    np.testing.assert_allclose(head(loss).loss(parameters, target), -law(loss, parameters).logpdf(target), rtol=1e-10)
    want = np.stack([law(loss, parameters).ppf(q) for q in LEVELS], axis=1)
    np.testing.assert_allclose(head(loss).quantiles(parameters), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_missing_values_cost_nothing_and_move_nothing(loss):
    parameters, target = numbers(loss)
    parameters.requires_grad_()
    holed = target.clone()
    holed[0, 1, 2:] = torch.nan
    found = head(loss).loss(parameters, holed)
    whole = head(loss).loss(parameters, target)
    seen = ~torch.isnan(holed)
    assert torch.equal(found[seen], whole[seen])
    assert not found[~seen].any()
    found.sum().backward()
    assert torch.isfinite(parameters.grad).all()
    assert not parameters.grad[0, :, 1, 2:].any()
    torch.testing.assert_close(mean_of_observed(found, holed), whole[seen].mean())
    assert mean_of_observed(torch.zeros(2), torch.full((2,), torch.nan)) == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_the_centre_is_the_middle_quantile_where_there_are_quantiles(loss):
    parameters, _ = numbers(loss)
    found = head(loss).quantiles(parameters)
    if found is None:
        assert head(loss).n_parameters == 1
    else:
        torch.testing.assert_close(found[:, LEVELS.index(0.5)], head(loss).location(parameters))
        assert (found.diff(dim=1) >= 0).all()


def test_a_loss_that_is_none_is_refused():
    with pytest.raises(InputError, match="'mse', 'mae'"):
        head("rmse")
