"""The scan rung and its face for tensors: elements, all results, gradients, float32."""

import numpy as np
import pytest
import torch
from oracles import dense_gaussian as dense
from oracles.decimal_gaussian import exact

from ssmts.core import gaussian
from ssmts.core.gaussian import torch as face
from ssmts.core.gaussian._rungs.scan import _elements_torch as parts
from ssmts.core.gaussian._rungs.scan import _torch as scan
from ssmts.core.scan.associative import associative_reduce
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError

from ..cases import CASES, any_model, case, close
from ..test_ladder import CLASSES, same, settled

ONE = np.eye(1)
# The first two smoothed rows of this one depend on a nearly unseen direction, of which the sequential smoother keeps 8 digits.
WEAK = (1, 0)


def tensors(ssm, dtype=torch.float64, grad=()):
    """The same model in tensors; those named in `grad` are leaves."""

    def turn(name, field):
        if field is None:
            return None
        values = torch.tensor(field.values if isinstance(field, TimeVarying) else field, dtype=dtype)
        values = values.requires_grad_(name in grad)
        return TimeVarying(values) if isinstance(field, TimeVarying) else values

    return LinearGaussianSSM(*(turn(name, field) for name, field in ssm._asdict().items()))


def arrays(result):
    return type(result)(
        *(arrays(x) if isinstance(x, tuple) else x[0].numpy() if isinstance(x, torch.Tensor) else x for x in result)
    )


def drawn(number=3, seed=0, n=7, form="covariance"):
    ssm, y, u = case(number, seed, n)
    return face.filter.__globals__["tensors"](
        tensors(ssm), torch.tensor(y), None if u is None else torch.tensor(u), form
    )


@pytest.mark.parametrize("form", scan.FORMS)
@pytest.mark.parametrize("number", [1, 3, 5, 7])
def test_elements_combine_in_any_order(number, form):
    t = drawn(number, form=form)
    combine = parts.combine_covariance if form == "covariance" else parts.combine_square_root
    elements = scan.elements(t, scan.rows_of(t), t.y)
    want = associative_reduce(combine, elements, 1)
    rng = np.random.default_rng(number)
    for _ in range(5):
        spans = [tuple(e[:, i : i + 1] for e in elements) for i in range(t.y.shape[1])]
        while len(spans) > 1:
            i = rng.integers(len(spans) - 1)
            spans[i : i + 2] = [combine(spans[i], spans[i + 1])]
        for k, (a, b) in enumerate(zip(spans[0], want)):
            if form == "square_root" and k in (2, 4):  # factors are known up to a rotation
                a, b = a @ a.mT, b @ b.mT
            close(a.numpy(), b.numpy(), 1e-10)


@pytest.mark.parametrize("block", [None, 2])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_rung_agrees_with_the_sequential_one(number, seed, block, monkeypatch):
    monkeypatch.setattr(scan, "block_of", lambda t: block)
    ssm, y, u = case(number, seed, 12)
    close(*(gaussian.loglik(ssm, y, u, method=m) for m in ("scan", "sequential")))
    for task in ("filter", "smooth"):
        got, want = (getattr(gaussian, task)(ssm, y, u, method=m) for m in ("scan", "sequential"))
        same(*settled(got, want), 1e-8 if task == "smooth" and (number, seed) == WEAK else 1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_rung_agrees_with_the_joint_gaussian(number, seed):
    ssm, y, u = case(number, seed, 9)
    twin = dense.joint(ssm, len(y), u)
    X = twin.observations.X[~np.isnan(y.ravel())]
    if np.linalg.matrix_rank(X) < X.shape[1]:
        with pytest.raises(InputError, match="undetermined"):
            gaussian.loglik(ssm, y, u, method="scan")
        return
    close(gaussian.loglik(ssm, y, u, method="scan"), dense.loglik(ssm, y, u))
    mean, cov, _ = dense.given(twin, twin.states, y, len(y))
    result, dx = gaussian.smooth(ssm, y, u, method="scan"), len(ssm.initial_mean)
    close(result.smoothed_mean.ravel(), mean[:-dx], 1e-8)
    close(result.smoothed_cov[3], cov[3 * dx : 4 * dx, 3 * dx : 4 * dx], 1e-8)


@pytest.mark.parametrize("form", scan.FORMS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_face_for_tensors_agrees_in_both_forms(number, form):
    ssm, y, u = case(number, 1, 12)
    args = tensors(ssm), torch.tensor(y), None if u is None else torch.tensor(u)
    close(face.loglik(*args, form=form).numpy()[0], gaussian.loglik(ssm, y, u))
    same(arrays(face.smooth(*args, form=form)), gaussian.smooth(ssm, y, u), 1e-8)
    got, want = arrays(face.filter(*args, form=form)), gaussian.filter(ssm, y, u, method="sequential")
    close(got.state.mean, want.state.mean)
    close(got.state.cov, want.state.cov)
    known = np.isfinite(want.filtered_cov).all(axis=(1, 2))
    np.testing.assert_array_equal(np.isfinite(got.filtered_cov).all(axis=(1, 2)), known)
    close(got.filtered_mean[known], want.filtered_mean[known])
    close(got.loglik_t.sum(), want.loglik)


@pytest.mark.parametrize(
    "name", ["level", "trend", "level and cycle", "level and autoregression", "trend, season, holes"]
)
def test_single_precision_keeps_four_digits_in_square_roots(name):
    ssm, y = CLASSES[name]()
    args = tensors(ssm, torch.float32), torch.tensor(y).float()
    close(face.loglik(*args).numpy()[0], gaussian.loglik(ssm, y), 1e-4)
    got, want = arrays(face.smooth(*args)), gaussian.smooth(ssm, y)
    close(got.smoothed_mean, want.smoothed_mean, 1e-4)
    close(got.smoothed_cov, want.smoothed_cov, 1e-4)
    close(arrays(face.filter(*args)).state.cov, gaussian.filter(ssm, y).state.cov, 1e-4)


@pytest.mark.parametrize("seed", range(40))
def test_single_precision_keeps_four_digits_of_well_conditioned_models(seed):
    ssm, y = any_model(seed)
    F, Q, R = (getattr(ssm, name) for name in ("transition", "process_cov", "obs_cov"))
    varying = isinstance(F, TimeVarying)
    F, Q, R = (x.values if varying else x for x in (F, Q, R))
    Q, R = (x + np.eye(x.shape[-1]) for x in (Q, R))
    F = F / np.maximum(np.linalg.norm(F, 2, axis=(-2, -1), keepdims=True), 1.0)
    spread = 0.0 if ssm.initial_diffuse_cov is None else ssm.initial_diffuse_cov
    F, Q, R = (TimeVarying(x) if varying else x for x in (F, Q, R))
    start = ssm.initial_cov + spread + np.eye(len(ssm.initial_mean))
    ssm = ssm._replace(transition=F, process_cov=Q, obs_cov=R, initial_cov=start, initial_diffuse_cov=None)
    want, dx = exact(ssm, y), len(ssm.initial_mean)
    args = tensors(ssm, torch.float32), torch.tensor(y).float()
    close(face.loglik(*args).numpy()[0], want.loglik, 1e-4)
    got = arrays(face.smooth(*args))
    close(got.smoothed_mean, want.smoothed_mean[:, :dx], 1e-4)
    close(got.smoothed_cov, want.smoothed_cov[:, :dx, :dx], 1e-4)


@pytest.mark.parametrize("number", [0, 1, 3, 4, 6])
def test_gradients_are_the_score(number):
    ssm, y, u = case(number, 0, 10)
    names = ("transition", "process_cov", "observation", "obs_cov", "initial_mean", "initial_cov", "state_offset")
    model = tensors(ssm, grad=names)
    face.loglik(model, torch.tensor(y), None if u is None else torch.tensor(u), form="covariance").sum().backward()
    want = gaussian.score(ssm, y, names, inputs=u)[1]
    for name in names:
        field, other = getattr(model, name), getattr(want, name)
        got = (field.values if isinstance(field, TimeVarying) else field).grad.numpy()
        other = other.values if isinstance(other, TimeVarying) else other
        if name.endswith("_cov"):  # the derivative by a symmetric matrix
            got = (got + got.swapaxes(-1, -2)) / 2
        close(got, other, 1e-7)


@pytest.mark.parametrize("own_holes", [False, True])
def test_a_batch_is_a_loop(own_holes):
    ssm, y, u = case(3, 4, 20)
    rng = np.random.default_rng(0)
    many = y + rng.normal(size=(4, *y.shape))
    if own_holes:
        many[rng.random(many.shape) < 0.2] = np.nan
    close(*(gaussian.loglik(ssm, many, u, m) for m in ("scan", "sequential")))
    for task in ("filter", "smooth"):
        got, want = (getattr(gaussian, task)(ssm, many, u, m) for m in ("scan", "sequential"))
        same(*settled(got, want), 1e-9)
    state = gaussian.filter(ssm, y, u).state
    close(*(gaussian.loglik(ssm, many, u, m, state=state) for m in ("scan", "sequential")))


def test_series_may_have_models_of_their_own():
    pairs = [case(0, seed, 8) for seed in range(3)]
    fields = zip(*(tensors(ssm) for ssm, _, _ in pairs))
    models = LinearGaussianSSM(
        *(
            None
            if f[0] is None
            else TimeVarying(torch.stack([x.values for x in f]))
            if isinstance(f[0], TimeVarying)
            else torch.stack(f)
            for f in fields
        )
    )
    got = face.loglik(models, torch.tensor(np.stack([y for _, y, _ in pairs])))
    close(got.numpy(), [gaussian.loglik(ssm, y) for ssm, y, _ in pairs])


@pytest.mark.parametrize("number", [2, 5])
def test_paths_without_noise_are_the_smoothed_mean(number):
    t = drawn(number, n=9)
    z = (
        torch.zeros(1, 9, t.F.shape[-1], 1, dtype=torch.float64),
        torch.zeros(1, 9, t.H.shape[-2], 1, dtype=torch.float64),
    )
    ssm, y, u = case(number, 0, 9)
    close(scan.paths(t, *z)[0, ..., 0].numpy(), gaussian.smooth(ssm, y, u).smoothed_mean)


@pytest.mark.parametrize("method", ["scan", "face"])
def test_draws_have_the_moments_of_the_smoother(method):
    ssm, y, _ = case(4, 1, 6)
    if method == "scan":
        draws = gaussian.sample(ssm, y, 20000, 0, method="scan")
    else:
        draws = face.sample(tensors(ssm), torch.tensor(y), 20000, torch.Generator().manual_seed(0))[0].numpy()
    want = gaussian.smooth(ssm, y)
    sd = np.sqrt(np.diagonal(want.smoothed_cov, axis1=1, axis2=2))
    assert np.abs((draws.mean(axis=0) - want.smoothed_mean) / np.maximum(sd, 1e-9)).max() < 5 / np.sqrt(20000)
    cov = np.einsum("btx,btz->txz", draws - want.smoothed_mean, draws - want.smoothed_mean) / 20000
    assert np.abs(cov - want.smoothed_cov).max() < 0.05 * np.abs(want.smoothed_cov).max()


def test_what_a_span_says_of_the_state_before_it():
    ssm, y, _ = case(0, 3, 9)
    for form in scan.FORMS:
        part = face.span_loglik(tensors(ssm), torch.tensor(y), 3, 7, form=form)
        for x in np.random.default_rng(1).normal(size=(3, 3)):
            rest = ssm._replace(
                initial_mean=dense.at(ssm.transition, 2) @ x + dense.at(ssm.state_offset, 2),
                initial_cov=dense.at(ssm.process_loading, 2)
                @ dense.at(ssm.process_cov, 2)
                @ dense.at(ssm.process_loading, 2).T,
            )
            rest = (
                LinearGaussianSSM(*(TimeVarying(f.values[3:]) if isinstance(f, TimeVarying) else f for f in rest))
                if any(isinstance(f, TimeVarying) for f in rest)
                else rest
            )
            got = part.constant[0] + part.linear[0].numpy() @ x - 0.5 * x @ part.precision[0].numpy() @ x
            close(float(got), gaussian.loglik(rest, y[3:7]))


def test_a_high_level_costs_no_digits():
    level = LinearGaussianSSM(ONE, ONE, ONE, ONE, np.zeros(1), 0 * ONE, ONE)
    y = np.cumsum(np.random.default_rng(0).normal(size=(50, 1)), axis=0)
    close(gaussian.loglik(level, y + 1e6, method="scan"), gaussian.loglik(level, y))


def test_redundant_sensors_add_nothing_and_contradictions_everything():
    level = LinearGaussianSSM(ONE, ONE, np.ones((2, 1)), np.zeros((2, 2)), np.zeros(1), 0 * ONE, ONE)
    y = np.repeat(np.random.default_rng(0).normal(size=(9, 1)), 2, axis=1)
    close(*(gaussian.loglik(level, y, method=m) for m in ("scan", "sequential")))
    y[4, 1] += 1.0
    assert gaussian.loglik(level, y, method="scan") == gaussian.loglik(level, y, method="sequential") == -np.inf


def test_what_the_scan_cannot_do_is_refused_in_words():
    exact = LinearGaussianSSM(ONE, 0 * ONE, ONE, 0 * ONE, np.zeros(1), ONE)
    with pytest.raises(InputError, match="observation 0 of row 1 sees the state before it without noise"):
        gaussian.loglik(exact, [[1.0], [1.0]], method="scan")
    level = LinearGaussianSSM(ONE, ONE, ONE, ONE, np.zeros(1), 0 * ONE, ONE)
    with pytest.raises(InputError, match="undetermined"):
        gaussian.loglik(level, [[np.nan]], method="scan")
    model, y = tensors(level), torch.ones(3, 1, dtype=torch.float64)
    with pytest.raises(InputError, match="undetermined"):
        face.loglik(model, torch.nan * y)
    with pytest.raises(InputError, match="undetermined"):
        face.filter(model, torch.nan * y)
    for words, call in {
        "one float dtype": lambda: face.loglik(model, y.float()),
        "choose one of": lambda: face.loglik(model, y, form="cholesky"),
        "the model wants": lambda: face.loglik(model, y.T),
        "infinite": lambda: face.loglik(model, y / 0),
        "pass inputs exactly": lambda: face.smooth(model, y, y),
        "positive integer": lambda: face.sample(model, y, 0),
        "the span is": lambda: face.span_loglik(model, y, 0, 2),
        "pass 2 axes": lambda: face.loglik(model._replace(transition=torch.ones(1, dtype=torch.float64)), y),
    }.items():
        with pytest.raises(InputError, match=words):
            call()
