"""Operators against matrices written out, and models made of them against models made of arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag, companion, solve_discrete_lyapunov
from scipy.sparse import eye_array

from ssmts import KalmanFilter, load, save
from ssmts.core.gaussian import filter, forecast, loglik, sample, score, smooth
from ssmts.core.linalg.operators import BlockDiagonal, Companion, Identity, Rotation, Shift
from ssmts.core.types import LinearGaussianSSM
from ssmts.estimation import maximum_likelihood
from ssmts.exceptions import InputError, InputTypeError

C = [0.6, -0.3, 0.1]
WRITTEN = [
    (Identity(3), np.eye(3)),
    (Shift(1), np.zeros((1, 1))),
    (Shift(1, cyclic=True), np.ones((1, 1))),
    (Shift(4), np.eye(4, k=-1)),
    (Shift(4, cyclic=True), np.roll(np.eye(4), 1, axis=0)),
    (Companion([0.5]), [[0.5]]),
    (Companion([0.5], "first_column"), [[0.5]]),
    (Companion([0.5], "last_column"), [[0.5]]),
    (Companion(C), companion([1.0, -0.6, 0.3, -0.1])),
    (Companion(C, "first_column"), [[0.6, 1, 0], [-0.3, 0, 1], [0.1, 0, 0]]),
    (Companion(C, "last_column"), [[0, 0, 0.1], [1, 0, -0.3], [0, 1, 0.6]]),
    (Rotation(0.3, 0.9), 0.9 * np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])),
    (
        BlockDiagonal([Identity(1), np.array([[1.0, 2.0], [3.0, 4.0]]), Companion(C)]),
        block_diag([[1.0]], [[1.0, 2.0], [3.0, 4.0]], companion([1.0, -0.6, 0.3, -0.1])),
    ),
    (BlockDiagonal([np.ones((1, 2)), Identity(2)]), block_diag(np.ones((1, 2)), np.eye(2))),
]


@pytest.mark.parametrize(("operator", "matrix"), WRITTEN, ids=[str(k) for k in range(len(WRITTEN))])
def test_operators_are_their_matrices(operator, matrix):
    matrix, rng = np.asarray(matrix, dtype=float), np.random.default_rng(0)
    left, right = rng.normal(size=(2, len(matrix))), rng.normal(size=(matrix.shape[1], 3))
    assert operator.shape == matrix.shape
    assert len(operator) == len(matrix)
    np.testing.assert_array_equal(operator.to_dense(), matrix)
    np.testing.assert_array_equal(np.asarray(operator), matrix)
    assert np.asarray(operator, dtype=np.float32).dtype == np.float32
    np.testing.assert_allclose(operator @ right, matrix @ right, atol=1e-14)
    np.testing.assert_allclose(operator @ right[:, 0], matrix @ right[:, 0], atol=1e-14)
    np.testing.assert_allclose(left @ operator, left @ matrix, atol=1e-14)


@pytest.mark.parametrize(
    "operator", [operator for operator, matrix in WRITTEN if operator.shape[0] == operator.shape[1]]
)
def test_eigenvalues_are_roots_of_the_characteristic_polynomial(operator):
    roots = operator.eigenvalues()
    assert len(roots) == len(operator)
    np.testing.assert_allclose(np.poly(roots), np.poly(operator.to_dense()), atol=1e-12)


@pytest.mark.parametrize(
    "operator", [operator for operator, matrix in WRITTEN if operator.shape[0] == operator.shape[1]]
)
def test_powers_are_products(operator):
    product = np.eye(len(operator))
    for n in range(7):
        np.testing.assert_allclose(operator.power(n), product, atol=1e-12)
        product = operator @ product


def test_powers_that_are_none_are_refused():
    with pytest.raises(InputError, match="n must be a whole number of steps"):
        Identity(2).power(-1)
    with pytest.raises(InputError, match="has no powers"):
        BlockDiagonal([np.ones((1, 2))]).power(2)


def test_a_recursion_in_three_forms_has_one_characteristic_polynomial():
    forms = ("first_row", "first_column", "last_column")
    polynomials = [np.poly(Companion(C, form).to_dense()) for form in forms]
    for polynomial in polynomials:
        np.testing.assert_allclose(polynomial, [1.0, -0.6, 0.3, -0.1], atol=1e-12)


def test_the_last_column_form_is_a_shift_and_a_column():
    a = np.array([0.1, 0.2, 0.3, 0.4])
    expected = np.eye(4, k=-1)
    expected[:, 3] += a
    np.testing.assert_array_equal(Companion(a[::-1], "last_column").to_dense(), expected)


def models(coefficients):
    """A trend, a harmonic and an autoregression from operators, and the same model from arrays."""
    trend, ar = np.array([[1.0, 1.0], [0.0, 1.0]]), Companion(coefficients)
    d, k = 4, 4 + len(ar)
    first = np.outer(*[np.eye(len(ar))[0]] * 2)
    made = LinearGaussianSSM(
        BlockDiagonal([trend, Rotation(2 * np.pi / 7), ar]),
        BlockDiagonal([Identity(2), 0.1 * np.eye(2), first]),
        np.array([[1.0, 0.0, 1.0, 0.0, 1.0] + [0.0] * (k - 5)]),
        Identity(1),
        np.zeros(k),
        BlockDiagonal([np.zeros((d, d)), solve_discrete_lyapunov(ar.to_dense(), first)]),
        np.diag([1.0] * d + [0.0] * (k - d)),
    )
    matrices = ("transition", "process_cov", "obs_cov", "initial_cov")
    return made, made._replace(**{name: np.asarray(getattr(made, name)) for name in matrices})


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(-0.4, 0.4), min_size=1, max_size=4), st.booleans())
def test_a_model_of_operators_is_the_model_of_arrays(coefficients, holes):
    structured, written = models(coefficients)
    rng = np.random.default_rng(1)
    y = rng.normal(size=(30, 1)).cumsum(axis=0)
    y[5:9] = np.nan if holes else y[5:9]
    assert loglik(structured, y) == loglik(written, y)
    for ours, theirs in zip(smooth(structured, y), smooth(written, y)):
        np.testing.assert_array_equal(ours, theirs)
    gradients = [score(ssm, y, ("transition", "obs_cov"))[1] for ssm in (structured, written)]
    np.testing.assert_array_equal(gradients[0].transition, gradients[1].transition)
    np.testing.assert_array_equal(
        *(sample(ssm, y, n_draws=2, random_state=0) for ssm in (structured, written))  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("method", ["sequential", "square_root", "steady", "schur", "shared"])
def test_every_rung_takes_operators(method):
    structured, written = models([0.4])
    y = np.random.default_rng(2).normal(size=(40, 1)).cumsum(axis=0)
    y = np.stack([y, 2 * y]) if method == "shared" else y
    np.testing.assert_array_equal(loglik(structured, y, method=method), loglik(written, y, method=method))


def test_a_search_differentiates_through_an_operator():
    rng = np.random.default_rng(3)
    y = np.zeros((200, 1))
    for t in range(2, 200):
        y[t] = 0.5 * y[t - 1] - 0.3 * y[t - 2] + rng.normal()

    def build(p, operator):
        F = Companion(p["ar"]) if operator else np.stack([p["ar"], np.array([1.0, 0.0])])
        one = np.outer(*[np.eye(2)[0]] * 2)
        return LinearGaussianSSM(F, one, np.eye(1, 2), np.zeros((1, 1)), np.zeros(2), np.eye(2))

    found = [maximum_likelihood(lambda p, o=o: build(p, o), y, {"ar": np.zeros(2)}) for o in (True, False)]
    np.testing.assert_allclose(found[0].params["ar"], found[1].params["ar"], rtol=1e-12)
    assert found[0].loglik == pytest.approx(found[1].loglik, abs=1e-10)


def test_estimators_take_and_save_models_of_operators(tmp_path):
    structured, written = models([0.4, 0.2])
    y = np.random.default_rng(4).normal(size=60).cumsum()
    ours, theirs = KalmanFilter(structured).fit(y), KalmanFilter(written).fit(y)
    np.testing.assert_array_equal(ours.predict(5), theirs.predict(5))
    save(ours, tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict(5), theirs.predict(5))
    state = smooth(structured, y[:, None])
    assert np.isfinite(state.smoothed_mean).all()
    after = filter(structured, y[:, None]).state
    np.testing.assert_array_equal(forecast(structured, after, 2).mean, forecast(written, after, 2).mean)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Identity(0), "size must be a whole number"),
        (lambda: Shift(2.5), "received 2.5"),
        (lambda: Companion([]), "one or more numbers"),
        (lambda: Companion(["a"]), "one or more numbers"),
        (lambda: Companion([[1.0]]), "one axis"),
        (lambda: Companion([1.0], "row"), "form must be"),
        (lambda: BlockDiagonal([]), "empty"),
        (lambda: BlockDiagonal([np.ones(2)]), "must be matrices"),
        (lambda: BlockDiagonal([np.ones((1, 2))]).eigenvalues(), "must be square"),
    ],
)
def test_what_is_wrong_is_said(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_a_sparse_matrix_is_sent_back_with_what_to_do():
    written = models([0.4])[1]
    with pytest.raises(InputTypeError, match=r"transition\.toarray"):
        loglik(written._replace(transition=eye_array(5)), np.zeros((3, 1)))


def test_an_operator_does_not_change():
    given_ = np.array([0.5, 0.2])
    operator = Companion(given_)
    given_[0] = 9.0
    np.testing.assert_array_equal(operator.to_dense()[0], [0.5, 0.2])
    with pytest.raises(ValueError, match="read-only"):
        operator.coefficients[0] = 1.0
