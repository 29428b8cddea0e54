import numpy as np
import pytest
from statsmodels.tsa.statespace.initialization import Initialization
from statsmodels.tsa.statespace.structural import UnobservedComponents

from ssmts.components import (
    Autoregression,
    Block,
    Composition,
    Cycle,
    DampedTrend,
    DummySeason,
    Level,
    Regression,
    Spectrum,
    Trend,
    TrigonometricSeason,
    distinct_harmonics,
)
from ssmts.core.gaussian import loglik
from ssmts.exceptions import InputError

Y = np.random.default_rng(0).normal(size=80).cumsum() + 3 * np.sin(np.arange(80))

# our components, our values, statsmodels' arguments, statsmodels' parameters
PAIRS = {
    "level": ([Level()], [1.3, 0.4], {"level": "llevel"}, [1.3, 0.4]),
    "trend": ([Trend()], [1.3, 0.4, 0.02], {"level": "lltrend"}, [1.3, 0.4, 0.02]),
    "smooth": ([Trend(smooth=True)], [1.3, 0.02], {"level": "strend"}, [1.3, 0.02]),
    "trend and dummies": (
        [Trend(), DummySeason(4)],
        [1.3, 0.4, 0.02, 0.1],
        {"level": "lltrend", "seasonal": 4},
        [1.3, 0.4, 0.02, 0.1],
    ),
    "level and harmonics": (
        [Level(), TrigonometricSeason(7, (1, 2))],
        [1.3, 0.4, 0.1],
        {"level": "llevel", "freq_seasonal": [{"period": 7, "harmonics": 2}]},
        [1.3, 0.4, 0.1],
    ),
    "cycle": (
        [Level(), Cycle(5.0, 40.0)],
        [1.3, 0.4, 11.0, 0.9, 0.3],
        {"level": "llevel", "cycle": True, "stochastic_cycle": True, "damped_cycle": True},
        [1.3, 0.4, 0.3, 2 * np.pi / 11, 0.9],
    ),
    "autoregression": (
        [Level(), Autoregression(2)],
        [1.3, 0.4, 0.5, -0.3, 0.7],
        {"level": "llevel", "autoregressive": 2},
        [1.3, 0.4, 0.7, 0.5, -0.3],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_likelihood_equals_that_of_statsmodels(name):
    components, values, arguments, theirs = PAIRS[name]
    peer = UnobservedComponents(Y, use_exact_diffuse=True, **arguments)
    if name == "cycle":  # statsmodels starts a damped cycle diffuse; the stationary law is ours
        start = Initialization(3)
        start.set((0, 1), "diffuse")
        start.set((1, 3), "stationary")
        peer.ssm.initialization = start
    ours = loglik(Composition(components).build(np.array(values)), Y[:, None])
    np.testing.assert_allclose(ours, peer.loglike(theirs), rtol=1e-9)


def test_likelihood_with_covariates_equals_that_of_statsmodels():
    X = np.random.default_rng(1).normal(size=(80, 2))
    peer = UnobservedComponents(Y, "llevel", exog=X, mle_regression=False, use_exact_diffuse=True)
    model = Composition([Level(), Regression(("a", "b"))])
    ours = loglik(model.build(np.array([1.3, 0.4]), X), Y[:, None])
    np.testing.assert_allclose(ours, peer.loglike([1.3, 0.4]), rtol=1e-9)


FULL = Composition(
    [
        DampedTrend(),
        TrigonometricSeason(7, (1, 2, 3), "season_7"),
        Cycle(9.0, 40.0),
        Autoregression(2),
        Regression(("a",)),
    ]
)
VALUES = np.array([1.3, 0.4, 0.02, 0.85, 0.1, 11.0, 0.9, 0.3, 0.5, -0.3, 0.7])


def test_names_and_places():
    assert FULL.parameter_names == (
        *("obs_var", "level_var", "slope_var", "damping", "season_7_var"),
        *("cycle_period", "cycle_damping", "cycle_var", "ar_1", "ar_2", "ar_var"),
    )
    assert FULL.state_slices["cycle"] == slice(8, 10)
    assert FULL.state_names[8:10] == ("cycle", "cycle*")
    assert FULL.covariates == slice(12, 13)
    assert FULL.n_diffuse == 1 + 6 + 1
    assert FULL.is_variance.tolist() == [True, True, True, False, True, False, False, True, False, False, True]
    np.testing.assert_allclose(FULL.from_free(FULL.to_free(VALUES)), VALUES, rtol=1e-12)


def test_blocks_stand_on_the_diagonal():
    X = np.array([[2.0], [3.0]])
    ssm = FULL.build(VALUES, X)
    for component, parameters in FULL.parts():
        block, states = component.block(VALUES[parameters]), FULL.state_slices[component.name]
        np.testing.assert_array_equal(ssm.transition[states, states], block.transition)
        np.testing.assert_array_equal(np.diagonal(ssm.process_cov)[states], block.process_var)
        np.testing.assert_array_equal(ssm.initial_cov[states, states], block.initial_cov)
        outside = np.ones(13, dtype=bool)
        outside[states] = False
        assert not ssm.transition[states][:, outside].any()
    np.testing.assert_array_equal(ssm.observation.values[:, 0, 12], [2.0, 3.0])
    assert ssm.obs_cov.tolist() == [[1.3]]


def test_chain_rule_equals_central_differences():
    """Of a random linear function of the matrices."""
    rng = np.random.default_rng(2)
    weights = {name: rng.normal(size=matrix.shape) for name, matrix in FULL.matrices(VALUES).items()}
    weights["initial_cov"] += weights["initial_cov"].T

    def total(values):
        return sum(np.sum(weights[name] * matrix) for name, matrix in FULL.matrices(values).items())

    differences = [(total(VALUES + step) - total(VALUES - step)) / 2e-6 for step in np.eye(VALUES.size) * 1e-6]
    slopes = FULL.build(VALUES)._replace(**weights)
    np.testing.assert_allclose(FULL.gradient(VALUES, slopes), differences, rtol=1e-6, atol=1e-7)
    jacobian = FULL.free_jacobian(FULL.to_free(VALUES))
    free = FULL.to_free(VALUES)
    columns = [(FULL.from_free(free + s) - FULL.from_free(free - s)) / 2e-6 for s in np.eye(free.size) * 1e-6]
    np.testing.assert_allclose(jacobian, np.column_stack(columns), rtol=1e-6, atol=1e-8)


def test_a_static_composition_adds_up_the_pull_backs_of_its_components():
    model = Composition([Trend(), DummySeason(4), Regression(("a",))])
    values = np.array([1.0, 0.4, 0.02, 0.1])
    noise = np.diag(np.random.default_rng(3).normal(size=6))
    slopes = model.build(values)._replace(process_cov=noise, obs_cov=np.array([[5.0]]))
    expected = [5.0]
    for component, parameters in model.parts():
        states = model.state_slices[component.name]
        k = states.stop - states.start
        block = Block(np.zeros((k, k)), np.diagonal(noise)[states], np.zeros((k, k)))
        own = values[parameters]
        expected += component.pull_back(own, component.block(own), block).tolist()
    np.testing.assert_allclose(model.gradient(values, slopes), expected)


def test_values_that_can_be_fixed():
    FULL.check_fixed({"level_var": 0.0, "damping": 0.9, "ar_1": 0.2, "ar_2": 0.1})
    with pytest.raises(InputError, match=r"'level_variance'.*obs_var, level_var"):
        FULL.check_fixed({"level_variance": 0.0})
    with pytest.raises(InputError, match=r"level_var=-1.0; it must be a finite number, zero or greater"):
        FULL.check_fixed({"level_var": -1.0})
    with pytest.raises(InputError, match=r"damping=1\.0; it must be a number strictly between 0 and 1"):
        FULL.check_fixed({"damping": 1.0})
    with pytest.raises(InputError, match="ar_1 only; fix all of ar_1, ar_2"):
        FULL.check_fixed({"ar_1": 0.5})
    with pytest.raises(InputError, match="stationary"):
        FULL.check_fixed({"ar_1": 0.5, "ar_2": 0.6})


def test_an_empty_model_is_refused():
    with pytest.raises(InputError, match="empty"):
        Composition([])


@pytest.mark.parametrize(
    "periods, wanted, expected",
    [
        ((12,), (None,), ((1, 2, 3, 4, 5, 6),)),
        ((7,), (2,), ((1, 2),)),
        ((52.18,), (None,), (tuple(range(1, 11)),)),
        ((168,), (None,), (tuple(range(1, 11)),)),
        ((2,), (None,), ((1,),)),
        ((24, 168), (2, 8), ((1, 2), (1, 2, 3, 4, 5, 6, 8))),
        ((168, 24), (8, 2), ((1, 2, 3, 4, 5, 6, 8), (1, 2))),
        ((4, 12), (None, None), ((1, 2), (1, 2, 4, 5))),
    ],
)
def test_harmonics_of_several_seasons_differ(periods, wanted, expected):
    assert distinct_harmonics(periods, wanted, 10) == expected


def test_expected_information_is_close_to_the_exact_one():
    """Half the trace of S^-1 dS S^-1 dS with the dense covariance of a stationary series."""
    model, n = Composition([Autoregression(1)]), 400
    values = np.array([0.5, 0.7, 1.0])

    def covariance(x):
        gaps = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        return x[0] * np.eye(n) + x[2] / (1 - x[1] ** 2) * x[1] ** gaps

    free = model.to_free(values)
    inverse = np.linalg.inv(covariance(values))
    slopes = []
    for step in np.eye(3) * 1e-5:
        up, down = (covariance(model.from_free(free + sign * step)) for sign in (1, -1))
        slopes.append(inverse @ (up - down) / 2e-5)
    exact = np.array([[np.sum(a * b.T) / 2 for a in slopes] for b in slopes])
    np.testing.assert_allclose(Spectrum(model, n).information(values, n), exact, rtol=0.05)


def test_information_of_the_scale_is_half_the_number_of_observations():
    """Multiplying all variances by c is one parameter, whose information for log c is n / 2."""
    variances = FULL.to_free(VALUES) * FULL.is_variance
    information = Spectrum(FULL, 200).information(VALUES, 190)
    np.testing.assert_allclose(variances @ information @ variances, 95, rtol=1e-9)


def generalised_least_squares(model, values, y):
    """Diffuse log-likelihood from the covariance of all rows and the regressors of the first state."""
    ssm, n, k = model.build(values), len(y), model.n_states
    F, h = ssm.transition, ssm.observation[0]
    response, power = [], np.eye(k)
    for _ in range(n):
        response.append(h @ power)
        power = power @ F
    response = np.array(response)
    cov = values[0] * np.eye(n)
    for i in np.flatnonzero(np.diagonal(ssm.process_cov)):
        lower = np.array([[response[t - s - 1, i] if s < t else 0.0 for s in range(n)] for t in range(n)])
        cov += ssm.process_cov[i, i] * lower @ lower.T
    root = np.linalg.cholesky(cov)
    e, X = np.linalg.solve(root, y), np.linalg.solve(root, response)
    Q, R = np.linalg.qr(X)
    rest = e - Q @ (Q.T @ e)
    logdet = 2 * np.log(np.diag(root)).sum() + 2 * np.log(np.abs(np.diag(R))).sum()
    return -0.5 * (n * np.log(2 * np.pi) + logdet + rest @ rest)


@pytest.mark.parametrize("period, n_harmonics, vague", [(12, 3, 0), (52.18, 5, 10), (168, 10, 20), (24, 12, 0)])
def test_long_seasons_with_few_harmonics_start_vague_and_have_the_diffuse_likelihood(period, n_harmonics, vague):
    model = Composition([Trend(), TrigonometricSeason(period, tuple(range(1, n_harmonics + 1)))])
    assert model.n_vague == vague
    values = np.array([1.0, 0.1, 1e-4, 1e-4])
    y = np.random.default_rng(0).normal(size=250).cumsum() + 5 * np.sin(np.arange(250) * 2 * np.pi / period)
    ours = loglik(model.build(values), y[:, None]) + model.constant(values)[0]
    np.testing.assert_allclose(ours, generalised_least_squares(model, values, y), atol=1e-5)


def test_derivatives_with_a_vague_start():
    model = Composition([DampedTrend(), TrigonometricSeason(52.18, (1, 2, 3, 4, 5))])
    values = np.array([1.0, 0.1, 0.01, 0.8, 1e-3])
    rng = np.random.default_rng(4)
    weights = {name: rng.normal(size=matrix.shape) for name, matrix in model.matrices(values).items()}
    weights["initial_cov"] = 1e-7 * np.diag(rng.normal(size=12))

    def total(x):
        return sum(np.sum(weights[name] * matrix) for name, matrix in model.matrices(x).items()) + model.constant(x)[0]

    differences = [(total(values + step) - total(values - step)) / 2e-6 for step in np.eye(5) * 1e-6]
    gradient = model.gradient(values, model.build(values)._replace(**weights)) + model.constant(values)[1]
    np.testing.assert_allclose(gradient, differences, rtol=1e-7)
