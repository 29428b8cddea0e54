"""Maximum likelihood of any parametrisation, against closed forms, published estimates and the dense twin."""

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian as dense
from scipy.linalg import solve_discrete_lyapunov

from ssmts.components.transforms import Correlation, Covariance, Interval, Positive, Stationary, Variance
from ssmts.core.gaussian import loglik
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.estimation import Parameter, maximum_likelihood, maximum_likelihood_each
from ssmts.estimation._objective import Objective
from ssmts.estimation._tangents import Tangents
from ssmts.estimation.parameters import Moved
from ssmts.exceptions import InputError, InputTypeError, SsmtsError

ONE = np.eye(1)
NILE = sm.datasets.nile.load_pandas().data[["volume"]].to_numpy()


# R, datasets::LakeHuron: level of the lake in feet, 1875 to 1972
LAKE_HURON = """
580.38 581.86 580.97 580.80 579.79 580.39 580.42 580.82 581.40 581.32 581.44 581.68 581.17 580.53 580.01 579.91
579.14 579.16 579.55 579.67 578.44 578.24 579.10 579.09 579.35 578.82 579.32 579.01 579.00 579.80 579.83 579.72
579.89 580.01 579.37 578.69 578.19 578.67 579.55 578.92 578.09 579.37 580.13 580.14 579.51 579.24 578.66 578.86
578.05 577.79 576.75 576.75 577.82 578.64 580.58 579.48 577.38 576.90 576.94 576.24 576.84 576.85 576.90 577.79
578.18 577.51 577.23 578.42 579.61 579.05 579.26 579.22 579.38 579.10 577.95 578.12 579.75 580.85 580.41 579.96
579.61 578.76 578.18 577.21 577.13 579.10 578.25 577.91 576.89 575.96 576.80 577.68 578.38 578.52 579.74 579.31
579.89 579.96
"""


def level(p):
    return LinearGaussianSSM(
        ONE, p["level_var"] * ONE, ONE, p["obs_var"] * ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE
    )


LEVEL = {"obs_var": Parameter(9e3, Variance()), "level_var": Parameter(9e3, Variance())}


def white(p):
    return LinearGaussianSSM(
        0 * ONE, 0 * ONE, ONE, p["var"] * ONE, np.zeros(1), 0 * ONE, obs_offset=p.get("mean", 0.0) * np.ones(1)
    )


def autoregression(p):
    """AR(2) with a mean, by a builder that takes no complex numbers."""
    F = np.array([[p["ar"][0], 1.0], [p["ar"][1], 0.0]])
    V = np.diag([p["var"], 0.0])
    P = solve_discrete_lyapunov(F, V)
    return LinearGaussianSSM(F, V, np.eye(1, 2), 0 * ONE, np.zeros(2), P, obs_offset=np.array([p["mean"]]))


@pytest.mark.parametrize("method", ["lbfgs", "trust"])
def test_nile(method):
    """Durbin and Koopman (2012), section 2.10; R's StructTS gives 15099 and 1469."""
    found = maximum_likelihood(level, NILE, LEVEL, method=method)
    assert found.converged
    np.testing.assert_allclose([found.params["obs_var"], found.params["level_var"]], [15098.53, 1469.16], rtol=2e-5)
    assert found.loglik == pytest.approx(-633.464564, abs=1e-5)
    assert max(abs(g) * LEVEL[name].start for name, g in found.gradient.items()) < 1e-3

    def height(x):
        return dense.loglik(level({"obs_var": x[0], "level_var": x[1]}), NILE / 100)

    x, steps = np.array([found.params["obs_var"], found.params["level_var"]]) / 1e4, np.diag([5e-3, 1e-3])
    second = [
        [height(x + a + b) - height(x + a - b) - height(x - a + b) + height(x - a - b) for a in steps] for b in steps
    ]
    cov = 1e8 * np.linalg.inv(-np.array(second) / np.outer([1e-2, 2e-3], [1e-2, 2e-3]))
    order = [found.labels.index(name) for name in ("obs_var", "level_var")]
    np.testing.assert_allclose(found.cov[np.ix_(order, order)], cov, rtol=2e-3)
    np.testing.assert_allclose(found.stderr["obs_var"], np.sqrt(cov[0, 0]), rtol=1e-3)


@pytest.mark.parametrize("method", ["lbfgs", "trust"])
def test_lake_huron(method):
    """R's help page of arima: arima(LakeHuron, order = c(2,0,0)) with its mean; sigma^2 is 0.4788."""
    lake = np.fromstring(LAKE_HURON, sep=" ")[:, None]
    start = {
        "ar": Parameter([0.5, 0.0], Stationary()),
        "var": Parameter(1.0, Variance()),
        "mean": Parameter(float(lake.mean())),
    }
    found = maximum_likelihood(autoregression, lake, start, method=method)
    assert found.converged
    np.testing.assert_allclose(found.params["ar"], [1.04361881, -0.2495024], atol=2e-5)
    assert found.params["mean"] == pytest.approx(579.0472566, abs=1e-4)
    assert found.params["var"] == pytest.approx(0.4788206, rel=1e-5)
    assert found.loglik == pytest.approx(-103.63322, abs=1e-5)
    # standard errors of the same page: 0.0983, 0.1008, 0.3319
    np.testing.assert_allclose(found.stderr["ar"], [0.0983, 0.1008], atol=5e-4)
    assert found.stderr["mean"] == pytest.approx(0.3319, abs=5e-4)


def test_white_noise_in_closed_form():
    y = np.array([1.0, 4.0, np.nan, -2.0, 3.0, 0.5])[:, None]
    seen = y[~np.isnan(y)]
    found = maximum_likelihood(white, y, {"var": Parameter(1.0, Variance()), "mean": 0.0})
    assert found.params["mean"] == pytest.approx(seen.mean(), abs=1e-7)
    assert found.params["var"] == pytest.approx(seen.var(), rel=1e-6)
    assert found.stderr["var"] == pytest.approx(seen.var() * np.sqrt(2 / 5), rel=1e-4)
    assert found.stderr["mean"] == pytest.approx(np.sqrt(seen.var() / 5), rel=1e-4)
    assert found.labels == ("var", "mean")


def test_a_multivariate_normal_in_closed_form():
    y = np.random.default_rng(0).multivariate_normal([1.0, -1.0], [[2.0, 0.7], [0.7, 0.5]], size=60)

    def build(p):
        zero = np.zeros((1, 1))
        return LinearGaussianSSM(
            zero, zero, np.zeros((2, 1)), p["cov"], np.zeros(1), zero, obs_offset=np.asarray(p["mean"])
        )

    found = maximum_likelihood(build, y, {"cov": Parameter(np.eye(2), Covariance()), "mean": np.zeros(2)})
    np.testing.assert_allclose(found.params["cov"], np.cov(y.T, bias=True), rtol=1e-5)
    np.testing.assert_allclose(found.params["mean"], y.mean(axis=0), atol=1e-7)
    S = np.cov(y.T, bias=True)
    expected = np.sqrt((np.outer(np.diagonal(S), np.diagonal(S)) + S**2) / 60)  # Anderson (2003), theorem 3.4.4
    np.testing.assert_allclose(found.stderr["cov"], expected, rtol=1e-3)

    def by_correlation(p):
        sd = np.diag(np.sqrt(np.asarray(p["var"])))
        return build({"cov": sd @ p["correlation"] @ sd, "mean": p["mean"]})

    parts = {
        "var": Parameter(np.ones(2), Positive()),
        "correlation": Parameter(np.eye(2), Correlation()),
        "mean": np.zeros(2),
    }
    other = maximum_likelihood(by_correlation, y, parts)
    np.testing.assert_allclose(other.params["correlation"], np.corrcoef(y.T), atol=1e-6)
    assert other.loglik == pytest.approx(found.loglik, abs=1e-8)
    r = np.corrcoef(y.T)[0, 1]
    assert other.stderr["correlation"][0, 1] == pytest.approx((1 - r**2) / np.sqrt(60), rel=1e-3)


@pytest.mark.parametrize("method", ["lbfgs", "trust"])
def test_a_variance_of_zero_is_found_and_has_no_standard_error(method):
    y = np.tile([1.0, -1.0], 30)[:, None] + 0.1 * np.random.default_rng(1).standard_normal((60, 1))
    found = maximum_likelihood(level, y, {name: Parameter(1.0, Variance()) for name in LEVEL}, method=method)
    assert found.params["level_var"] == 0.0
    assert found.boundary == ("level_var",)
    assert found.converged
    assert np.isnan(found.stderr["level_var"])
    assert found.params["obs_var"] == pytest.approx(y.var(ddof=1), rel=1e-6)
    assert found.stderr["obs_var"] == pytest.approx(y.var(ddof=1) * np.sqrt(2 / 59), rel=1e-3)
    assert found.gradient["level_var"] < 0


def test_fixed_parameters_stay():
    found = maximum_likelihood(level, NILE, LEVEL, fix={"level_var": 0})
    assert found.params["level_var"] == 0.0
    assert found.params["obs_var"] == pytest.approx(NILE.var(ddof=1), rel=1e-6)
    assert np.isnan(found.stderr["level_var"])
    assert list(found.gradient) == ["obs_var"]
    every = maximum_likelihood(level, NILE, LEVEL, fix={"level_var": 1469.0, "obs_var": 15099.0})
    assert every.converged
    assert every.loglik == pytest.approx(-633.4646, abs=1e-4)


def test_priors_give_the_mode_of_the_posterior():
    """Conjugate: a normal mean with a normal prior; an inverse gamma for a variance."""
    y = np.array([1.0, 2.0, 4.0])[:, None]
    normal = {"mean": Parameter(0.0, prior=scipy.stats.norm(0.5, 0.7)), "var": Parameter(2.0, Variance())}
    found = maximum_likelihood(white, y, normal, fix={"var": 2.0})
    precision = 3 / 2 + 1 / 0.49
    assert found.params["mean"] == pytest.approx((7 / 2 + 0.5 / 0.49) / precision, abs=1e-7)
    assert found.stderr["mean"] == pytest.approx(precision**-0.5, rel=1e-5)
    assert found.log_prior == pytest.approx(scipy.stats.norm(0.5, 0.7).logpdf(found.params["mean"]))

    def inverse_gamma(x):
        return -4.0 * np.log(x) - 2.0 / x, -4.0 / x + 2.0 / x**2

    variance = {"var": Parameter(1.0, Variance(), inverse_gamma)}
    squares = float(np.sum(y**2))
    for start in (variance, {"var": Parameter(1.0, Variance(), scipy.stats.invgamma(3.0, scale=2.0))}):
        found = maximum_likelihood(white, y, start)
        assert found.params["var"] == pytest.approx((squares / 2 + 2.0) / (3 / 2 + 4.0), rel=1e-6)


def test_profiling_the_scale_ends_where_a_full_search_does():
    def relative(p):
        return level({"obs_var": 1.0, "level_var": p["ratio"]})

    y = NILE.copy()
    y[20:30] = np.nan
    whole = maximum_likelihood(level, y, LEVEL)
    part = maximum_likelihood(relative, y, {"ratio": Parameter(1.0, Variance())}, profile_scale=True)
    assert part.loglik == pytest.approx(whole.loglik, abs=1e-8)
    assert part.scale == pytest.approx(whole.params["obs_var"], rel=1e-5)
    assert part.params["ratio"] * part.scale == pytest.approx(whole.params["level_var"], rel=1e-4)
    assert part.ssm.obs_cov[0, 0] == pytest.approx(part.scale)


def test_profiling_effects_ends_where_a_full_search_does():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((80, 2))
    y = (x @ [2.0, -1.0] + rng.standard_normal(80).cumsum() + rng.standard_normal(80))[:, None]
    y[5:9] = np.nan

    def whole(p):
        return level(p)._replace(obs_offset=TimeVarying((x @ np.asarray(p["beta"]))[:, None]))

    start = {name: Parameter(1.0, Variance()) for name in LEVEL}
    full = maximum_likelihood(whole, y, start | {"beta": np.zeros(2)})
    part = maximum_likelihood(level, y, start, regressors=x)
    assert part.loglik == pytest.approx(full.loglik, abs=1e-8)
    np.testing.assert_allclose(part.effects.coef, full.params["beta"], atol=1e-5)
    both = maximum_likelihood(
        lambda p: level({"obs_var": 1.0, "level_var": p["ratio"]}),
        y,
        {"ratio": Parameter(1.0, Variance())},
        regressors=x,
        profile_scale=True,
    )
    assert both.loglik == pytest.approx(full.loglik, abs=1e-6)


def test_a_batch_shares_its_parameters_and_threads_do_not():
    rng = np.random.default_rng(3)
    y = rng.standard_normal((3, 50, 1)).cumsum(axis=1) + rng.standard_normal((3, 50, 1))
    start = {name: Parameter(1.0, Variance()) for name in LEVEL}
    pooled = maximum_likelihood(level, y, start)
    assert pooled.loglik == pytest.approx(sum(loglik(pooled.ssm, one) for one in y))
    each = maximum_likelihood_each(level, list(y), start, n_jobs=2)
    alone = [maximum_likelihood(level, one, start) for one in y]
    assert [e.params for e in each] == [e.params for e in alone]
    assert sum(e.loglik for e in each) > pooled.loglik
    with pytest.raises(InputError, match="series 1"):
        maximum_likelihood_each(level, [y[0], y[1, :, 0]], start)
    with pytest.raises(InputError, match="3 series and 2 parameters"):
        maximum_likelihood_each(level, list(y), [start, start])


def test_several_starts_find_the_higher_of_two_maxima():
    """The likelihood of a period has a hill for every few cycles."""
    t = np.arange(60)
    y = (np.cos(2 * np.pi * t / 4.3) + 0.05 * np.random.default_rng(0).standard_normal(60))[:, None]

    def cycle(p):
        angle = 2 * np.pi / p["period"]
        F = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return LinearGaussianSSM(F, np.zeros((2, 2)), np.eye(1, 2), 0.01 * ONE, np.zeros(2), np.eye(2))

    start = {"period": Parameter(9.0, Interval(2.5, 20.0))}
    one = maximum_likelihood(cycle, y, start)
    many = maximum_likelihood(cycle, y, start, n_starts=40, random_state=0)
    assert many.loglik > one.loglik + 100
    assert many.params["period"] == pytest.approx(4.3, abs=0.01)


# derivatives -----------------------------------------------------------------------------------------------------


def every_matrix(p):
    """All matrices move with the parameters, some over time."""
    a, b = p["a"], p["b"]
    ramp = np.linspace(0.5, 1.0, 6)[:, None, None]
    return LinearGaussianSSM(
        transition=TimeVarying(ramp * np.array([[a, 0.3], [-0.2, b[0]]])),
        process_cov=np.array([[b[1], 0.1 * b[1]], [0.1 * b[1], 0.5]]),
        observation=np.array([[1.0, a**2], [b[0] * a, 0.5]]),
        obs_cov=np.array([[b[1] ** 2, 0.2], [0.2, 1.0]]),
        initial_mean=np.array([a, 0.0]),
        initial_cov=np.array([[1.0, 0.0], [0.0, b[1]]]),
        state_offset=np.array([0.1, b[0]]),
        obs_offset=np.array([a, b[1]]),
        process_loading=np.array([[1.0, 0.0], [a, 1.0]]),
        input_matrix=np.array([[a], [1.0]]),
        feedthrough=np.array([[0.0], [b[0]]]),
    )


@pytest.mark.parametrize("how", ["complex step", "differences"])
def test_the_gradient_is_that_of_the_dense_twin(how):
    build = (
        every_matrix
        if how == "complex step"
        else lambda p: every_matrix({"a": float(p["a"]), "b": np.array(p["b"], float)})
    )
    rng = np.random.default_rng(4)
    y, u = dense.random_series(rng, 6, 2), rng.standard_normal((6, 1))
    parameters = {"a": Parameter(0.7), "b": Parameter([0.4, 1.3])}
    moved = Moved(parameters, {})
    tangents = Tangents(build, parameters, moved.free, moved.values(moved.origin))
    assert tangents.complex is (how == "complex step")
    at = Objective(tangents, y, u, "auto", False, None)({"a": 0.7, "b": np.array([0.4, 1.3])})

    def height(a, b0, b1):
        return dense.loglik(every_matrix({"a": a, "b": [b0, b1]}), y, u)

    h, x = 1e-30, [0.7, 0.4, 1.3]
    exact = [height(*(v + (1j * h if i == j else 0) for j, v in enumerate(x))).imag / h for i in range(3)]
    np.testing.assert_allclose(np.concatenate([at.gradient["a"], at.gradient["b"]]), exact, rtol=1e-8)


def test_a_given_derivative_is_used():
    calls = []

    def derivative(p):
        calls.append(p)
        return {"obs_var": {"obs_cov": ONE}, "level_var": {"process_cov": ONE}}

    given = maximum_likelihood(level, NILE, LEVEL, derivative=derivative)
    assert calls
    assert given.loglik == pytest.approx(maximum_likelihood(level, NILE, LEVEL).loglik, abs=1e-9)
    with pytest.raises(InputError, match=r"must have shape \(1, 1\); received \(1,\)"):
        maximum_likelihood(level, NILE, LEVEL, derivative=lambda p: {"obs_var": {"obs_cov": np.ones(1)}})
    with pytest.raises(InputError, match="names 'noise'"):
        maximum_likelihood(level, NILE, LEVEL, derivative=lambda p: {"obs_var": {"noise": ONE}})


@settings(max_examples=10, deadline=None)
@given(st.floats(-3, 3))
def test_units_do_not_matter(power):
    unit = 10.0**power
    scaled = {name: Parameter(p.start * unit**2, Variance()) for name, p in LEVEL.items()}
    a, b = maximum_likelihood(level, NILE, LEVEL), maximum_likelihood(level, unit * NILE, scaled)
    assert b.params["level_var"] / unit**2 == pytest.approx(a.params["level_var"], rel=1e-4)
    assert b.stderr["obs_var"] / unit**2 == pytest.approx(a.stderr["obs_var"], rel=1e-3)


# refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parameters": {"obs_var": Parameter(-1.0, Variance())}}, "obs_var must be a finite number, zero or greater"),
        ({"parameters": LEVEL | {"level_var": Parameter(0.0, Variance())}}, "variance of zero, which no search leaves"),
        ({"fix": {"slope_var": 0}}, "fix names 'slope_var'"),
        ({"fix": {"level_var": [0.0]}}, "has shape"),
        ({"method": "newton"}, "method is 'newton'"),
        ({"n_starts": 0}, "n_starts must be"),
        ({"parameters": {}}, "parameters must map names"),
        ({"regressors": np.ones((3, 1))}, r"regressors must be finite numbers of shape \(100, 1, n_effects\)"),
        ({"regressors": np.ones((100, 1))}, "leave 1 of 1 effect"),
    ],
)
def test_refusals(change, words):
    call = {"parameters": LEVEL} | change
    with pytest.raises(SsmtsError, match=words):
        maximum_likelihood(level, NILE, **call)


def test_what_teaches_nothing_is_refused():
    with pytest.raises(InputError, match="y has no observed value among 100"):
        maximum_likelihood(level, NILE * np.nan, LEVEL)
    prior = {name: Parameter(p.start, p.transform, scipy.stats.gamma(3.0, scale=1e4)) for name, p in LEVEL.items()}
    assert maximum_likelihood(level, NILE * np.nan, prior).params["obs_var"] == pytest.approx(2e4, rel=1e-3)  # its mode
    with pytest.raises(InputTypeError, match="build is of type dict"):
        maximum_likelihood({}, NILE, LEVEL)


def test_a_start_without_a_likelihood_is_refused():
    exact = {"var": Parameter(1.0, Variance())}
    with pytest.raises(InputError, match="log-likelihood is -inf at the start"):
        maximum_likelihood(lambda p: white({"var": 0.0, "mean": p["mean"]}), np.ones((3, 1)), {"mean": 0.0})
    with pytest.raises(InputError, match="density of the priors"):
        maximum_likelihood(white, NILE, {"var": Parameter(1.0, Variance(), scipy.stats.uniform(5, 6))})
    with pytest.raises(InputTypeError, match="the builder returned NoneType"):
        maximum_likelihood(lambda p: None, NILE, exact)
    with pytest.raises(InputError, match="initial_diffuse_cov depends"):
        maximum_likelihood(lambda p: white(p)._replace(initial_diffuse_cov=p["var"] * ONE), NILE, exact)


def test_a_search_that_does_not_arrive_says_so():
    """Rows that a variance of zero reproduces exactly: the likelihood grows without bound."""
    found = maximum_likelihood(white, np.zeros((5, 1)), {"var": Parameter(1.0, Variance())})
    assert not found.converged
    assert "no maximum was reached" in found.message


def test_variances_that_must_not_all_be_zero():
    """A step onto zero variances meets rows that no model could have made, and is taken back."""
    rng = np.random.default_rng(5)
    for scale in (1e-8, 1.0, 1e8):
        y = scale * rng.standard_normal((40, 1)).cumsum(axis=0)
        found = maximum_likelihood(level, y, {name: Parameter(0.5 * scale**2, Variance()) for name in LEVEL})
        assert found.params["obs_var"] < 0.2 * found.params["level_var"]
        assert np.isfinite(found.loglik)


def test_a_builder_that_reuses_its_arrays_is_found_out():
    kept = level({"obs_var": 1.0, "level_var": 1.0})

    def build(p):
        kept.obs_cov[0, 0] = p["obs_var"].real
        return kept

    with pytest.raises(InputError, match="writes into obs_cov of a model that it has returned"):
        maximum_likelihood(build, NILE, LEVEL)


def test_a_root_near_one():
    rng, x = np.random.default_rng(1), np.zeros(500)
    for t in range(1, 500):
        x[t] = 0.9999999 * x[t - 1] + rng.normal()

    def build(p):
        cov = p["var"] / (1 - p["root"] ** 2) * ONE
        return LinearGaussianSSM(p["root"] * ONE, p["var"] * ONE, ONE, 0 * ONE, np.zeros(1), cov)

    start = {"root": Parameter(0.5, Interval(-1.0, 1.0)), "var": Parameter(1.0, Variance())}
    found = maximum_likelihood(build, x[:, None], start)
    assert found.converged
    root, rest = found.params["root"], x[1:] - found.params["root"] * x[:-1]
    assert 0.99 < root < 1
    expected = (rest @ rest + x[0] ** 2 * (1 - root**2)) / 500  # the exact likelihood's variance, given the root
    assert found.params["var"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_give_an_answer_that_says_what_it_is(n):
    y = np.array([[0.3], [-0.4], [1.0]])[:n]
    found = maximum_likelihood(level, y, {name: Parameter(1.0, Variance()) for name in LEVEL})
    assert np.isfinite(found.loglik)
    if n < 3:  # the sum of variances is all that two rows can tell
        assert np.isnan(found.cov).all()
        assert "no standard errors" in found.message


def test_a_builder_may_refuse_values_on_the_way():
    y, refused = np.random.default_rng(8).normal(3.0, 0.5, size=(50, 1)), []

    def build(p):
        if np.real(p["mean"]) < 2.0:
            refused.append(p)
            raise ValueError("means below two mean nothing")
        return white(p)

    start = {"var": Parameter(20.0, Variance()), "mean": Parameter(2.01)}
    found = maximum_likelihood(build, y, start, n_starts=4, random_state=1)
    assert found.params["mean"] == pytest.approx(y.mean(), abs=1e-6)
    assert refused
    with pytest.raises(ValueError, match="means below two"):
        maximum_likelihood(build, y, start | {"mean": Parameter(1.0)})
