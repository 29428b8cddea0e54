"""The discriminative Kalman filter against the Kalman filter it must equal, and against the formulas of the paper."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import ssmts
from ssmts import DiscriminativeKalmanFilter
from ssmts.checks import EXPECTED_FAILURES
from ssmts.core import gaussian
from ssmts.core.linalg.lyapunov import solve_lyapunov
from ssmts.core.types import LinearGaussianSSM
from ssmts.exceptions import InputError, InputTypeError, NumericalError, TimeIndexError, TooShortError
from ssmts.filtering._messages import Dynamics, learn_dynamics

A = np.array([[0.95, 0.1], [-0.1, 0.9]])
GAMMA = np.array([[0.2, 0.05], [0.05, 0.1]])
S = solve_lyapunov(A, GAMMA)


def _checks():
    for one, check in estimator_checks_generator(DiscriminativeKalmanFilter()):
        name = check.func.__name__ if hasattr(check, "func") else check.__name__
        yield pytest.param(one, check, EXPECTED_FAILURES.get(name), id=name)


@pytest.mark.parametrize(("estimator", "check", "reason"), list(_checks()))
def test_scikit_learn(estimator, check, reason):
    if reason is None:
        check(estimator)
        return
    try:
        check(estimator)
    except AssertionError:
        pytest.xfail(reason)


def walk(n, seed=0):
    rng = np.random.default_rng(seed)
    z, root, noise = np.zeros((n, 2)), np.linalg.cholesky(GAMMA), rng.normal(size=(n, 2))
    z[0] = np.linalg.cholesky(S) @ noise[0]
    for t in range(1, n):
        z[t] = A @ z[t - 1] + root @ noise[t]
    return z


def tuned(z, seed=1):
    """Counts of cells, each of which fires near a place of its own."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(9).normal(size=(40, 2)) @ np.linalg.cholesky(S).T * 1.3
    return rng.poisson(np.exp(-0.5 * ((z[:, None] - places) ** 2).sum(axis=-1))).astype(float)


@pytest.fixture(scope="module")
def task():
    z = walk(2200)
    return tuned(z), z


@pytest.fixture(scope="module")
def decoder(task):
    X, z = task
    return DiscriminativeKalmanFilter(KernelRidge(kernel="rbf", gamma=0.05)).fit(X[:1600], z[:1600])


# exact -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 5])
def test_equals_the_kalman_filter_where_regression_is_bayes_rule(width):
    """Also where the observations leave a direction unseen, so that Q equals S there."""
    rng = np.random.default_rng(width)
    H, d, mean = rng.normal(size=(width, 2)), rng.normal(size=width), np.array([3.0, -7.0])
    R = 0.3 * np.eye(width) + 0.1
    z = walk(150) + mean
    X = z @ H.T + d + rng.normal(size=(150, width)) @ np.linalg.cholesky(R).T
    gain = S @ H.T @ np.linalg.inv(H @ S @ H.T + R)
    decoder = DiscriminativeKalmanFilter(LinearRegression(), calibrate=False).fit(X, z)
    C = np.linalg.cholesky(S)
    back = np.linalg.inv(C)
    decoder.dynamics_ = Dynamics(mean, C, back, back @ A @ C, back @ GAMMA @ back.T)
    decoder.mean_, decoder.obs_cov_ = mean, S - gain @ H @ S
    decoder.regressor_.coef_, decoder.regressor_.intercept_ = gain, mean - gain @ (H @ mean + d)
    X[[0, 40, 41, 42, 149]] = np.nan
    ssm = LinearGaussianSSM(A, GAMMA, H, R, np.zeros(2), S, obs_offset=H @ mean + d)
    filtered, smoothed = gaussian.filter(ssm, X), gaussian.smooth(ssm, X)
    for answer, m, P in (
        (decoder.predict(X, return_std=True), filtered.filtered_mean, filtered.filtered_cov),
        (decoder.smooth(X, return_std=True), smoothed.smoothed_mean, smoothed.smoothed_cov),
    ):
        np.testing.assert_allclose(answer[0], m + mean, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(answer[1] ** 2, np.diagonal(P, axis1=1, axis2=2), rtol=1e-8)


def by_the_paper(decoder, f, Q, robust):
    """Filter and Rauch-Tung-Striebel smoother by explicit inverses."""
    A, G, V = decoder.transition_, decoder.process_cov_, decoder.stationary_cov_
    m, M, kept = np.zeros(len(A)), V, []
    for guess, cov in zip(f - decoder.mean_, Q):
        if not robust:
            e, axes = scipy.linalg.eigh(cov, V)
            cov = V @ axes @ np.diag(np.minimum(e, 1.0)) @ axes.T @ V
        precision = np.linalg.inv(cov) + np.linalg.inv(M) - (0.0 if robust else np.linalg.inv(V))
        P = np.linalg.inv(precision)
        mu = P @ (np.linalg.solve(cov, guess) + np.linalg.solve(M, m))
        kept.append((m, M, mu, P))
        m, M = A @ mu, A @ P @ A.T + G
    means, covs = [kept[-1][2]], [kept[-1][3]]
    for (_, _, mu, P), (m, M, _, _) in zip(kept[-2::-1], kept[:0:-1]):
        J = P @ A.T @ np.linalg.inv(M)
        means.insert(0, mu + J @ (means[0] - m))
        covs.insert(0, P + J @ (covs[0] - M) @ J.T)
    return np.array([each[2] for each in kept]), np.array([each[3] for each in kept]), np.array(means), np.array(covs)


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("varying", [False, True])
def test_follows_the_formulas_of_the_paper(task, robust, varying):
    """With a regressor so poor that covariances must be clipped in many rows."""
    X, z = task
    noise = np.random.default_rng(3).normal(size=(len(X), 3))
    Z = np.hstack([X[:, :4], noise])
    spread = KNeighborsRegressor(30) if varying else None
    decoder = DiscriminativeKalmanFilter(KNeighborsRegressor(3), cov_regressor=spread, robust=robust, calibrate=False)
    decoder.fit(Z[:800], z[:800])
    assert (decoder.mended_ > 0.1) != robust
    f = decoder.regressor_.predict(Z[800:860])
    Q = np.tile(decoder.obs_cov_, (60, 1, 1))
    if varying:
        i, j = np.tril_indices(2)
        Q[:, i, j] = Q[:, j, i] = decoder.cov_regressor_.predict(Z[800:860])
        B = decoder.dynamics_.loading
        Q = B @ Q @ B.T
    filtered, P, smoothed, Ps = by_the_paper(decoder, f, Q, robust)
    for answer, m, cov in (
        (decoder.predict(Z[800:860], return_std=True), filtered, P),
        (decoder.smooth(Z[800:860], return_std=True), smoothed, Ps),
    ):
        np.testing.assert_allclose(answer[0], decoder.mean_ + m, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(answer[1], np.sqrt(np.diagonal(cov, axis1=1, axis2=2)), rtol=1e-7)


# what it is for --------------------------------------------------------------------------------------------------


def error(guess, truth):
    return float(np.sqrt(np.mean((guess - truth) ** 2)))


def test_decodes_better_than_the_regressor_alone(decoder, task):
    X, z = task[0][1600:], task[1][1600:]
    alone = error(decoder.regressor_.predict(X), z)
    assert error(decoder.predict(X), z) < 0.9 * alone
    assert error(decoder.smooth(X), z) < 0.95 * error(decoder.predict(X), z)
    interval = decoder.predict_interval(X, level=80)
    inside = (interval[..., 0] < z) & (z < interval[..., 1])
    assert 0.7 < inside.mean() < 0.9
    assert cross_val_score(decoder, *task, cv=TimeSeriesSplit(2)).min() > 0.5


def test_answers_that_are_too_extreme_are_calibrated(decoder, task):
    (X, z), (later, truth) = (each[:1600] for each in task), (each[1600:] for each in task)
    plain = DiscriminativeKalmanFilter(KNeighborsRegressor(15), calibrate=False).fit(X, z)
    calibrated = clone(plain).set_params(calibrate=True).fit(X, z)
    assert error(plain.predict(later), truth) > error(plain.regressor_.predict(later), truth)
    assert error(calibrated.predict(later), truth) < 0.92 * error(plain.regressor_.predict(later), truth)
    np.testing.assert_allclose(decoder.slope_, np.eye(2), atol=0.35)  # an honest regressor stays as it is
    extreme = DiscriminativeKalmanFilter(
        TransformedTargetRegressor(RidgeCV(), func=_third, inverse_func=_thrice, check_inverse=False)
    )
    honest = DiscriminativeKalmanFilter().fit(X, z)
    np.testing.assert_allclose(extreme.fit(X, z).predict(later), honest.predict(later), rtol=1e-6, atol=1e-8)
    assert clone(plain).set_params(calibrate=True, robust=True).fit(X, z).slope_.tolist() == np.eye(2).tolist()


def _third(y):
    return y


def _thrice(y):
    return 3.0 * y


def test_a_covariance_that_depends_on_the_row_helps_where_rows_differ():
    """Every other row comes from a sensor that is twenty times as noisy, and says so."""
    rng = np.random.default_rng(5)
    z = walk(1500)[:, 0]
    noisy = np.arange(1500) % 2
    X = np.column_stack([z + np.where(noisy, 4.0, 0.2) * rng.normal(size=1500), noisy])
    model = make_pipeline(StandardScaler(), KNeighborsRegressor(40))
    constant = DiscriminativeKalmanFilter(model).fit(X[:1000], z[:1000])
    varying = DiscriminativeKalmanFilter(model, cov_regressor=model).fit(X[:1000], z[:1000])
    assert error(varying.predict(X[1000:]), z[1000:]) < 0.95 * error(constant.predict(X[1000:]), z[1000:])
    std = varying.predict(X[1000:], return_std=True)[1]
    assert std[1::2].mean() > 1.2 * std[::2].mean()


# time ------------------------------------------------------------------------------------------------------------


def test_the_stream_is_the_batch(decoder, task, tmp_path):
    X = task[0][1600:1660].copy()
    X[[3, 4, 30]] = np.nan
    whole, std = decoder.predict(X, return_std=True)
    stream = clone(decoder).fit(task[0][:1600], task[1][:1600])
    parts = [stream.update(row[None], return_std=True) for row in X[:20]]
    stream = pickle.loads(pickle.dumps(stream))
    parts.append(stream.update(X[20:40], return_std=True))
    ssmts.save(stream, tmp_path / "decoder")
    stream = ssmts.load(tmp_path / "decoder")
    parts.append(stream.update(X[40:], return_std=True))
    np.testing.assert_allclose(np.concatenate([mean for mean, _ in parts]), whole, rtol=1e-10)
    np.testing.assert_allclose(np.concatenate([each for _, each in parts]), std, rtol=1e-10)
    np.testing.assert_allclose(stream.predict(X), whole, rtol=1e-12)
    np.testing.assert_allclose(stream.restart().update(X), whole, rtol=1e-10)


def frames(task, zone=None):
    X, z = task
    index = pd.date_range("2024-03-30 20:00", periods=len(X), freq="min", tz=zone)
    return (
        pd.DataFrame(X, index, [f"cell {i}" for i in range(X.shape[1])]),
        pd.DataFrame(z, index, ["east", "north"]),
    )


@pytest.mark.parametrize("spread", [None, KNeighborsRegressor(60)])
def test_missing_rows_are_predicted_whichever_way_they_are_missing(task, spread):
    X, z = frames(task, "Europe/Berlin")
    decoder = DiscriminativeKalmanFilter(KNeighborsRegressor(15), cov_regressor=spread).fit(X[:800], z[:800])
    later = X[800:900]
    blank, part, absent = later.copy(), later.copy(), later.drop(later.index[20:30])
    blank.iloc[20:30] = np.nan
    part.iloc[20:30, 5] = np.nan
    mean, std = decoder.predict(blank, return_std=True)
    assert mean.index.equals(later.index)
    assert list(std) == ["east", "north"]
    pd.testing.assert_frame_equal(decoder.predict(part), mean)
    pd.testing.assert_frame_equal(decoder.predict(absent), mean.loc[absent.index], check_freq=False)
    pd.testing.assert_frame_equal(decoder.smooth(absent), decoder.smooth(part).loc[absent.index], check_freq=False)
    v = mean.iloc[19].to_numpy() - decoder.mean_
    np.testing.assert_allclose(mean.iloc[20], decoder.mean_ + decoder.transition_ @ v, rtol=1e-9)
    assert (np.diff(std.iloc[19:30], axis=0) > 0).all()
    stream = [decoder.update(absent[a:b]) for a, b in ((0, 20), (20, 21), (21, 90))]
    pd.testing.assert_frame_equal(pd.concat(stream), mean.loc[absent.index], check_freq=False)
    with pytest.raises(TimeIndexError, match=r"Pass later rows only, or restart\(\) first"):
        decoder.update(later)
    nothing = decoder.predict(blank[20:23], return_std=True)
    np.testing.assert_allclose(nothing[0], np.tile(decoder.mean_, (3, 1)))
    np.testing.assert_allclose(nothing[1] ** 2, np.tile(np.diagonal(decoder.stationary_cov_), (3, 1)))
    interval = decoder.predict_interval(later)
    assert list(interval.columns[:2]) == [("east", "lo-80"), ("east", "hi-80")]


def test_training_rows_may_be_missing_too(task):
    X, z = frames(task)
    X, z = X[:600].copy(), z[:600].copy()
    X.iloc[50:60] = np.nan
    z.iloc[100:110, 0] = np.nan
    gaps = DiscriminativeKalmanFilter().fit(X.drop(X.index[300:320]), z.drop(z.index[300:320]))
    X.iloc[300:320], z.iloc[300:320] = np.nan, np.nan
    blanks = DiscriminativeKalmanFilter().fit(X, z)
    np.testing.assert_allclose(gaps.transition_, blanks.transition_)
    np.testing.assert_allclose(gaps.obs_cov_, blanks.obs_cov_)
    known = z.notna().all(axis=1)
    assert blanks.score(X, z) == pytest.approx(
        1 - np.mean(((blanks.predict(X) - z)[known] ** 2).sum() / ((z - z[known].mean())[known] ** 2).sum())
    )


# regressors ------------------------------------------------------------------------------------------------------


def test_regressors_of_one_output_of_frames_and_of_missing_values(task, tmp_path):
    X, z = frames(task)
    X = X.iloc[:500, :6].assign(day=np.where(np.arange(500) % 2, "odd", "even"))
    chosen = make_column_transformer((OneHotEncoder(), ["day"]), (StandardScaler(), [f"cell {i}" for i in range(6)]))
    decoder = DiscriminativeKalmanFilter(make_pipeline(chosen, RidgeCV())).fit(X, z[:500])
    assert decoder.predict(X).shape == (500, 2)
    ssmts.save(decoder, tmp_path / "decoder")
    pd.testing.assert_frame_equal(ssmts.load(tmp_path / "decoder").predict(X), decoder.predict(X))
    numbers = X.drop(columns="day")
    trees = DiscriminativeKalmanFilter(HistGradientBoostingRegressor(max_iter=5), cv=2).fit(numbers, z[:500])
    holes = numbers.copy()
    holes.iloc[7, 0] = np.nan
    assert trees._read(holes)[0][0].missing.sum() == 0
    holes.iloc[8] = np.nan
    assert np.flatnonzero(trees._read(holes)[0][0].missing).tolist() == [8]
    assert not trees.predict(holes).isna().any(axis=None)


def test_the_kind_of_y_decides_the_kind_of_the_answer(task):
    X, z = frames((task[0][:60, :3], task[1][:60]))
    series = DiscriminativeKalmanFilter().fit(X, z["east"]).predict(X)
    assert isinstance(series, pd.Series)
    assert series.name == "east"
    arrays = DiscriminativeKalmanFilter().fit(X, z["east"].to_numpy())
    assert isinstance(arrays.predict(X), np.ndarray)
    np.testing.assert_allclose(arrays.predict(X), series)
    both = DiscriminativeKalmanFilter().fit(X.to_numpy(), z[["east"]].to_numpy())
    np.testing.assert_allclose(both.predict(X.to_numpy()), series.to_numpy()[:, None])


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("spread", [None, LinearRegression(), KNeighborsRegressor(1)])
def test_covariances_stay_positive(task, robust, spread):
    """With regressors of covariances that are none, and of states that are worse than their mean."""
    rng = np.random.default_rng(0)
    X, z = rng.normal(size=(400, 5)), task[1][:400]
    decoder = DiscriminativeKalmanFilter(
        KNeighborsRegressor(1), cov_regressor=spread, robust=robust, calibrate=False
    ).fit(X, z)
    _, mean, cov = decoder._filtered(5.0 * X[:100])
    assert np.isfinite(mean).all()
    assert np.linalg.eigvalsh(cov).min() > 1e-6
    assert np.linalg.eigvalsh(np.eye(2) - cov).min() > -1e-9
    if not robust:
        assert decoder.mended_ > 0.1


def test_a_regressor_that_knows_nothing_moves_nothing(task):
    X, z = task[0][:300], task[1][:300]
    decoder = DiscriminativeKalmanFilter(DummyRegressor()).fit(X, z)
    mean, std = decoder.predict(X, return_std=True)
    np.testing.assert_allclose(mean, np.tile(z.mean(axis=0), (300, 1)))
    ratio = std / np.sqrt(np.diagonal(decoder.stationary_cov_))
    assert ((ratio > 0.7) & (ratio < 1 + 1e-9)).all()


def test_a_regressor_that_knows_all_is_believed(task):
    z = task[1][:100]
    decoder = DiscriminativeKalmanFilter(LinearRegression()).fit(2.0 * z + 1.0, z)
    mean, std = decoder.predict(2.0 * z + 1.0, return_std=True)
    np.testing.assert_allclose(mean, z, rtol=1e-9, atol=1e-9)
    assert std.max() < 1e-9


# the movement of the states --------------------------------------------------------------------------------------


def test_the_movement_is_learnt():
    z = walk(20_000) * [1e6, 1e-6] + [1e7, 0.0]
    found = learn_dynamics(z, np.arange(len(z)))
    B, scale = found.loading, np.array([1e6, 1e-6])
    np.testing.assert_allclose((B @ found.transition @ found.coordinates) / scale[:, None] * scale, A, atol=0.02)
    np.testing.assert_allclose((B @ found.process_cov @ B.T) / np.outer(scale, scale), GAMMA, atol=0.01)
    np.testing.assert_allclose(found.transition @ found.transition.T + found.process_cov, np.eye(2), atol=1e-10)


@pytest.mark.parametrize("kind", ["trend", "explosion", "rotation", "noise alone"])
def test_states_without_a_stationary_law_get_that_of_their_rows(kind):
    t = np.arange(80.0)
    rotation = np.column_stack([np.sin(t / 5), np.cos(t / 5)])
    z = {
        "trend": t[:, None],
        "explosion": 1.1 ** t[:, None],
        "rotation": rotation,
        "noise alone": np.random.default_rng(0).normal(size=(3, 2)),
    }[kind]
    found = learn_dynamics(z, np.arange(len(z)))
    assert np.abs(np.linalg.eigvals(found.transition)).max() < 1.0
    assert np.linalg.eigvalsh(found.process_cov).min() > -1e-12
    np.testing.assert_allclose(
        found.transition @ found.transition.T + found.process_cov, np.eye(len(found.transition)), atol=1e-10
    )


def test_collinear_and_constant_states(task):
    X, z = task[0][:300], task[1][:300]
    alone = DiscriminativeKalmanFilter(Ridge()).fit(X, z)
    wide = np.column_stack([z[:, 0], np.full(300, 4.0), z[:, 1], z[:, 0] - 2.0 * z[:, 1] + 1.0])
    decoder = DiscriminativeKalmanFilter(Ridge()).fit(X, wide)
    mean, std = decoder.predict(X, return_std=True)
    expected, spread = alone.predict(X, return_std=True)
    np.testing.assert_allclose(mean[:, [0, 2]], expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(std[:, [0, 2]], spread, rtol=1e-6)
    np.testing.assert_allclose(mean[:, 1], 4.0)
    np.testing.assert_allclose(mean[:, 3], expected @ [1.0, -2.0] + 1.0, rtol=1e-6, atol=1e-8)
    assert std[:, 1].max() < 1e-9


# refusals --------------------------------------------------------------------------------------------------------


def test_refusals(task):
    X, z = frames((task[0][:40, :3], task[1][:40]))
    with pytest.raises(InputError, match="same values in every row"):
        DiscriminativeKalmanFilter().fit(X, np.ones(40))
    with pytest.raises(TooShortError, match=r"2 row\(s\) have observations and states"):
        DiscriminativeKalmanFilter().fit(X[:2], z[:2])
    with pytest.raises(TooShortError, match="no two of them consecutive"):
        DiscriminativeKalmanFilter().fit(X, z.iloc[::2].reindex(z.index))
    with pytest.raises(InputError, match="each series by itself"):
        DiscriminativeKalmanFilter().fit(pd.concat({"a": X}), z.to_numpy())
    with pytest.raises(InputTypeError, match="long frame"):
        DiscriminativeKalmanFilter().fit(pd.DataFrame({"unique_id": "a", "ds": X.index, "y": 1.0}), z)
    with pytest.raises(InputTypeError, match="cov_regressor is 'ridge': pass a scikit-learn regressor"):
        DiscriminativeKalmanFilter(cov_regressor="ridge").fit(X, z)
    fitted = DiscriminativeKalmanFilter().fit(X, z)
    with pytest.raises(InputError, match="set_output"):
        fitted.predict(X.to_numpy())
    with pytest.raises(InputError, match="Feature names unseen"):
        fitted.predict(X.rename(columns={"cell 0": "cell 9"}))
    with pytest.raises(TimeIndexError):
        fitted.predict(X[::-1])
    arrays = DiscriminativeKalmanFilter().fit(X.to_numpy(), z.to_numpy())
    with pytest.raises(InputError, match="fit saw arrays"):
        arrays.predict(X)
    with pytest.raises(InputError, match="expecting 3 features"):
        arrays.predict(np.ones((2, 4)))
    arrays.regressor_.coef_ = np.full_like(arrays.regressor_.coef_, np.nan)
    with pytest.raises(NumericalError, match="RidgeCV answers"):
        arrays.predict(np.ones((2, 3)))
    before = arrays.state_
    with pytest.raises(InputError):
        arrays.update(np.full((1, 3), np.inf))
    assert arrays.state_ is before
