"""SpaceTime as a classifier: it learns what pooling cannot, filling changes nothing, and what it cannot use it says."""

import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ssmts
from ssmts import SpaceTimeClassifier
from ssmts.deep import _arguments as arguments
from ssmts.deep.cases import Cases, alike, class_weights, held_out, padded
from ssmts.deep.network import ClassificationNetwork
from ssmts.deep.scaling import NORMALIZATIONS
from ssmts.deep.train import TrainOptions
from ssmts.exceptions import InputError, InputTypeError, NumericalError, PersistError

SMALL = {"n_layers": 1, "width": 6, "state_size": 8, "dropout": 0.1, "max_epochs": 3, "random_state": 0, "n_threads": 1}


def small(**more):
    return SpaceTimeClassifier(**{**SMALL, **more})


def waves(n=60, channels=2, seed=0, lengths=(20, 40)):
    """Sequences of two frequencies and any phase, of lengths of their own."""
    rng = np.random.default_rng(seed)
    X, y = [], np.array(["slow", "fast"] * (n // 2))
    for label in y:
        t = np.arange(rng.integers(*lengths))
        angle = 2 * np.pi * (t * (0.1 if label == "slow" else 0.17) + rng.random((channels, 1)))
        X.append(np.sin(angle) + 0.3 * rng.normal(size=angle.shape))
    return X, y


def orders(n, seed):
    """A blip up and a blip down, far apart; the class is which one came first."""
    rng, X, y = np.random.default_rng(seed), [], np.arange(n) % 2
    for label in y:
        x = 0.1 * rng.normal(size=rng.integers(35, 60))
        x[rng.integers(2, 12)], x[rng.integers(22, 33)] = (1, -1) if label else (-1, 1)
        X.append(x)
    return X, y


@pytest.fixture(scope="module")
def fitted():
    return small().fit(*waves())


# what is learnt --------------------------------------------------------------------------------------------------


def test_frequencies_are_learnt():
    X, y = waves(160)
    c = small(max_epochs=30, batch_size=16, learning_rate=0.02).fit(X[:80], y[:80])
    assert c.score(X[80:], y[80:]) > 0.9
    assert c.classes_.tolist() == ["fast", "slow"]


def test_the_order_of_two_events_is_learnt_which_their_values_do_not_tell():
    X, y = orders(500, 0)
    c = small(n_layers=2, width=12, state_size=32, max_epochs=20, learning_rate=0.01).fit(X[:300], y[:300])
    assert c.score(X[300:], y[300:]) > 0.9
    pooled = np.array([[x.mean(), x.std(), x.min(), x.max(), x[-1]] for x in X])
    assert LogisticRegression().fit(pooled[:300], y[:300]).score(pooled[300:], y[300:]) < 0.65


def test_height_tells_classes_apart_unless_it_is_taken_away():
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    X = rng.normal(size=(80, 1, 15)) + 100 + 3 * y[:, None, None]
    assert small(max_epochs=10, learning_rate=0.02).fit(X, y).score(X, y) > 0.95
    c = small(normalization="standardize").fit(X, y)
    np.testing.assert_allclose(c.predict_proba(X), c.predict_proba(5 * X - 30), atol=1e-9)


def test_the_loss_is_the_weighted_cross_entropy():
    X, y = waves(40, lengths=(10, 20))
    weights = np.random.default_rng(0).uniform(0.1, 3, 40)
    options = {"learning_rate": 1e-12, "max_epochs": 1, "dropout": 0.0, "validation": None}
    c = small(**options, class_weight={"fast": 2.0}).fit(X, y, sample_weight=weights)
    weights = weights * np.where(y == "fast", 2.0, 1.0)
    loss = -np.log(c.predict_proba(X)[np.arange(40), (y == "slow").astype(int)])
    assert c.history_.train == (pytest.approx(np.average(loss, weights=weights), rel=1e-5),)


def test_a_weight_counts_as_so_many_cases_and_none_as_no_case():
    X, y = waves(24, lengths=(10, 15))
    weights = np.random.default_rng(0).integers(0, 4, 24)
    full = {"batch_size": 100, "dropout": 0.0, "validation": None, "max_epochs": 5, "class_weight": "balanced"}
    weighted = small(**full).fit(X, y, sample_weight=weights)
    copies = np.repeat(np.arange(24), weights)
    repeated = small(**full).fit([X[i] for i in copies], y[copies])
    np.testing.assert_allclose(weighted.centre_, repeated.centre_, rtol=1e-12)
    np.testing.assert_allclose(weighted.spread_, repeated.spread_, rtol=1e-12)
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-4)


def test_class_weights_move_answers():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(60, 1, 8)), (np.arange(60) % 6 == 0).astype(int)  # nothing to learn but the shares
    shares = {}
    for weight in (None, "balanced", {0: 1.0, 1: 50.0}):
        c = small(max_epochs=15, validation=None, class_weight=weight, learning_rate=0.02).fit(X, y)
        shares[str(weight)] = c.predict_proba(X)[:, 1].mean()
    assert shares["None"] == pytest.approx(1 / 6, abs=0.1)
    assert shares["balanced"] == pytest.approx(1 / 2, abs=0.15)
    assert shares["{0: 1.0, 1: 50.0}"] > 0.8


def test_balanced_classes_weigh_the_same():
    codes, weights = np.array([0, 0, 0, 1, 2, 2]), np.array([1.0, 2, 3, 1, 0.5, 0.5])
    found = class_weights("balanced", np.arange(3), codes, weights)
    np.testing.assert_allclose(np.bincount(codes, weights * found[codes]), weights.sum() / 3)


# cases and batches -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_filling_changes_nothing(fitted_by_normalization, data):
    """A case alone, filled by hand inside the network, and with others of any length, in any order."""
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    lengths = data.draw(st.lists(st.integers(1, 90), min_size=1, max_size=6))
    X = [rng.normal(size=(2, n)) for n in lengths]
    for x in X:
        x[rng.random(x.shape) < data.draw(st.sampled_from([0.0, 0.4]))] = np.nan
        x[0, rng.integers(x.shape[1])] = rng.normal()
    c = fitted_by_normalization[data.draw(st.sampled_from(NORMALIZATIONS))]
    together = c.predict_proba(X)
    alone = np.concatenate([c.predict_proba([x]) for x in X])
    np.testing.assert_allclose(together, alone, atol=1e-9)
    order = rng.permutation(len(X))
    np.testing.assert_allclose(c.predict_proba([X[i] for i in order]), together[order], atol=1e-9)
    batch = Cases([x.astype(np.float32) for x in X], np.zeros(len(X)), np.ones(len(X))).batch(range(len(X)))
    filled = torch.nn.functional.pad(batch.values, (0, data.draw(st.integers(0, 70))), value=torch.nan)
    with torch.no_grad():
        near = [c._logits(c.network_, values, batch.lengths) for values in (batch.values, filled)]
    torch.testing.assert_close(*near, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def fitted_by_normalization():
    return {kind: small(normalization=kind, n_layers=2, max_epochs=1).fit(*waves()) for kind in NORMALIZATIONS}


def test_features_are_the_mean_of_the_rows_and_the_last_one():
    torch.manual_seed(0)
    network = ClassificationNetwork(2, 3, n_layers=2, width=4, state_size=3, dropout=0.5).double().eval()
    values, lengths = torch.randn(3, 2, 9, dtype=torch.float64), torch.tensor([9, 4, 1])
    found = network(values, torch.ones_like(values), lengths)
    for logits, rows, n in zip(found, values, lengths):
        u = network.encoded(rows[None, :, :n], torch.ones(1, 2, n, dtype=torch.float64), None)[0]
        want = network.head.weight @ torch.cat([u.mean(1), u[:, -1]]) + network.head.bias
        torch.testing.assert_close(logits, want)


def test_a_batch_holds_its_cases():
    X = [np.arange(6.0).reshape(2, 3), np.ones((2, 1))]
    cases = Cases(X, np.array([1, 0]), np.array([1.0, 3.0]))
    batch = cases.batch([1, 0])
    assert batch.values.dtype == torch.float32
    np.testing.assert_array_equal(batch.values[0], [[1, np.nan, np.nan]] * 2)
    np.testing.assert_array_equal(batch.values[1], X[0])
    assert [each.tolist() for each in batch[1:]] == [[1, 3], [0, 1], [1.5, 0.5]]
    same = Cases([x.copy() for x in X], np.array([1, 0]), np.array([2.0, 6.0])).fingerprint()
    assert same == cases.fingerprint()
    others = [
        Cases(X[::-1], np.array([1, 0]), np.array([1.0, 3.0])),
        Cases(X, np.array([0, 1]), np.array([1.0, 3.0])),
        Cases(X, np.array([1, 0]), np.array([1.0, 2.0])),
        Cases([X[0].reshape(3, 2), X[1]], np.array([1, 0]), np.array([1.0, 3.0])),
    ]
    assert len({same, *(other.fingerprint() for other in others)}) == 5
    assert padded(X, np.float64)[0].dtype == torch.float64


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 8), st.integers(1, 120))
def test_cases_are_answered_once_and_not_too_many_together(lengths, most, rows):
    lengths = np.array(lengths)
    parts = list(alike(lengths, most, rows))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(lengths)))
    for part in parts:
        assert 1 <= len(part) <= most
        assert len(part) == 1 or len(part) * lengths[part].max() <= rows


def test_each_class_validates_by_its_share():
    codes = np.repeat([0, 1, 2], [50, 10, 1])
    held = held_out(codes, 0.2, seed=3)
    assert np.bincount(codes[held], minlength=3).tolist() == [10, 2, 0]
    assert not np.array_equal(held, held_out(codes, 0.2, seed=4))
    assert held_out(codes, 0.99, seed=3).sum() == 49 + 9
    for asked, share in (("auto", 0.0), (None, 0.0), (0.3, 0.3), (12, 12 / 61)):
        assert arguments.validation_share(asked, np.bincount(codes)) == share
    assert arguments.validation_share("auto", np.array([10, 40])) == 0.2


def test_validation_stops_and_keeps_the_best_epoch():
    X, y = waves(60)
    noise = np.random.default_rng(0).permutation(y)
    c = small(max_epochs=40, patience=3, learning_rate=0.05).fit(X, noise)
    assert c.history_.stopped_early
    assert len(c.history_.validation) == c.history_.best_epoch + 4
    assert small(validation=None).fit(X, y).history_.validation == ()


# containers ------------------------------------------------------------------------------------------------------


def test_one_channel_is_the_same_in_every_container():
    X, y = np.random.default_rng(0).normal(size=(30, 12)), np.arange(30) % 3
    table = small().fit(X, y)
    want = table.predict_proba(X)
    frame = pd.DataFrame(X, columns=[f"t{i}" for i in range(12)])
    boxed = np.empty(30, dtype=object)
    boxed[:] = list(X)
    np.testing.assert_allclose(table.predict_proba(X[:, None]), want, atol=1e-12)
    tables, others = (frame, X.tolist()), (X[:, None, :], list(X), [x[None] for x in X], boxed, pd.Series(list(X)))
    for cases in (*tables, *others):
        c = small().fit(cases, pd.Series(y))
        np.testing.assert_allclose(c.predict_proba(cases), want, atol=1e-12)
        assert c.n_channels_in_ == 1
        assert hasattr(c, "n_features_in_") == any(cases is each for each in tables)
    assert small().fit(frame, y).feature_names_in_.tolist() == frame.columns.tolist()
    assert table.predict_proba([X[0, :3], X[1].repeat(9)]).shape == (2, 3)
    with pytest.raises(InputError, match=r"X has 11 features.*12 features.*X\[:, None, :\]"):
        table.predict(X[:, :11])
    loose = small().fit(X[:, None], y)
    assert loose.predict(X[:, :7]).shape == (30,)
    refitted = clone(table).fit(X, y).fit(X[:, None], y)
    assert not hasattr(refitted, "n_features_in_")


def test_missing_values_are_marked():
    """What is missing may be what tells the classes apart."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 2, 20)), np.arange(100) % 2
    X[rng.random(X.shape) < 0.1] = np.nan
    X[y == 1, 1, 5:9] = np.nan
    X[:10, 1] = np.nan  # a channel of some cases
    c = small(max_epochs=15, learning_rate=0.02).fit(X, y)
    assert c.score(X[10:], y[10:]) > 0.9
    silent = small().fit(np.where(np.arange(2)[:, None] == 1, np.nan, np.nan_to_num(X)), y)  # a channel of all cases
    assert np.isfinite(silent.predict_proba(X)).all()


@pytest.mark.parametrize("labels", [[True, False], ["a", "bc"], [3, -1], [2.0, 5.0]], ids=str)
def test_labels_keep_their_kind(labels):
    X, _ = waves(12, lengths=(8, 12))
    y = np.array(labels * 6)
    c = small(max_epochs=1).fit(X, y)
    assert c.predict(X).dtype == y.dtype
    assert set(c.predict(X)) <= set(labels)
    strings = small(max_epochs=1).fit(X, pd.Series(y).astype("category"))
    np.testing.assert_array_equal(strings.predict(X), c.predict(X))


def test_a_few_short_cases_are_enough():
    c = SpaceTimeClassifier(max_epochs=1, width=4, state_size=4, random_state=0).fit([[1.0], [2.0]], ["a", "b"])
    np.testing.assert_allclose(c.predict_proba([[1.0], [4.0]]).sum(axis=1), 1)
    same = small(max_epochs=1).fit(np.full((4, 1, 6), 7.0), [0, 1, 0, 1])
    assert np.isfinite(same.predict_proba(np.full((4, 1, 6), 7.0))).all()


# scikit-learn ----------------------------------------------------------------------------------------------------


def test_pipelines_and_searches():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = pd.DataFrame(rng.normal(size=(90, 16)) * 40 + 40 * y[:, None])
    X.columns = [f"t{i}" for i in X]
    pipe = make_pipeline(StandardScaler(), small(max_epochs=10, learning_rate=0.03))
    assert cross_val_score(pipe, X, y, cv=3, error_score="raise").mean() > 0.6
    assert cross_val_score(pipe, X, y, cv=3, scoring="roc_auc_ovr").mean() > 0.8
    cases, labels = waves(40, lengths=(8, 14))
    search = GridSearchCV(small(), {"normalization": ["none", "mean"]}, cv=2, error_score="raise").fit(cases, labels)
    assert search.predict(cases).shape == (40,)


def test_weights_are_routed():
    X, y = waves(24, lengths=(8, 12))
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            small().set_fit_request(sample_weight=True).set_score_request(sample_weight=True), {"width": [4]}, cv=2
        )
        search.fit(X, y, sample_weight=np.where(y == "fast", 1.0, 2.0))
    assert search.best_estimator_.classes_.tolist() == ["fast", "slow"]


# the same again --------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_network_and_another_another(fitted):
    X, y = waves()
    np.testing.assert_array_equal(small().fit(X, y).predict_proba(X), fitted.predict_proba(X))
    assert not np.allclose(small(random_state=1).fit(X, y).predict_proba(X), fitted.predict_proba(X))
    before = torch.random.get_rng_state()
    small().fit(X, y)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_saved_models_say_the_same_in_a_fresh_process(tmp_path):
    X, y = waves()
    models = {
        "strings": small(normalization="mean").fit(np.array([x[:, :20] for x in X]), y),
        "numbers": small(max_epochs=1).fit(X, (y == "slow").astype(int)),
    }
    for name, model in models.items():
        ssmts.save(model, tmp_path / name)
    later = np.array([x[:, -15:] for x in X])
    np.save(tmp_path / "X.npy", later)
    code = f"""
import numpy as np, ssmts
X = np.load({str(tmp_path / "X.npy")!r})
for name in ("strings", "numbers"):
    c = ssmts.load(f"{tmp_path}/{{name}}")
    np.savez(f"{tmp_path}/{{name}}.npz", c.predict_proba(X), c.predict(X))
"""
    as_here = {**os.environ, "OMP_NUM_THREADS": "1"}  # the last bit of a sum depends on the number of threads
    subprocess.run([sys.executable, "-c", code], check=True, env=as_here)
    for name, model in models.items():
        found = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_array_equal(found["arr_0"], model.predict_proba(later))
        np.testing.assert_array_equal(found["arr_1"], model.predict(later))
        assert type(ssmts.load(tmp_path / name).network_) is ClassificationNetwork


@pytest.mark.parametrize("call", [2, 8, 16])
def test_a_fit_that_was_cut_off_goes_on_to_the_same_weights(tmp_path, call):
    """An epoch asks for the loss three times: of two steps, and of the cases that validate."""
    more = {"max_epochs": 6, "average": 0.9, "dropout": 0.3, "checkpoint_steps": 1}
    (X, y), weights, path = waves(), np.linspace(1, 2, 60), tmp_path / "run.safetensors"
    whole = small(**more).fit(X, y, sample_weight=weights)

    def counted(estimator, stop_at):
        calls, loss = [], estimator._loss

        def stopped(network, batch):
            calls.append(1)
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            return loss(network, batch)

        estimator._loss = stopped
        return estimator, calls

    cut, _ = counted(small(**more, checkpoint=path), call)
    with pytest.raises(KeyboardInterrupt):
        cut.fit(X, y, sample_weight=weights)
    assert not hasattr(cut, "network_")
    resumed, calls = counted(small(**more, checkpoint=path), None)
    resumed.fit(X, y, sample_weight=weights)
    assert len(calls) <= 6 * 3 - call + 2  # it did not start anew
    for name, weight in whole.network_.state_dict().items():
        assert torch.equal(weight, resumed.network_.state_dict()[name])
    with pytest.raises(PersistError, match="of other data"):
        small(**more, checkpoint=path).fit(X, y)


# what is said ----------------------------------------------------------------------------------------------------

GOOD = np.random.default_rng(0).normal(size=(8, 2, 6))
LABELS = np.arange(8) % 2


def changed(at, value):
    X = GOOD.copy()
    X[at] = value
    return X


@pytest.mark.parametrize(
    ("X", "y", "error", "said"),
    [
        (GOOD[..., None], LABELS, InputError, "received 4 dimensions"),
        (GOOD[0, 0], LABELS[:6], ValueError, "Reshape your data"),
        (GOOD, LABELS[:7], InputError, "8 cases and y 7 labels"),
        (GOOD, None, InputError, "requires y to be passed"),
        (GOOD, np.zeros(8), InputError, "only one class"),
        (
            GOOD,
            np.array(["a", 1] * 4, dtype=object),
            InputTypeError,
            "labels of the kinds int, str, which have no order",
        ),
        (GOOD, np.linspace(0, 1, 8), ValueError, "Unknown label type"),
        (GOOD, np.where(LABELS, 1.0, np.nan), InputError, "no label for 4 cases, first case 0"),
        (GOOD, ["a", None] * 4, InputError, "no label for 4 cases, first case 1"),
        (GOOD, np.where(LABELS, 1.0, np.inf), InputError, "infinity, first for case 0"),
        (GOOD, np.stack([LABELS, LABELS], 1), ValueError, "1d array"),
        ([GOOD[0], *GOOD[1:, :1]], LABELS, InputError, "Case 1 of X has 1 channels, case 0 has 2"),
        ([*GOOD[:7], GOOD[7, :, :0]], LABELS, InputError, r"Case 7 of X is empty: it is \(2, 0\)"),
        ([*GOOD[:7], GOOD], LABELS, InputError, r"Case 7 of X must be \(n_channels, n_times\).*received \(8, 2, 6\)"),
        ([*GOOD[:7], pd.DataFrame(GOOD[7])], LABELS, InputTypeError, r"Case 7 of X is a frame.*frame.to_numpy\(\).T"),
        ([*GOOD[:7], GOOD[7] * 1j], LABELS, InputTypeError, "Case 7 of X must be an array of numbers.*complex"),
        ([*GOOD[:7], np.array([["a"]])], LABELS, InputTypeError, "Case 7 of X must be an array of numbers"),
        ([[1.0, 2.0], [1.0]], [0, 1], InputError, "nested list of different lengths. Pass a list of arrays"),
        (changed((3, 1, 4), np.inf), LABELS, InputError, "Case 3 of X contains infinity in channel 1 at time 4"),
        (changed(5, np.nan), LABELS, InputError, "Case 5 of X has no value"),
        (np.full((8, 3), "x", object), LABELS, ValueError, "could not convert string"),
        (GOOD[:0], [], ValueError, "0 sample"),
        ([], [], ValueError, "Expected 2D array"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_learnt_is_said_and_what_was_fitted_stays(X, y, error, said):
    c = small(max_epochs=1).fit(GOOD[:, 0], LABELS)
    before = dict(vars(c))
    with pytest.raises(error, match=said):
        c.fit(X, y)
    assert vars(c) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n_layers": -1}, "n_layers"),
        ({"width": 2.5}, "width"),
        ({"dropout": 1.0}, "dropout"),
        ({"normalization": "minmax"}, "'last'"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"n_threads": 0}, "n_threads"),
        ({"device": "abacus"}, "'auto', 'cpu'"),
        ({"validation": 1.5}, "validation must be 'auto'"),
        ({"validation": 8}, "below all 8"),
        ({"validation": 1}, "share of 0.12 of each class, which is no case of any of them: the largest has 4"),
        ({"class_weight": {0: "two"}}, "must give each label a number"),
        ({"class_weight": "even"}, "class_weight must be None"),
        ({"class_weight": {7: 1.0}}, r"labels \[7\], which y has not"),
        ({"class_weight": {0: -1.0}}, "0 or more"),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        small(**arguments).fit(GOOD, LABELS)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.ones(7), r"must be \(8,\)"),
        (np.zeros(8), "zero for all cases"),
        (np.full(8, -1.0), "0 or more"),
        (LABELS, "one class"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weights, said):
    with pytest.raises(InputError, match=said):
        small().fit(GOOD, LABELS, sample_weight=weights)


def test_what_cannot_be_predicted_is_said(fitted):
    with pytest.raises(InputError, match="X has 3 channels, and SpaceTimeClassifier was fitted with 2"):
        fitted.predict(np.zeros((4, 3, 10)))
    with pytest.raises(InputError, match="X has 1 channels"):
        fitted.predict(np.zeros((4, 10)))
    with pytest.raises(InputError, match="Case 0 of X has no value"):
        fitted.predict([np.full((2, 5), np.nan)])
    with pytest.raises(NumericalError, match="case 1 of X"):
        fitted.predict([np.zeros((2, 5)), np.full((2, 5), 1.7e308)])


def test_memory_that_runs_out_names_the_knob(fitted):
    c = small()
    c._loss = lambda network, batch: torch.empty(2**55)
    with pytest.raises(InputError, match=r"batch_size=32 and cases of up to 6 rows\. Lower batch_size first"):
        c.fit(GOOD, LABELS)
    other = small()
    vars(other).update(vars(fitted))
    other._logits = lambda *given: torch.empty(2**55)
    with pytest.raises(InputError, match=r"cases of up to 6 rows ran out of memory on cpu\. Cut or thin"):
        other.predict(GOOD)


def test_arguments_are_those_of_the_forecaster_where_they_mean_the_same():
    own, theirs = SpaceTimeClassifier().get_params(), ssmts.SpaceTimeForecaster().get_params()
    assert set(own) - set(theirs) == {"class_weight"}
    assert set(own) & set(asdict(TrainOptions())) >= {"learning_rate", "batch_size", "average", "device"}
