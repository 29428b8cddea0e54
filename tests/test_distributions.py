"""Distributions against scipy.stats, plain NumPy on samples, and invariants of monotone maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, stats

from ssmts.distributions import Gaussian, Paths, Quantiles, Stacked, Transformed, check_probabilities
from ssmts.exceptions import InputError, InputTypeError

SHAPE = (2, 3, 2)
Q = (0.025, 0.1, 0.5, 0.9, 0.975)
finite = st.floats(-50, 50)
probabilities = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=6)


def random_gaussian(rng, shape=SHAPE, **kwargs):
    return Gaussian(rng.normal(size=shape), rng.uniform(0.01, 1.0, shape), **kwargs)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_gaussian_equals_scipy(rng):
    g = random_gaussian(rng)
    reference = stats.norm(g.mean()[..., None], np.sqrt(g.cov)[..., None])
    np.testing.assert_allclose(g.quantile(Q), reference.ppf(Q), rtol=1e-12)
    assert (g.n_series, g.horizon, g.n_outputs) == SHAPE
    assert repr(g) == "Gaussian(n_series=2, horizon=3, n_outputs=2)"


def test_gaussian_full_covariance_uses_its_diagonal(rng):
    root = rng.normal(size=(*SHAPE, 2))
    cov = root @ np.swapaxes(root, -1, -2)
    mean = rng.normal(size=SHAPE)
    marginal = Gaussian(mean, np.diagonal(cov, axis1=2, axis2=3))
    np.testing.assert_array_equal(Gaussian(mean, cov).quantile(Q), marginal.quantile(Q))
    np.testing.assert_array_equal(Gaussian(mean, cov).variance(), marginal.variance())


def test_gaussian_of_unknown_steps_covers_everything():
    g = Gaussian(np.full((1, 1, 1), 3.0), np.full((1, 1, 1), np.inf))
    np.testing.assert_array_equal(g.quantile([0.1, 0.5, 0.9]).ravel(), [-np.inf, 3.0, np.inf])
    mapped = Transformed(g, np.exp, [True])
    np.testing.assert_array_equal(mapped.quantile([0.1, 0.9]).ravel(), [0.0, np.inf])
    assert mapped.mean().item() == np.exp(3.0)


def test_gaussian_mean_cannot_be_changed_from_outside(rng):
    g = random_gaussian(rng)
    g.mean()[:] = 0
    assert np.all(g.mean() != 0)


def test_gaussian_draws_from_the_model(rng):
    def draw(n, generator):
        return generator.normal(size=(n, *SHAPE)).cumsum(axis=2)

    g = Gaussian(np.zeros(SHAPE), np.ones(SHAPE), draw)
    expected = np.random.default_rng(3).normal(size=(4, *SHAPE)).cumsum(axis=2)
    np.testing.assert_array_equal(g.sample(4, np.random.default_rng(3)), expected)
    with pytest.raises(InputError, match="no model to draw paths"):
        Gaussian(np.zeros(SHAPE), np.ones(SHAPE)).sample(4, rng)
    with pytest.raises(InputError, match=r"draw must give shape \(4, 2, 3, 2\); it gave \(4, 2, 3\)"):
        Gaussian(np.zeros(SHAPE), np.ones(SHAPE), lambda n, _: np.zeros((n, 2, 3))).sample(4, rng)


@pytest.mark.parametrize(
    "mean, cov, message",
    [
        (np.zeros(3), np.zeros(3), r"mean must have shape \(n_series, horizon, n_outputs\); received \(3,\)"),
        (np.zeros(SHAPE), np.zeros((2, 3, 1)), r"cov must have shape \(2, 3, 2\)"),
        (np.zeros((1, 2, 1)), np.array([[[1.0], [-2.0]]]), r"negative variance, -2, at .* \(0, 1, 0\)"),
    ],
)
def test_gaussian_refuses_bad_arrays(mean, cov, message):
    with pytest.raises(InputError, match=message):
        Gaussian(mean, cov)


def test_quantiles_equal_linear_interpolation(rng):
    values = np.sort(rng.normal(size=(*SHAPE, len(Q))), axis=-1)
    wanted = np.array([0.025, 0.3, 0.5, 0.61, 0.975])
    expected = np.apply_along_axis(lambda held: np.interp(wanted, Q, held), -1, values)
    np.testing.assert_allclose(Quantiles(Q, values).quantile(wanted), expected, rtol=1e-12, atol=1e-14)


def test_quantiles_mean_integrates_the_quantile_function(rng):
    values = np.sort(rng.normal(size=(1, 1, 1, len(Q))), axis=-1)
    area = integrate.quad(lambda u: np.interp(u, Q, values.ravel()), 0, 1, points=Q, epsabs=1e-12)[0]
    assert Quantiles(Q, values).mean().item() == pytest.approx(area, rel=1e-10)
    assert Quantiles([0.5], values[..., :1]).mean().item() == values[0, 0, 0, 0]


def test_quantiles_of_a_normal_approach_its_mean():
    q = np.linspace(0.0005, 0.9995, 2000)
    d = Quantiles(q, stats.norm(2.0, 3.0).ppf(q).reshape(1, 1, 1, -1))
    assert d.mean().item() == pytest.approx(2.0, abs=1e-9)


def test_quantiles_infinite_ends_stay_infinite():
    d = Quantiles([0.1, 0.5, 0.9], np.array([-np.inf, 0.0, np.inf]).reshape(1, 1, 1, 3))
    np.testing.assert_array_equal(d.quantile([0.1, 0.5, 0.9]).ravel(), [-np.inf, 0.0, np.inf])


def test_quantiles_refuse_what_they_do_not_hold(rng):
    d = Quantiles([0.1, 0.9], np.zeros((1, 2, 1, 2)))
    with pytest.raises(InputError, match=r"Quantile 0.95 lies outside the held range 0.1 to 0.9"):
        d.quantile([0.5, 0.95])
    with pytest.raises(InputError, match="no path can be drawn"):
        d.sample(2, rng)
    with pytest.raises(InputError, match=r"needs quantiles on both sides of 0.5"):
        Quantiles([0.8, 0.9], np.zeros((1, 2, 1, 2))).mean()
    with pytest.raises(InputError, match="strictly increasing"):
        Quantiles([0.9, 0.1], np.zeros((1, 2, 1, 2)))
    with pytest.raises(InputError, match=r"received \(1, 2, 1, 3\)"):
        Quantiles([0.1, 0.9], np.zeros((1, 2, 1, 3)))
    with pytest.raises(InputError, match=r"decrease along q at .* \(0, 1, 0\)"):
        Quantiles([0.1, 0.9], np.array([[[[0.0, 1.0]], [[1.0, 0.0]]]]))


def test_paths_are_empirical(rng):
    values = rng.normal(size=(50, *SHAPE))
    d = Paths(values)
    np.testing.assert_allclose(d.mean(), values.mean(axis=0))
    for i, q in enumerate(Q):
        np.testing.assert_allclose(d.quantile(Q)[..., i], np.quantile(values, q, axis=0))
    drawn = d.sample(200, rng)
    held = {path.tobytes() for path in values}
    assert drawn.shape == (200, *SHAPE)
    assert {path.tobytes() for path in drawn} <= held
    with pytest.raises(InputError, match="at least one path"):
        Paths(np.zeros((0, 1, 2, 1)))


def test_lognormal_equals_scipy(rng):
    base = random_gaussian(rng)
    d = Transformed(base, np.exp, [True, True])
    reference = stats.lognorm(s=np.sqrt(base.cov), scale=np.exp(base.mean()))
    np.testing.assert_allclose(d.mean(), reference.mean(), rtol=1e-12)
    for i, q in enumerate(Q):
        np.testing.assert_allclose(d.quantile(Q)[..., i], reference.ppf(q), rtol=1e-12)
    np.testing.assert_allclose(d.quantile([0.5])[..., 0], np.exp(base.mean()), rtol=1e-14)


def test_square_has_the_mean_of_a_noncentral_chi_square():
    d = Transformed(Gaussian(np.full((1, 1, 1), 3.0), np.full((1, 1, 1), 0.25)), np.square, [True])
    assert d.mean().item() == pytest.approx(3.0**2 + 0.25, rel=1e-13)


def test_decreasing_maps_swap_the_tails(rng):
    base = random_gaussian(rng)
    d = Transformed(base, lambda x: np.stack([np.exp(x[..., 0]), -2 * x[..., 1]], axis=-1), [True, False])
    sd = np.sqrt(base.cov)
    for i, q in enumerate(Q):
        lognormal = stats.lognorm(s=sd[..., 0], scale=np.exp(base.mean()[..., 0]))
        np.testing.assert_allclose(d.quantile(Q)[..., 0, i], lognormal.ppf(q), rtol=1e-12)
        normal = stats.norm(-2 * base.mean()[..., 1], 2 * sd[..., 1])
        np.testing.assert_allclose(d.quantile(Q)[..., 1, i], normal.ppf(q), rtol=1e-10)
    np.testing.assert_allclose(d.mean()[..., 1], -2 * base.mean()[..., 1], rtol=1e-10)


def test_transformed_quantiles_swap_tails_within_the_held_range():
    base = Quantiles([0.1, 0.5, 0.9], np.array([1.0, 2.0, 4.0]).reshape(1, 1, 1, 3))
    d = Transformed(base, np.reciprocal, [False])
    np.testing.assert_allclose(d.quantile([0.1, 0.5, 0.9]).ravel(), [0.25, 0.5, 1.0])
    assert d.mean().item() == pytest.approx(0.3 * 1 + 0.4 * 0.5 + 0.3 * 0.25)


def test_transformed_paths_are_mapped_paths(rng):
    values = rng.normal(size=(20, *SHAPE))
    d = Transformed(Paths(values), np.exp, [True, True])
    np.testing.assert_allclose(d.mean(), np.exp(values).mean(axis=0))
    np.testing.assert_array_equal(
        d.sample(7, np.random.default_rng(1)), np.exp(Paths(values).sample(7, np.random.default_rng(1)))
    )


def test_transformations_nest(rng):
    base = random_gaussian(rng)
    nested = Transformed(Transformed(base, lambda x: 2 * x, [True, True]), np.exp, [True, True])
    direct = Transformed(base, lambda x: np.exp(2 * x), [True, True])
    np.testing.assert_allclose(nested.mean(), direct.mean(), rtol=1e-14)
    np.testing.assert_allclose(nested.quantile(Q), direct.quantile(Q), rtol=1e-14)


def test_mean_is_conditional_on_the_domain_of_the_map():
    d = Transformed(Gaussian(np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 0.04)), np.sqrt, [True])
    reference = stats.norm(2.0, 0.2).expect(np.sqrt, lb=0.5, ub=3.5)
    assert d.mean().item() == pytest.approx(reference, rel=1e-10)
    nowhere = Transformed(Gaussian(np.full((1, 1, 1), -9.0), np.full((1, 1, 1), 0.01)), np.sqrt, [True])
    assert np.isnan(nowhere.mean()).all()


def test_mean_does_not_depend_on_how_rows_are_chunked(rng, monkeypatch):
    base = random_gaussian(rng, (7, 5, 2))
    whole = Transformed(base, np.exp, [True, True]).mean()
    monkeypatch.setattr("ssmts.distributions._CHUNK", 3)
    np.testing.assert_allclose(Transformed(base, np.exp, [True, True]).mean(), whole, rtol=1e-15)


def test_transformed_refuses_a_map_that_changes_the_shape(rng):
    base = random_gaussian(rng)
    with pytest.raises(InputError, match="must keep the shape"):
        Transformed(base, lambda x: x[..., :1], [True, True]).mean()
    with pytest.raises(InputError, match=r"increasing must have shape \(2,\)"):
        Transformed(base, np.exp, [True])


def test_stacked_series_keep_their_numbers(rng):
    first, second = random_gaussian(rng, (1, 3, 2)), Transformed(random_gaussian(rng, (2, 5, 2)), np.exp, [True, True])
    d = Stacked([first, second])
    assert (d.n_series, d.horizon, d.n_outputs) == (3, 5, 2)
    for whole, a, b in [
        (d.mean(), first.mean(), second.mean()),
        (d.quantile(Q), first.quantile(Q), second.quantile(Q)),
    ]:
        np.testing.assert_array_equal(whole[:1, :3], a)
        assert np.isnan(whole[:1, 3:]).all()
        np.testing.assert_array_equal(whole[1:], b)
    with pytest.raises(InputError, match="same number of outputs"):
        Stacked([first, random_gaussian(rng, (1, 3, 1))])


def test_stacked_paths_are_those_of_each_series(rng):
    parts = [Paths(rng.normal(size=(4, 1, h, 1))) for h in (2, 3)]
    drawn = Stacked(parts).sample(6, np.random.default_rng(0))
    generator = np.random.default_rng(0)
    assert drawn.shape == (6, 2, 3, 1)
    np.testing.assert_array_equal(drawn[:, :1, :2], parts[0].sample(6, generator))
    np.testing.assert_array_equal(drawn[:, 1:], parts[1].sample(6, generator))
    assert np.isnan(drawn[:, 0, 2]).all()


@given(arrays(np.float64, SHAPE, elements=finite), arrays(np.float64, SHAPE, elements=st.floats(0, 25)), probabilities)
def test_monotone_maps_commute_with_quantiles(mean, cov, q):
    base = Gaussian(mean, cov)
    rising = Transformed(base, np.arcsinh, [True, True])
    np.testing.assert_allclose(rising.quantile(q), np.arcsinh(base.quantile(q)), rtol=1e-12)
    falling = Transformed(base, lambda x: -np.arcsinh(x), [False, False])
    complement = 1 - np.array(q)
    np.testing.assert_allclose(falling.quantile(q), -np.arcsinh(base.quantile(complement)), rtol=1e-12)
    assert np.all(np.diff(falling.quantile(sorted(q)), axis=-1) >= -1e-12)
    np.testing.assert_allclose(rising.mean(), -falling.mean(), rtol=1e-12, atol=1e-12)


@given(arrays(np.float64, SHAPE, elements=finite), finite, st.floats(0.1, 5))
def test_affine_maps_move_the_mean_with_them(mean, shift, scale):
    base = Gaussian(mean, np.full(SHAPE, 2.0))
    mapped = Transformed(base, lambda x: shift + scale * x, [True, True])
    np.testing.assert_allclose(mapped.mean(), shift + scale * mean, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, [0.5, 1.5], np.nan, 10])
def test_probabilities_lie_between_0_and_1(q):
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        check_probabilities(q)


def test_probabilities_are_numbers():
    assert check_probabilities(0.5) == (0.5,)
    assert check_probabilities(np.array([0.1, 0.9])) == (0.1, 0.9)
    for bad in ("0.5", [True], None, [[0.1], [0.2]]):
        with pytest.raises(InputTypeError, match="must be a number or a sequence of numbers"):
            check_probabilities(bad)
    with pytest.raises(InputError, match="empty"):
        check_probabilities([])
