"""SpaceTime as a classifier of sequences."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from .._containers import FloatArray
from ..exceptions import InputError, NumericalError
from . import _arguments as arguments
from . import _checkpoint as checkpoints
from ._machine import memory_named
from ._randomness import seeded
from ._stand import moments_of
from .cases import (
    CaseBatch,
    Cases,
    alike,
    class_weights,
    classes_of,
    held_out,
    is_table,
    labels_of,
    padded,
    sequences,
    weights_of,
)
from .network import ClassificationNetwork
from .scaling import Normalization, normalise
from .train import History, TrainOptions, device_of, train

_AT_ONCE = 256  # cases that are answered together,
_NUMBERS = 2**23  # and numbers in a layer, 64 MiB


class SpaceTimeClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Companion-matrix state-space network that says which class a sequence is of.

    The encoder of `SpaceTimeForecaster` reads a sequence; a linear head on the mean of what it says of the rows, and on what it says of
    the last one, gives the probabilities of the classes. Sequences have one or more channels and lengths of their own.

    Parameters
    ----------
    n_layers : int, default 3
        Layers of the encoder. The first is linear in the past of a row; what follows after what takes more.
    width : int, default 32
        Channels of the network.
    state_size : int, default 16
        Order of each companion recursion. Memory is longer than that, as recursions fade slowly; higher orders learn noise by heart
        where cases are few.
    normalization : {"none", "standardize", "mean", "last"}, default "none"
        What each channel of a case is moved and divided by. Channels are z-scored with the training cases in any case; the default leaves
        it at that, because height and size may be what tells classes apart. "standardize" where they are chance.
    class_weight : "balanced", dict or None, default None
        Weights of the classes in the loss, by label; "balanced" gives all the same sum.
    dropout : float, default 0.3
    learning_rate : float, default 0.01
        Of AdamW at its height.
    weight_decay : float, default 1e-4
    batch_size : int, default 32
    max_epochs : int, default 40
    batches_per_epoch : int, default 100
        An epoch ends after so many steps, or when all cases were seen.
    patience : int, default 15
        Epochs without a better validation loss until training stops.
    average : float, default 0.0
        Decay of a running mean of the weights; 0 for the weights themselves.
    validation : "auto", int, float or None, default "auto"
        Cases, or a share of them, that are not learnt but choose the epoch, drawn from each class alike. "auto" takes a fifth where each
        class has at least ten cases, else none. Without them all epochs are run.
    device : str, default "auto"
        CUDA where it is, else the CPU.
    n_threads : int, optional
        Threads of torch while it trains.
    random_state : int, RandomState or None
        The same number gives the same network.
    checkpoint : path, optional
        File written after each epoch, from which a fit of the same data and arguments goes on. It stays when the fit has ended: the
        next such fit ends at once. Where `random_state` is None, a fit takes its seed from the file that is there.
    checkpoint_steps : int, optional
        Write the file after every so many steps, too; for epochs that take long.
    progress : bool, default False

    Attributes
    ----------
    classes_ : array, shape (n_classes,)
    network_ : ClassificationNetwork
    history_ : History
        Losses of each epoch.
    n_channels_in_ : int
    centre_, spread_ : arrays, shape (n_channels_in_,)
        What channels are z-scored with.
    n_features_in_ : int
        Columns of X, where fit saw a table of two dimensions.
    feature_names_in_ : ndarray of str
        Names of its columns, if they are strings.

    Notes
    -----
    ``X`` is an array (n_cases, n_channels, n_times); a list of arrays (n_channels, n_times) of any lengths; or, for one channel, a
    list of arrays (n_times,), or a table (n_cases, n_times) as scikit-learn knows it, whose number of columns stays what it was in fit.
    Sequences to predict may otherwise be shorter or longer than those of fit. NaN is a missing value: it is filled with the last observed
    one and marked. Sequences of a batch are filled behind, where nothing looks; answers are computed in double precision, so that they
    do not depend on what else is asked. Cases with ``sample_weight`` 0 are left out.

    References
    ----------
    Zhang et al. (2023), Effectively modeling time series with simple discrete state spaces, ICLR.

    Examples
    --------
    Two frequencies, at any phase, in sequences of any length:

    >>> import numpy as np
    >>> from ssmts import SpaceTimeClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.array(["slow", "fast"] * 60)
    >>> cycles = [(0.1 if label == "slow" else 0.14) * np.arange(rng.integers(30, 60)) + rng.random() for label in y]
    >>> X = [np.sin(2 * np.pi * each) + 0.3 * rng.normal(size=len(each)) for each in cycles]
    >>> c = SpaceTimeClassifier(n_layers=2, width=8, random_state=0).fit(X[:80], y[:80])
    >>> c.score(X[80:], y[80:]) > 0.9
    True
    """

    network_: ClassificationNetwork
    history_: History
    classes_: npt.NDArray[Any]
    centre_: FloatArray
    spread_: FloatArray
    n_channels_in_: int

    def __init__(
        self,
        *,
        n_layers: int = 3,
        width: int = 32,
        state_size: int = 16,
        normalization: Normalization = "none",
        class_weight: Any = None,
        dropout: float = 0.3,
        learning_rate: float = 0.01,
        weight_decay: float = 1e-4,
        batch_size: int = 32,
        max_epochs: int = 40,
        batches_per_epoch: int = 100,
        patience: int = 15,
        average: float = 0.0,
        validation: Any = "auto",
        device: str = "auto",
        n_threads: int | None = None,
        random_state: Any = None,
        checkpoint: Any = None,
        checkpoint_steps: int | None = None,
        progress: bool = False,
    ) -> None:
        self.n_layers = n_layers
        self.width = width
        self.state_size = state_size
        self.normalization = normalization
        self.class_weight = class_weight
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.batches_per_epoch = batches_per_epoch
        self.patience = patience
        self.average = average
        self.validation = validation
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.checkpoint_steps = checkpoint_steps
        self.progress = progress

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from labelled sequences.

        Parameters
        ----------
        X : array, shape (n_cases, n_channels, n_times) or (n_cases, n_times), or list of arrays (n_channels, n_times)
            NaN where missing.
        y : array-like, shape (n_cases,)
            Labels.
        sample_weight : array-like, shape (n_cases,), optional
            Weights of the cases in the loss; a case of weight 2 counts as two.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            Shapes, values, labels or arguments that cannot be used; the message names the case. What was fitted before stays.
        NumericalError
            Training left the finite numbers.
        """
        arguments.check(self)
        device_of(self.device)
        probe = type(self)()  # learns the columns of a table, so that this estimator stays as it is until all is done
        cases = _cases(X, probe, learn=True)
        labels = labels_of(y, len(cases))
        weights = weights_of(sample_weight, len(cases))
        kept = np.flatnonzero(weights)  # a case of weight 0 is none
        cases, labels, weights = [cases[i] for i in kept.tolist()], labels[kept], weights[kept]
        classes, codes = classes_of(labels)
        share = arguments.validation_share(self.validation, np.bincount(codes))
        cost = weights * class_weights(self.class_weight, classes, codes, weights)[codes]
        centre, spread = _moments(cases, weights)
        scaled = [((rows - centre[:, None]) / spread[:, None]).astype(np.float32) for rows in cases]
        seed = checkpoints.seed_of(self.random_state, self.checkpoint)
        held = held_out(codes, share, seed)
        known, checked = (_chosen(scaled, codes, cost, which) for which in (~held, held))
        if known is None:
            raise InputError("class_weight leaves no case to train on. Pass a weight above 0 for more classes.")
        with seeded(seed):
            network = ClassificationNetwork(
                len(centre),
                len(classes),
                n_layers=self.n_layers,
                width=self.width,
                state_size=self.state_size,
                dropout=self.dropout,
            )
        file = {"checkpoint": self.checkpoint, "checkpoint_steps": self.checkpoint_steps}
        objective = {"normalization": self.normalization}
        history = train(network, self._loss, known, checked, TrainOptions.of(self, seed), objective=objective, **file)
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(probe, name):
                setattr(self, name, getattr(probe, name))
        self.network_, self.history_, self.classes_ = network, history, classes
        self.centre_, self.spread_, self.n_channels_in_ = centre, spread, len(centre)
        return self

    def predict_proba(self, X: Any) -> FloatArray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array, shape (n_cases, n_channels, n_times) or (n_cases, n_times), or list of arrays (n_channels, n_times)
            Of as many channels as in fit, and of any length.

        Returns
        -------
        array, shape (n_cases, n_classes)
            In the order of `classes_`.
        """
        check_is_fitted(self)
        by_table = hasattr(self, "n_features_in_")
        cases = _cases(X, self if by_table else type(self)(), learn=not by_table)
        if len(cases[0]) != self.n_channels_in_:
            raise InputError(
                f"X has {len(cases[0])} channels, and {type(self).__name__} was fitted with {self.n_channels_in_}. Pass the same channels, "
                "in the same order."
            )
        network = copy.deepcopy(self.network_).double()
        device = next(network.parameters()).device
        lengths = np.array([rows.shape[1] for rows in cases])
        out = np.empty((len(cases), len(self.classes_)))
        advice = (
            f"Predicting cases of up to {lengths.max()} rows ran out of memory on {device}. Cut or thin long cases."
        )
        with torch.no_grad(), np.errstate(over="ignore"), memory_named(advice):
            for at in alike(lengths, _AT_ONCE, _NUMBERS // network.embed.out_features):
                scaled = [(cases[i] - self.centre_[:, None]) / self.spread_[:, None] for i in at.tolist()]
                values, rows = (each.to(device) for each in padded(scaled, np.float64))
                out[at] = self._logits(network, values, rows).softmax(1).cpu().numpy()
        if not np.isfinite(out).all():
            i = int(np.argmin(np.isfinite(out).all(axis=1)))
            raise NumericalError(
                f"The network leaves the finite numbers at case {i} of X. Look for values far beyond all others."
            )
        return out

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most probable class of each case.

        Parameters
        ----------
        X
            As in `predict_proba`.

        Returns
        -------
        array, shape (n_cases,)
            Labels of `classes_`.
        """
        most = self.predict_proba(X).argmax(axis=1)
        labels: npt.NDArray[Any] = self.classes_[most]
        return labels

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: tables or arrays of three dimensions, with missing values."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags

    # shared work -------------------------------------------------------------------------------------------------

    def _logits(self, network: Any, values: Tensor, lengths: Tensor) -> Tensor:
        scaled = normalise(values, self.normalization)
        logits: Tensor = network(scaled.values, scaled.observed, lengths)
        return logits

    def _loss(self, network: Any, batch: CaseBatch) -> Tensor:
        logits = self._logits(network, batch.values, batch.lengths)
        return (batch.weights * F.cross_entropy(logits, batch.labels, reduction="none")).mean()


def _cases(X: Any, estimator: Any, *, learn: bool) -> list[FloatArray]:
    """The cases of X; an estimator learns the number and the names of the columns of a table, or checks them."""
    if not is_table(X):
        return sequences(X)
    try:
        return sequences(validate_data(estimator, X, reset=learn, dtype=np.float64, ensure_all_finite=False))
    except ValueError as error:
        if "features as input" not in str(error):
            raise
        raise InputError(
            f"{error} A table keeps its columns; pass sequences of another length as X[:, None, :]."
        ) from error


def _moments(cases: list[FloatArray], weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each channel over all rows, those of a case counted by its weight."""
    rows = np.concatenate(cases, axis=1).T
    centre, spread = moments_of([rows], [np.repeat(weights, [case.shape[1] for case in cases])])
    return centre[0], spread[0]


def _chosen(cases: list[Any], codes: Any, cost: FloatArray, which: npt.NDArray[np.bool_]) -> Cases | None:
    """Some of the cases, if what they cost is not nothing."""
    at = np.flatnonzero(which)
    return Cases([cases[i] for i in at.tolist()], codes[at], cost[at]) if cost[at].any() else None
