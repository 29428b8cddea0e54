"""The filter against the joint Gaussian written out, and against numbers of others."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import dense_gaussian as dense

from ssmts.core import gaussian
from ssmts.core.gaussian._ahead import ahead
from ssmts.core.gaussian._forward import forward
from ssmts.core.types import ContinuousSSM, LinearGaussianSSM, State, TimeVarying
from ssmts.exceptions import InputError, InputTypeError, NumericalError

from .cases import CASES, case, close

ONE = np.eye(1)


def level(process_var=1469.1, obs_var=15099.0):
    return LinearGaussianSSM(ONE, process_var * ONE, ONE, obs_var * ONE, np.zeros(1), 0 * ONE, ONE)


def trend(obs_var, level_var, slope_var):
    transition = np.array([[1.0, 1.0], [0.0, 1.0]])
    noise = np.diag([level_var, slope_var])
    return LinearGaussianSSM(
        transition, noise, np.array([[1.0, 0.0]]), obs_var * ONE, np.zeros(2), np.zeros((2, 2)), np.eye(2)
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("number", range(len(CASES)))
def test_filter_equals_the_joint_gaussian(number, seed):
    ssm, y, inputs = case(number, seed)
    n, dy = y.shape
    dx = len(ssm.initial_mean)
    result = gaussian.filter(ssm, y, inputs)
    twin = dense.joint(ssm, n, inputs)
    X = twin.observations.X[~np.isnan(y.ravel())]
    assert result.n_diffuse == np.linalg.matrix_rank(X)
    assert result.state.rank == X.shape[1] - result.n_diffuse
    if result.state.rank == 0:
        close(result.loglik, dense.loglik(ssm, y, inputs))
    close(gaussian.loglik(ssm, y, inputs), result.loglik)
    close(result.loglik_t.sum(), result.loglik)
    for t in range(n + 1):
        for rows, mean, cov in (
            (t, result.predicted_mean, result.predicted_cov),
            (t + 1, result.filtered_mean, result.filtered_cov),
        ):
            if t == n and rows > n:
                continue
            want, spread, known = dense.given(twin, twin.states[t * dx : (t + 1) * dx], y, rows)
            close(mean[t][known], want[known])
            close(cov[t][np.ix_(known, known)], spread[np.ix_(known, known)])
            assert (np.isinf(np.diagonal(cov[t])) == ~known).all()
    for t in range(n):
        want, spread, known = dense.given(twin, twin.observations[t * dy : (t + 1) * dy], y, t)
        seen = known & ~np.isnan(y[t])
        close(result.innovations[t][seen], (y[t] - want)[seen])
        close(result.innovation_cov[t][np.ix_(known, known)], spread[np.ix_(known, known)])
        assert (np.isinf(np.diagonal(result.innovation_cov[t])) == ~known).all()
    assert (np.isnan(result.innovations) == np.isnan(y)).all()


@pytest.mark.parametrize("number", range(len(CASES)))
def test_forecasts_equal_the_joint_gaussian(number):
    ssm, y, inputs = case(number, 9)
    n, dy = y.shape
    y[-3:] = np.nan
    dx = len(ssm.initial_mean)
    head = gaussian.filter(_rows(ssm, 0, n - 3), y[:-3], inputs if inputs is None else inputs[:-3])
    ahead = gaussian.forecast(_rows(ssm, n - 3, n), head.state, 3, inputs if inputs is None else inputs[-3:])
    twin = dense.joint(ssm, n, inputs)
    for h, t in enumerate(range(n - 3, n)):
        for rows, mean, cov in (
            (twin.states[t * dx : (t + 1) * dx], ahead.state_mean, ahead.state_cov),
            (twin.observations[t * dy : (t + 1) * dy], ahead.mean, ahead.cov),
        ):
            want, spread, known = dense.given(twin, rows, y, n)
            close(mean[h][known], want[known])
            close(cov[h][np.ix_(known, known)], spread[np.ix_(known, known)])


@pytest.mark.parametrize("number", range(len(CASES)))
def test_what_is_told_of_observations_to_come_is_the_forecast(number):
    ssm, y, inputs = case(number, 9)
    state = gaussian.filter(ssm, y, inputs).state
    want = gaussian.forecast(ssm, state, 6, inputs if inputs is None else inputs[:6])
    mean, cov = ahead(ssm, state, 6, inputs if inputs is None else inputs[:6])
    known = np.isfinite(np.diagonal(want.cov, axis1=1, axis2=2))
    close(np.where(known, mean, 0), np.where(known, want.mean, 0))
    np.testing.assert_array_equal(np.isfinite(cov), np.isfinite(want.cov))
    close(np.where(np.isfinite(cov), cov, 0), np.where(np.isfinite(cov), want.cov, 0))


def _rows(ssm, start, stop):
    """The model of some of the rows."""
    return LinearGaussianSSM(*(TimeVarying(x.values[start:stop]) if isinstance(x, TimeVarying) else x for x in ssm))


@pytest.mark.parametrize("number", range(len(CASES)))
@pytest.mark.parametrize("cut", [0, 1, 2, 4, 7])
def test_filtering_in_two_parts_equals_the_whole(number, cut):
    ssm, y, inputs = case(number, 3)
    whole = gaussian.filter(ssm, y, inputs)
    u = (None, None) if inputs is None else (inputs[:cut], inputs[cut:])
    head = gaussian.filter(_rows(ssm, 0, max(cut, 1)), y[:cut], u[0])
    tail = gaussian.filter(_rows(ssm, min(cut, 6), 7), y[cut:], u[1], state=head.state)
    close(head.loglik + tail.loglik, whole.loglik)
    close(np.concatenate([head.filtered_mean, tail.filtered_mean])[-1], whole.filtered_mean[-1])
    close(tail.state.mean, whole.state.mean)
    close(tail.state.cov, whole.state.cov)
    assert head.n_diffuse + tail.n_diffuse == whole.n_diffuse
    assert tail.state.rank == whole.state.rank
    close(head.loglik + gaussian.loglik(_rows(ssm, min(cut, 6), 7), y[cut:], u[1], state=head.state), whole.loglik)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_steps_equal_the_filter(number):
    ssm, y, inputs = case(number, 5)
    whole = gaussian.filter(ssm, y, inputs)
    state, total = gaussian.pack(ssm).start, 0.0
    for t, row in enumerate(y):
        before = [part.copy() for part in state[:3]]
        new, innovation = gaussian.step(_rows(ssm, t, t + 1), state, row, None if inputs is None else inputs[t])
        for part, kept in zip(state, before):
            np.testing.assert_array_equal(part, kept)
        state = new
        total += innovation.loglik
        known = np.isfinite(np.diagonal(innovation.cov))
        assert (known == np.isfinite(np.diagonal(whole.innovation_cov[t]))).all()
        close(innovation.cov[np.ix_(known, known)], whole.innovation_cov[t][np.ix_(known, known)])
        if known.all():
            close(innovation.value, whole.innovations[t])
    close(total, whole.loglik)
    close(state.mean, whole.state.mean)
    close(state.cov, whole.state.cov)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_a_missing_row_only_widens(seed):
    rng = np.random.default_rng(seed)
    ssm = dense.random_model(rng, 5, dx=3, dy=2, diffuse=0)
    y = dense.random_series(rng, 5, 2)
    holes = y.copy()
    holes[2] = np.nan
    full, less = gaussian.filter(ssm, y), gaussian.filter(ssm, holes)
    gap = np.linalg.eigvalsh(less.state.cov - full.state.cov)
    assert gap.min() > -1e-8 * max(1.0, np.abs(less.state.cov).max())


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_covariances_are_symmetric_and_non_negative(seed):
    rng = np.random.default_rng(seed)
    ssm = dense.random_model(rng, 12, dx=4, dy=2, diffuse=0)
    result = gaussian.filter(ssm, dense.random_series(rng, 12, 2))
    for covs in (result.predicted_cov, result.filtered_cov):
        np.testing.assert_array_equal(covs, np.swapaxes(covs, 1, 2))
        assert np.linalg.eigvalsh(covs).min() > -1e-9 * np.abs(covs).max()


def test_nile(nile):
    """Durbin and Koopman (2012, section 2.2); the exact diffuse likelihood of statsmodels."""
    result = gaussian.filter(level(), nile)
    assert result.loglik == pytest.approx(-633.4645636488787, abs=1e-9)
    assert gaussian.loglik(level(), nile, diffuse_constant=False) == pytest.approx(-632.5456251, abs=1e-7)
    assert result.n_diffuse == 1
    np.testing.assert_allclose(result.predicted_mean[1:4, 0], [1120, 1140.92783993, 1072.79852953], atol=1e-8)
    np.testing.assert_allclose(result.predicted_cov[1:4, 0, 0], [16568.1, 9368.8363794, 7250.5699387], atol=1e-7)
    np.testing.assert_allclose(
        result.innovation_cov[[1, 2, 3, 99], 0, 0], [31667.1, 24467.83638, 22349.56994, 20600.25794], atol=1e-5
    )
    assert result.innovation_cov[0, 0, 0] == np.inf
    assert result.state.mean[0] == pytest.approx(798.3702926083578, abs=1e-9)
    assert result.state.cov[0, 0] == pytest.approx(5501.257941809, abs=1e-8)
    ahead = gaussian.forecast(level(), result.state, 30)
    np.testing.assert_allclose(ahead.cov[[0, 29], 0, 0], [20600.25794, 63204.15794], atol=1e-5)
    np.testing.assert_allclose(ahead.mean, 798.3702926083578, atol=1e-9)


def test_nile_with_holes(nile):
    nile[20:40] = nile[60:80] = np.nan
    assert gaussian.loglik(level(), nile) == pytest.approx(-381.5060013085, abs=1e-9)


@pytest.mark.parametrize(
    "mean, var, want", [(0.0, 1e7, -641.5855784594153), (1000.0, 1e5, -639.3007238141721)], ids=["vague", "informed"]
)
def test_nile_with_a_proper_prior(nile, mean, var, want):
    ssm = level()._replace(initial_mean=np.array([mean]), initial_cov=var * ONE, initial_diffuse_cov=None)
    assert gaussian.loglik(ssm, nile) == pytest.approx(want, abs=1e-9)


def test_koopman_local_level():
    """Koopman (1997); and here and below Stata's likelihood to the digits that its de Jong method keeps."""
    y = np.array([[10.2394], *[[1.0]] * 9])
    result = gaussian.filter(level(8.253, 1.993), y)
    assert result.loglik == pytest.approx(-23.93526038414123, abs=1e-11)
    assert result.loglik == pytest.approx(-23.9352603142740605, abs=1e-7)
    assert result.predicted_mean[1, 0] == pytest.approx(10.2394)
    assert result.predicted_cov[1, 0, 0] == pytest.approx(1.993 + 8.253)


def test_koopman_local_linear_trend():
    e, n, z = 1.993, 8.253, 2.334
    q, b = n / e, z / e
    y = np.array([[10.2394], [4.2039], [6.123123], *[[1.0]] * 7])
    result = gaussian.filter(trend(e, n, z), y)
    assert result.loglik == pytest.approx(-22.9743754536417, abs=1e-11)
    assert result.loglik == pytest.approx(-22.9743755748041529, abs=2e-7)
    np.testing.assert_allclose(result.predicted_mean[2], [2 * 4.2039 - 10.2394, 4.2039 - 10.2394], atol=1e-12)
    want = e * np.array([[5 + 2 * q + b, 3 + q + b], [3 + q + b, 2 + q + 2 * b]])
    np.testing.assert_allclose(result.predicted_cov[2], want, rtol=1e-13)
    y[1] = np.nan
    result = gaussian.filter(trend(e, n, z), y)
    assert result.loglik == pytest.approx(-20.14148980996393, abs=1e-11)
    assert [np.isinf(cov).any() for cov in result.predicted_cov] == [True] * 3 + [False] * 8
    np.testing.assert_allclose(
        result.predicted_mean[3], [1.5 * 6.123123 - 0.5 * 10.2394, 0.5 * 6.123123 - 0.5 * 10.2394], atol=1e-12
    )
    want = e * np.array(
        [[2.5 + 1.5 * q + 1.25 * b, 1 + 0.5 * q + 1.25 * b], [1 + 0.5 * q + 1.25 * b, 0.5 + 0.5 * q + 2.25 * b]]
    )
    np.testing.assert_allclose(result.predicted_cov[3], want, rtol=1e-13)


def test_koopman_common_level():
    observation = np.array([[1.0, 0.0], [0.1111, 1.0]])
    ssm = LinearGaussianSSM(
        np.eye(2), np.diag([3.2324, 0.0]), observation, np.eye(2), np.zeros(2), np.zeros((2, 2)), np.eye(2)
    )
    y = np.ones((10, 2))
    y[0] = 10.2394, 8.2304
    assert gaussian.loglik(ssm, y) == pytest.approx(-53.78303857735651, abs=1e-11)
    assert gaussian.loglik(ssm, y) == pytest.approx(-53.7830389463984773, abs=5e-7)


def test_statsmodels_agrees_on_trend_and_season(nile):
    """Its exact diffuse filter, on a series with missing values; forecasts of the mean and its variance."""
    y = nile[:70].copy()
    y[[4, 30, 31]] = np.nan
    theirs = sm.tsa.UnobservedComponents(y[:, 0], "lltrend", seasonal=4, use_exact_diffuse=True)
    theirs = theirs.smooth([9000.0, 300.0, 5.0, 40.0])
    transition = np.zeros((5, 5))
    transition[0, :2] = transition[1, 1] = 1.0
    transition[2, 2:] = -1.0
    transition[3, 2] = transition[4, 3] = 1.0
    ours = LinearGaussianSSM(
        transition,
        np.diag([300.0, 5.0, 40.0]),
        np.array([[1.0, 0.0, 1.0, 0.0, 0.0]]),
        9000.0 * ONE,
        np.zeros(5),
        np.zeros((5, 5)),
        np.eye(5),
        process_loading=np.eye(5)[:, :3],
    )
    result = gaussian.filter(ours, y)
    assert result.loglik == pytest.approx(theirs.llf, rel=1e-11)
    close(result.filtered_mean[8:], theirs.filtered_state.T[8:])
    close(result.filtered_cov[8:], theirs.filtered_state_cov.T[8:])
    ahead, want = gaussian.forecast(ours, result.state, 12), theirs.get_forecast(12)
    close(ahead.mean[:, 0], want.predicted_mean)
    close(ahead.cov[:, 0, 0], want.var_pred_mean)


def test_near_a_unit_root():
    """An autoregression of 0.9999999 with its stationary variance: one dense evaluation is exact here, too."""
    phi = 0.9999999
    ssm = LinearGaussianSSM(
        phi * ONE, ONE, ONE, 0.5 * ONE, np.zeros(1), ONE / ((1 - phi) * (1 + phi)), state_offset=0.1 * np.ones(1)
    )
    y = np.cumsum(np.random.default_rng(2).normal(size=(30, 1)), axis=0) + 1000
    close(gaussian.loglik(ssm, y), dense.loglik(ssm, y))


def test_diffuse_regression_is_least_squares():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.normal(size=30)
    ssm = LinearGaussianSSM(
        np.eye(3), np.zeros((3, 3)), TimeVarying(X[:, None, :]), 2.0 * ONE, np.zeros(3), np.zeros((3, 3)), np.eye(3)
    )
    result = gaussian.filter(ssm, y[:, None])
    np.testing.assert_allclose(result.state.mean, np.linalg.lstsq(X, y)[0], rtol=1e-10)
    np.testing.assert_allclose(result.state.cov, 2.0 * np.linalg.inv(X.T @ X), rtol=1e-10)
    assert result.n_diffuse == 3


@pytest.mark.parametrize("sign", [-1, 1])
def test_scales_over_a_hundred_orders_of_magnitude(sign):
    """KFAS's torture: y = exp(-t) as a multiple of the value before, with a diffuse coefficient and no noise of its own."""
    y = np.exp(sign * np.arange(1.0, 251.0))
    ssm = LinearGaussianSSM(
        ONE, ONE, TimeVarying(y[:-1, None, None]), 0 * ONE, np.zeros(1), 0 * ONE, initial_diffuse_cov=ONE
    )
    result = gaussian.filter(ssm, y[1:, None])
    np.testing.assert_allclose(result.filtered_mean, np.exp(sign), rtol=1e-12)
    np.testing.assert_array_equal(result.filtered_cov, 0.0)
    assert (result.innovation_cov > 0).all()
    want = -0.5 * (249 * np.log(2 * np.pi) + 2 * np.log(y[:-1]).sum())
    assert result.loglik == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("full", [False, True])
def test_a_series_twice_says_no_more_than_once(nile, full):
    twice = np.hstack([nile, nile])
    R = 15099.0 * (np.ones((2, 2)) if full else np.zeros((2, 2)))
    ssm = level(obs_var=R[0, 0])
    double = ssm._replace(observation=np.ones((2, 1)), obs_cov=R)
    one, two = gaussian.filter(ssm, nile), gaussian.filter(double, twice)
    assert two.loglik == pytest.approx(one.loglik, rel=1e-12)
    np.testing.assert_allclose(two.state.mean, one.state.mean, rtol=1e-12)
    np.testing.assert_allclose(two.state.cov, one.state.cov, rtol=1e-12)
    twice[50, 1] += 5.0
    assert gaussian.loglik(double, twice) == -np.inf


def test_a_model_without_any_noise():
    """A straight line is known after two points; more points of it add nothing, another point is impossible."""
    line = np.arange(12.0)[:, None] * 3 + 1
    result = gaussian.filter(trend(0.0, 0.0, 0.0), line)
    assert result.loglik == pytest.approx(-np.log(2 * np.pi), abs=1e-12)
    np.testing.assert_allclose(result.state.mean, [37.0, 3.0])
    np.testing.assert_allclose(result.state.cov, 0.0, atol=1e-12)
    line[7] += 1
    assert gaussian.loglik(trend(0.0, 0.0, 0.0), line) == -np.inf


def test_short_and_empty_series():
    assert gaussian.loglik(level(), [[3.0]]) == pytest.approx(-0.5 * np.log(2 * np.pi))
    nothing = gaussian.filter(level(), np.zeros((0, 1)))
    assert nothing.loglik == 0
    assert nothing.state.rank == 1
    assert nothing.predicted_cov[0, 0, 0] == np.inf
    hidden = gaussian.filter(trend(1.0, 1.0, 1.0), np.full((4, 1), np.nan))
    assert hidden.loglik == 0
    assert hidden.state.rank == 2
    assert np.isinf(hidden.predicted_cov).all(axis=(1, 2))[1:].all()


def test_a_prefix_of_nothing(nile):
    prefix = np.vstack([np.full((500, 1), np.nan), nile])
    assert gaussian.loglik(level(), prefix) == pytest.approx(-633.4645636488787, abs=1e-9)
    slow = trend(15099.0, 1469.1, 10.0)
    assert gaussian.loglik(slow, prefix) == pytest.approx(gaussian.loglik(slow, nile), abs=1e-6)


def test_a_batch_is_its_series_one_by_one(nile):
    other = nile[::-1].copy()
    other[3:9] = np.nan
    both = gaussian.filter(level(), np.stack([nile, other]))
    assert both.predicted_cov.shape == (2, 101, 1, 1)
    np.testing.assert_array_equal(gaussian.loglik(level(), np.stack([nile, other])), both.loglik)
    for i, y in enumerate((nile, other)):
        one = gaussian.filter(level(), y)
        assert both.loglik[i] == one.loglik
        np.testing.assert_array_equal(both.filtered_mean[i], one.filtered_mean)
        np.testing.assert_array_equal(both.state.cov[i], one.state.cov)


def test_replace_equals_packing_anew():
    rng = np.random.default_rng(1)
    old, new = (dense.random_model(rng, 5, dx=3, dy=2, dw=2) for _ in range(2))
    y = dense.random_series(rng, 5, 2)
    for name in old._fields:
        if getattr(new, name) is not None:
            ssm = old._replace(**{name: getattr(new, name)})
            packed = gaussian.pack(old).replace(**{name: getattr(new, name)})
            assert gaussian.loglik(packed, y) == gaussian.loglik(ssm, y)


def test_time_axes_may_differ_in_length_and_arrays_may_be_read_only(nile):
    longer = np.repeat(np.eye(1)[None], 130, axis=0)
    quiet = TimeVarying(np.full((110, 1, 1), 1469.1))
    ssm = level()._replace(process_cov=quiet, process_loading=TimeVarying(longer), state_offset=np.zeros(1))
    for field in (*ssm, nile):
        if isinstance(field, np.ndarray):
            field.flags.writeable = False
    assert gaussian.loglik(ssm, nile) == pytest.approx(-633.4645636488787, abs=1e-9)
    assert len(forward.signatures) == 1, "one compilation serves all"


def test_errors_name_the_field(nile):
    good = level()
    for fields, words in (
        ({"transition": np.eye(2)}, "transition has the shape"),
        ({"transition": ONE * np.nan}, "transition holds nan"),
        ({"process_cov": -ONE}, "process_cov has the negative variance"),
        ({"initial_cov": TimeVarying(ONE[None])}, "initial_cov is TimeVarying"),
        ({"obs_offset": TimeVarying(np.zeros((99, 1)))}, "obs_offset has values for 99 only"),
        ({"observation": np.ones(1)}, "too few axes"),
        ({"transition": "one"}, "transition is not numeric"),
        ({"transition": np.eye(2)}, "is needed where initial_mean has the length 1"),
    ):
        with pytest.raises(InputError, match=words):
            gaussian.loglik(good._replace(**fields), nile)
    skew = LinearGaussianSSM(
        np.eye(2), np.array([[1.0, 0.5], [0, 1]]), np.ones((1, 2)), ONE, np.zeros(2), np.eye(2), np.eye(2)
    )
    with pytest.raises(InputError, match="process_cov is not symmetric"):
        gaussian.pack(skew)
    with pytest.raises(InputError, match="negative eigenvalue"):
        gaussian.pack(skew._replace(process_cov=np.eye(2), initial_diffuse_cov=np.array([[1.0, 2], [2, 1]])))
    indefinite = np.array([[1.0, 2], [2, 1]])
    with pytest.raises(InputError, match="process_cov has the negative eigenvalue -1"):
        gaussian.pack(skew._replace(process_cov=indefinite))
    with pytest.raises(InputError, match="process_cov of row 3 has the negative eigenvalue -1"):
        gaussian.pack(skew._replace(process_cov=TimeVarying(np.stack([np.eye(2)] * 3 + [indefinite]))))
    with pytest.raises(InputError, match="initial_cov has the negative eigenvalue"):
        gaussian.pack(skew._replace(process_cov=np.eye(2), initial_cov=indefinite))
    gaussian.pack(
        skew._replace(process_cov=np.ones((2, 2)), initial_cov=np.diag([0.0, 1.0]))
    )  # singular ones are welcome
    with pytest.raises(InputTypeError, match="ssm is of type ndarray"):
        gaussian.pack(ONE)
    moving = ContinuousSSM(0 * ONE, ONE, ONE, ONE, np.zeros(1), ONE)
    with pytest.raises(InputTypeError, match=r"ssm is of type ContinuousSSM: .* \.discretise\(dts\) makes one"):
        gaussian.loglik(moving, nile)


def test_errors_of_the_call(nile):
    for call, words in (
        (lambda: gaussian.filter(level(), nile[:, 0]), "y has the shape"),
        (lambda: gaussian.filter(level(), nile, method="magic"), "method is 'magic'"),
        (lambda: gaussian.filter(level(), nile, inputs=nile), "takes no inputs"),
        (lambda: gaussian.loglik(level(), nile, nile), "takes no inputs"),  # whatever the rung that "auto" takes
        (lambda: gaussian.loglik(level(), nile[:0], nile[:0]), "takes no inputs"),
        (lambda: gaussian.filter(level()._replace(input_matrix=ONE), nile), "pass inputs, one row of numbers for each"),
        (lambda: gaussian.filter(level(), np.array([["a"]])), "y is not numeric"),
        (lambda: gaussian.filter(level(), nile * 1j), "y is complex"),
        (lambda: gaussian.forecast(level(), nile, 3), "state is of type ndarray"),
        (lambda: gaussian.filter(level()._replace(input_matrix=ONE), nile, np.zeros((9, 1))), "inputs of shape"),
        (
            lambda: gaussian.filter(level(), np.where(nile > 1300, np.inf, nile)),
            r"y is infinite at \(3, 0\)|y is infinite",
        ),
        (lambda: gaussian.forecast(level(), gaussian.pack(level()).start, 0), "horizon is 0"),
        (lambda: gaussian.forecast(level(), gaussian.pack(trend(1.0, 1.0, 1.0)).start, 1), "the state has 2 entries"),
        (lambda: gaussian.step(level(), gaussian.pack(level()).start, [1.0, 2.0]), "y_row is"),
        (lambda: gaussian.step(level(), nile, [1.0]), "state is of type ndarray"),
    ):
        with pytest.raises((InputError, InputTypeError), match=words):
            call()


def test_numerical_errors_name_matrix_and_row(nile):
    not_a_covariance = np.array([[1.0, 2.0], [2.0, 1.0]])
    ssm = LinearGaussianSSM(np.eye(2), np.eye(2), np.eye(2), not_a_covariance, np.zeros(2), np.eye(2))
    with pytest.raises(NumericalError, match="obs_cov has a negative eigenvalue at row 0"):
        gaussian.loglik(ssm, np.ones((3, 2)))
    with pytest.raises(NumericalError, match="obs_cov has a negative eigenvalue"):
        gaussian.step(ssm, gaussian.pack(ssm).start, np.ones(2))
    state = State(np.zeros(2), 100 * not_a_covariance, np.zeros((2, 2)), 0)
    with pytest.raises(NumericalError, match="innovation_cov is negative or not finite at row 0"):
        gaussian.loglik(ssm._replace(obs_cov=np.eye(2)), np.ones((3, 2)), state=state)
    explosive = level()._replace(transition=1e200 * ONE, initial_diffuse_cov=None, initial_cov=ONE)
    with pytest.raises(NumericalError, match="is no longer finite at row"):
        gaussian.loglik(explosive, nile)


def test_a_proper_state_is_a_state():
    state = State(np.array([3.0]), ONE, 0 * ONE, 0)
    np.testing.assert_allclose(gaussian.forecast(level(1.0, 1.0), state, 2).cov.ravel(), [3.0 - 1.0, 3.0])


@pytest.mark.parametrize("seed", range(60))
def test_transitions_of_any_pattern(seed):
    """Lines of none to three entries, ones among them: states handed on, with a factor too, scaled, mixed in cycles, dropped."""
    rng = np.random.default_rng(seed)
    dx = int(rng.integers(3, 7))
    transition = np.zeros((dx, dx))
    for line in transition:
        chosen = rng.permutation(dx)[: rng.integers(0, 4)]
        line[chosen] = rng.choice([1.0, 1.0, 0.7, -0.4], size=len(chosen))
    ssm = dense.random_model(rng, 7, dx, 2, diffuse=0, varying=False)
    ssm = ssm._replace(transition=transition, initial_cov=np.eye(dx))
    y = rng.normal(size=(7, 2))
    close(gaussian.loglik(ssm, y, method="sequential"), dense.loglik(ssm, y))
