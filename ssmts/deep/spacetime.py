"""SpaceTime as a forecaster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sklearn.utils.validation import check_is_fitted

from ..core.types import LinearGaussianSSM
from ..exceptions import InputError
from .examples import Sampling
from .forecaster import DeepForecaster
from .linear import must_be_linear, network_model, rescaled
from .losses import Loss
from .network import SpaceTimeNetwork
from .scaling import Normalization


class SpaceTimeForecaster(DeepForecaster):
    """Companion-matrix state-space network with a closed-loop decoder.

    An encoder of companion layers reads a window; a decoder of the same kind predicts its own next inputs, so that any horizon comes
    from one division of power series. One network serves all series of a panel and every horizon.

    Parameters
    ----------
    context_length : int or "auto", default "auto"
        Rows that a forecast looks back on. "auto" takes three horizons, at least 64 and at most 512 rows, and less where the series
        are shorter. Where a series has fewer rows, the window is filled with missing values.
    horizon : int, default 24
        Rows ahead that training looks at. Every horizon is forecast: shorter ones are prefixes of it; beyond it the closed loop goes on,
        and intervals widen with the root of the lead, untested.
    n_layers : int, default 1
        Layers of the encoder.
    width : int, default 32
        Channels.
    state_size : int, default 64
        Order of each companion recursion.
    normalization : {"standardize", "last", "mean", "none"}, default "standardize"
        What a window is moved and divided by. "none" keeps a recurrent state: `update` then costs the new rows only.
    loss : {"quantile", "mae", "mse", "gaussian", "student_t"}, default "quantile"
        What is learnt: quantiles; the median or the mean alone, with intervals from the residuals of rows not trained on; a law.
    loss_weights : tuple of three floats, default (1, 0.3, 0)
        Of the rows ahead, of one-step predictions within the window, and of the decoder's predictions of its own inputs.
    preprocess : bool, default False
        Whether fixed differences and moving-average residuals of the embedded series enter too.
    dropout : float, default 0.1
    learning_rate : float, default 0.004
        Of AdamW at its height.
    weight_decay : float, default 1e-4
    batch_size : int, default 64
    max_epochs : int, default 15
    batches_per_epoch : int, default 100
        An epoch ends after so many steps, or when all windows were seen.
    patience : int, default 5
        Epochs without a better validation loss until training stops.
    average : float, default 0.0
        Decay of a running mean of the weights; 0 for the weights themselves.
    validation : "auto", int, float or None, default "auto"
        Rows at the end of each series, or a share of them, that are not learnt but choose the epoch and the widths of intervals.
        "auto" takes a horizon and a tenth of the rows of series that have enough. With None the widths are those of training.
    stride : int, default 1
        Rows from one training window to the next.
    sampling : {"windows", "series"}, default "windows"
        Whether training visits all windows alike, or all series of a panel, so that long ones do not drown short ones.
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
    freq : str or offset, optional
        Frequency of the rows; found from the index unless given.
    target_transform : transformer, optional
        scikit-learn transformer applied to the target, column by column; must be monotone.

    Attributes
    ----------
    network_ : SpaceTimeNetwork
    history_ : History
        Losses of each epoch.
    context_length_ : int
    calibration_ : Calibration
        Widths of intervals by lead.

    Notes
    -----
    Series are z-scored with their training rows, then each window is normalised. A series of a panel that fit has not seen joins through
    `update`, z-scored with its first rows. Several columns of `y` are one multivariate series.
    Covariates enter with their own rows, in the window and ahead; those of absent rows are their mean. Missing values are filled with the
    last observed one and marked.
    `update` keeps the last rows, so that fit and update give the medians that one fit with the same network would. Intervals follow the
    errors of the rows that came since fit: what the network would have said at 16 of the last eight horizons of rows is compared with them.

    References
    ----------
    Zhang et al. (2023), Effectively modeling time series with simple discrete state spaces, ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import SpaceTimeForecaster
    >>> y = np.sin(np.arange(200) * 2 * np.pi / 12)
    >>> f = SpaceTimeForecaster(36, horizon=12, width=8, state_size=16, learning_rate=0.05, max_epochs=8, random_state=0)
    >>> f = f.fit(y)
    >>> bool(np.abs(f.predict(12) - np.sin(np.arange(200, 212) * 2 * np.pi / 12)).max() < 0.3)
    True
    """

    def __init__(
        self,
        context_length: int | Literal["auto"] = "auto",
        horizon: int = 24,
        *,
        n_layers: int = 1,
        width: int = 32,
        state_size: int = 64,
        normalization: Normalization = "standardize",
        loss: Loss = "quantile",
        loss_weights: Sequence[float] = (1.0, 0.3, 0.0),
        preprocess: bool = False,
        dropout: float = 0.1,
        learning_rate: float = 4e-3,
        weight_decay: float = 1e-4,
        batch_size: int = 64,
        max_epochs: int = 15,
        batches_per_epoch: int = 100,
        patience: int = 5,
        average: float = 0.0,
        validation: Any = "auto",
        stride: int = 1,
        sampling: Sampling = "windows",
        device: str = "auto",
        n_threads: int | None = None,
        random_state: Any = None,
        checkpoint: Any = None,
        checkpoint_steps: int | None = None,
        progress: bool = False,
        freq: Any = None,
        target_transform: Any = None,
    ) -> None:
        self.context_length = context_length
        self.horizon = horizon
        self.n_layers = n_layers
        self.width = width
        self.state_size = state_size
        self.normalization = normalization
        self.loss = loss
        self.loss_weights = loss_weights
        self.preprocess = preprocess
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.batches_per_epoch = batches_per_epoch
        self.patience = patience
        self.average = average
        self.validation = validation
        self.stride = stride
        self.sampling = sampling
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.checkpoint_steps = checkpoint_steps
        self.progress = progress
        self.freq = freq
        self.target_transform = target_transform

    def to_state_space(self) -> LinearGaussianSSM | list[LinearGaussianSSM]:
        """The linear Gaussian model whose predictions one row ahead are those of this network; of a panel, a list.

        Returns
        -------
        LinearGaussianSSM
            On the scale of `y` (as `target_transform` leaves it), for `KalmanFilter` or `ssmts.core.gaussian`; states are in
            z-scores. Its noise is what was left one row ahead of rows not trained on.

        Raises
        ------
        InputError
            Unless the network is linear: ``n_layers=0``, ``preprocess=False``, ``normalization="none"``, any loss but "quantile", and
            no covariates. Or the estimator was saved by a version that did not keep the error one row ahead.

        Notes
        -----
        One row after a complete past, filter and network agree, from the first row on. Where rows are missing the filter is exact, and
        the network reads the last value again. Further ahead the filter iterates the prediction of one row, with Gaussian intervals
        that follow from it; the network's closed loop has coefficients of its own, learnt for those leads, and differs. For a model
        that is meant for this, learn one row ahead: ``loss_weights=(0, 1, 0)``.

        Examples
        --------
        >>> import numpy as np
        >>> from ssmts import KalmanFilter, SpaceTimeForecaster
        >>> y = np.sin(np.arange(200) * 2 * np.pi / 12) + 0.1 * np.random.default_rng(0).normal(size=200)
        >>> f = SpaceTimeForecaster(
        ...     36, 1, n_layers=0, width=1, state_size=12, normalization="none", loss="mse", loss_weights=(0, 1, 0), dropout=0,
        ...     learning_rate=0.03, max_epochs=60, patience=20, random_state=0
        ... ).fit(y)
        >>> y[50:60] = np.nan
        >>> k = KalmanFilter(f.to_state_space()).fit(y)
        >>> bool(np.abs(k.predict(12) - np.sin(np.arange(200, 212) * 2 * np.pi / 12)).max() < 0.3)
        True
        """
        check_is_fitted(self)
        must_be_linear(self, self.x_centre_.size)
        noise = self.calibration_.one_step
        if noise is None:
            raise InputError(
                "calibration_ has no error one row ahead, as it was saved by a version that did not keep it, and a model needs it as "
                "its noise. Fit again."
            )
        model = network_model(self.network_, noise)
        models = [rescaled(model, centre, spread) for centre, spread in zip(self.centre_, self.spread_)]
        return models if len(models) > 1 else models[0]

    def _network(
        self, n_outputs: int, n_covariates: int, n_parameters: int, context_length: int, seed: int
    ) -> SpaceTimeNetwork:
        return SpaceTimeNetwork(
            n_outputs,
            n_covariates,
            n_parameters,
            context_length=context_length,
            n_layers=self.n_layers,
            width=self.width,
            state_size=self.state_size,
            dropout=self.dropout,
            preprocess=self.preprocess,
            seed=seed,
        )

    def _burn_in(self, context_length: int) -> int:
        return min(self.state_size, context_length // 4)
