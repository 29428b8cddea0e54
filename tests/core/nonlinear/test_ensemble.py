"""Ensemble filters and smoothers against the Kalman filter, exactly where moments are exact and statistically elsewhere."""

import numpy as np
import pytest

from ssmts.core import gaussian
from ssmts.core.nonlinear import (
    Ensemble,
    NonlinearGaussianSSM,
    ensemble_filter,
    ensemble_smooth,
    filter,
    gaspari_cohn,
    smooth,
)
from ssmts.core.types import State
from ssmts.exceptions import InputError, NumericalError

from .models import KITAGAWA, as_functions, kitagawa, linear, lorenz96, simulated
from .test_filter import close


@pytest.mark.parametrize("seed", range(4))
def test_exact_moments_make_it_the_kalman_filter(seed):
    lin, ssm, y = linear(seed, varying=seed % 2 == 0)
    got, want = filter(ssm, y, Ensemble(12, random_state=seed)), gaussian.filter(lin, y)
    for name in want._fields:
        if name != "state":
            close(getattr(got, name), getattr(want, name))
    close(got.state.mean, want.state.mean)
    close(smooth(ssm, y, Ensemble(12, random_state=seed)).mean, gaussian.moments(lin, y).mean)


def test_one_observation_after_the_other_is_the_kalman_filter_too():
    lin = linear(2, varying=False, full=False, singular=False, dy=3)[0]
    y = linear(2, dy=3)[2]
    whole = np.ones((3, 3)), np.ones((3, 3))
    got, want = filter(as_functions(lin), y, Ensemble(9, localisation=whole, random_state=0)), gaussian.filter(lin, y)
    close(got.filtered_mean, want.filtered_mean)
    close(got.filtered_cov, want.filtered_cov)
    close(got.loglik, want.loglik)


@pytest.mark.parametrize("square_root", [True, False])
def test_large_ensembles_reach_the_smoother(square_root):
    lin, ssm, y = linear(7, varying=False)
    want = gaussian.moments(lin, y)
    got = smooth(ssm, y, Ensemble(40_000, random_state=0, square_root=square_root))
    scale = np.sqrt(np.diagonal(want.cov, axis1=1, axis2=2))
    near = 0.05 if square_root else 0.12
    assert np.abs((got.mean - want.mean) / scale).max() < near
    relative = (got.cov - want.cov) / (scale[:, :, None] * scale[:, None, :])
    assert np.abs(relative).max() < near
    assert np.abs((got.lag_one - want.lag_one) / (scale[1:, :, None] * scale[:-1, None, :])).max() < near
    assert abs(got.loglik - want.loglik) < 4 * near


def test_localisation_by_zeros_keeps_parts_apart():
    """Two models side by side, whose members correlate by chance only."""
    ssm = NonlinearGaussianSSM(lambda x, t: 0.8 * x, lambda x, t: x, np.eye(2), np.eye(2), np.zeros(2), np.eye(2))
    y = np.array([[1.5, -2.0]])
    apart = np.eye(2), np.eye(2)
    done = ensemble_filter(ssm, y, Ensemble(5, localisation=apart, random_state=0))
    mean, variance = done.predicted[0].mean(axis=0), done.predicted[0].var(axis=0, ddof=1)
    close(done.filtered[0].mean(axis=0), mean + variance / (variance + 1) * (y[0] - mean))
    close(done.filtered[0].var(axis=0, ddof=1), variance / (variance + 1))
    first, second = (
        ensemble_filter(ssm, row, Ensemble(5, localisation=apart, random_state=0, square_root=False))
        for row in (y, y + [[0.0, 1.0]])
    )
    close(first.filtered[0, :, 0], second.filtered[0, :, 0])
    assert np.abs(first.filtered[0, :, 1] - second.filtered[0, :, 1]).min() > 0.1


def test_lorenz_is_followed_with_few_members_if_far_off_is_far_off():
    """Sakov and Oke (2008) report root mean squared errors near 0.2 for square-root filters of this setting."""
    ssm = lorenz96()
    start = ssm.transition
    x = ssm.initial_mean
    for t in range(400):
        x = start(x, t)
    rng = np.random.default_rng(0)
    ssm = ssm._replace(initial_mean=x)
    states, y = simulated(ssm, 300, rng)
    around = np.arange(40)
    distance = np.minimum((around[:, None] - around) % 40, (around - around[:, None]) % 40)
    taper = gaspari_cohn(distance / 4.0)

    def error(rule):
        members = ensemble_filter(ssm, y, rule).filtered
        return np.sqrt(np.mean((members.mean(axis=1) - states)[100:] ** 2))

    assert error(Ensemble(40, random_state=1, inflation=1.02)) < 0.25
    assert error(Ensemble(10, random_state=1, inflation=1.03, localisation=(taper, taper))) < 0.3
    assert error(Ensemble(10, random_state=1, inflation=1.03)) > 0.8
    assert error(Ensemble(20, random_state=1, inflation=1.06, localisation=(taper, taper), square_root=False)) < 0.4


def test_the_same_number_gives_the_same_ensemble_and_a_state_starts_one():
    y = KITAGAWA[:8]
    rule = Ensemble(30, random_state=4, square_root=False)
    np.testing.assert_array_equal(
        ensemble_filter(kitagawa(), y, rule).filtered, ensemble_filter(kitagawa(), y, rule).filtered
    )
    members = ensemble_filter(
        kitagawa(), y, Ensemble(30, random_state=4), state=State(*map(np.array, ([7.0], [[2.0]], [[0.0]], 0)))
    )
    close(members.predicted[0].mean(axis=0), [7.0])
    close(members.predicted[0].var(axis=0, ddof=1), [2.0])
    batch = filter(kitagawa(), np.stack([y, y + 0.1]), rule)
    assert batch.filtered_cov.shape == (2, 8, 1, 1)
    assert smooth(kitagawa(), np.stack([y, y]), rule).mean.shape == (2, 8, 1)


def test_gaspari_cohn_is_a_correlation():
    place = np.arange(30)
    taper = gaspari_cohn((place[:, None] - place) / 5)
    assert np.linalg.eigvalsh(taper).min() > -1e-12
    assert (np.diff(taper[0]) <= 0).all()
    assert (taper[0, 10:] == 0).all()
    close(gaspari_cohn([1 - 1e-9]), gaspari_cohn([1 + 1e-9]), 1e-8)


def test_errors_say_what_to_do():
    lin, ssm, y = linear(1, varying=False)
    whole = np.ones((3, 2)), np.ones((2, 2))
    with pytest.raises(InputError, match="not diagonal"):
        filter(ssm, y, Ensemble(localisation=whole))
    with pytest.raises(InputError, match="localisation has the shapes"):
        filter(ssm, y, Ensemble(localisation=(np.ones((2, 3)), np.ones((2, 2)))))
    with pytest.raises(InputError, match="smooth without it"):
        smooth(ssm, y, Ensemble(localisation=whole, square_root=False))
    with pytest.raises(InputError, match="batch"):
        ensemble_smooth(ssm, y[None], Ensemble())
    with pytest.raises(InputError, match="n_members"):
        Ensemble(1)
    with pytest.raises(InputError, match="inflation"):
        Ensemble(inflation=0.0)
    with pytest.raises(NumericalError, match="innovation_cov is singular"):
        filter(ssm._replace(obs_cov=0 * lin.obs_cov), np.zeros((2, 2)), Ensemble(2, random_state=0))
