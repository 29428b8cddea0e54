"""What all deep forecasters share: scaling of series, splits, training, the window that is their state, and answers from it."""

from __future__ import annotations

import copy
import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from .._containers import FloatArray
from ..base import BaseForecaster, Capabilities, Depends
from ..distributions import Distribution, Gaussian, Quantiles
from ..exceptions import FutureRowsError, TooShortError
from ..panel import Form, Panel, Rows, SeriesRows
from . import _arguments as arguments
from . import _checkpoint as checkpoints
from ._randomness import seeded
from ._recent import recent_widths
from ._stand import Stand, covariates, moments_of, nothing, single
from .calibration import RECENT, Calibration, calibrate
from .losses import LEVELS, Head, Normal, Objective, head
from .scaling import normalise
from .train import History, TrainOptions, device_of, train
from .windows import Batch, Windows, stretches

_MOST_CHECKED = 1024  # windows that validate an epoch and calibrate: more tell little and cost time
_MIDDLE, _LOW, _HIGH = LEVELS.index(0.5), LEVELS.index(0.1), LEVELS.index(0.9)
_SPAN = 2.5631031310892007  # standard deviations between the first and the last decile of a normal


_CAPABILITIES = Capabilities(joint=True, pooled=True, paths=False, recurrent=False, unseen=True)


class _Answers(threading.local):
    """Forecasts of the series that are asked for, while the question is answered."""

    def __init__(self) -> None:
        self.quantiles: dict[int, FloatArray] = {}


class DeepForecaster(BaseForecaster):
    """Base of forecasters that are a network over windows; one model for all series of a panel.

    Subclasses store the arguments that are read here in ``__init__``, and build the network in `_network`.
    """

    capabilities: ClassVar[Capabilities] = cast(
        Any, Depends(_CAPABILITIES, lambda f: replace(_CAPABILITIES, recurrent=f.normalization == "none"))
    )

    _absent = np.nan  # left out of moments, and the mean in windows

    context_length: Any
    horizon: int
    normalization: Any
    loss: Any
    loss_weights: Any
    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    batches_per_epoch: int
    patience: int
    average: float
    validation: Any
    stride: int
    sampling: Any
    device: str
    n_threads: int | None
    random_state: Any
    checkpoint: Any
    checkpoint_steps: int | None
    progress: bool

    network_: Any
    history_: History
    calibration_: Calibration
    stands_: tuple[Stand, ...]

    @abstractmethod
    def _network(self, n_outputs: int, n_covariates: int, n_parameters: int, context_length: int, seed: int) -> Any:
        """An untrained network whose ``forward(values, observed, covariates, horizon, in_context=)`` gives an `Output`."""

    def _burn_in(self, context_length: int) -> int:
        """Rows of a context that are too early to predict the next one."""
        return context_length // 4

    # hooks ------------------------------------------------------------------------------------------------------

    def _fit(self, form: Form, panel: Panel) -> dict[str, Any]:
        arguments.check(self)
        device = device_of(self.device)
        seed = checkpoints.seed_of(self.random_state, self.checkpoint)
        lengths = [len(rows) for rows in panel.y]
        length = self._context(lengths)
        centre, spread = moments_of(panel.y)
        y = [single(*each, "y") for each in zip(panel.y, centre, spread)]
        n_covariates = form.n_features or 0
        x_centre, x_spread, X = np.zeros(n_covariates), np.ones(n_covariates), None
        if n_covariates and panel.X is not None:
            x_centre, x_spread = (each[0] for each in moments_of([np.concatenate(panel.X)]))
            X = [covariates(rows, x_centre, x_spread) for rows in panel.X]
        known, held = self._split(y, X, length)
        said = head(self.loss)
        with seeded(seed):
            network = self._network(y[0].shape[1], n_covariates, said.n_parameters, length, seed)
        options = TrainOptions.of(self, seed)
        checked = None if held is None else _thinned(held)
        loss = Objective(self.loss, tuple(self.loss_weights), self.normalization, self._burn_in(length))
        file = {"checkpoint": self.checkpoint, "checkpoint_steps": self.checkpoint_steps}
        history = train(network, loss, known, checked, options, objective=asdict(loss), **file)
        fitted = {
            "network_": network,
            "history_": history,
            "context_length_": length,
            "centre_": centre,
            "spread_": spread,
            "x_centre_": x_centre,
            "x_spread_": x_spread,
        }
        scaled = self._scaled_with(fitted)
        if held is None or not len(held):  # how many rows were learnt says nothing of doubt
            fitted["calibration_"] = scaled._calibrated(_thinned(known), device, None, None)
        else:
            checked = _thinned(held)
            origins, n_origins = panel.start[checked.series] + checked.rows, int(np.bincount(held.series).max())
            fitted["calibration_"] = scaled._calibrated(checked, device, origins, n_origins)
        blank = nothing(y[0].shape[1], length)
        fitted["stands_"] = tuple(
            scaled._moved(i, blank, panel.y[i], None if panel.X is None or not n_covariates else panel.X[i])._replace(
                n_new=0
            )
            for i in range(len(y))
        )
        return fitted

    def _update(self, news: Sequence[SeriesRows]) -> dict[str, Any]:
        stands, changed, scaled = list(self.stands_), {}, self
        joined = [new.y for new in news if new.series >= len(stands)]
        if joined:  # their first rows are their context, and say at which height and how wide they are
            moments = moments_of(joined)
            changed = {
                name: np.concatenate([getattr(self, name), more]) for name, more in zip(("centre_", "spread_"), moments)
            }
            stands += [nothing(rows.shape[1], self.context_length_) for rows in joined]
            scaled = self._scaled_with({**vars(self), **changed})
        for new in news:
            X = new.X if self.x_centre_.size else None
            stands[new.series] = scaled._moved(new.series, stands[new.series], new.y, X)
        return {**changed, "stands_": tuple(stands)}

    def _forecast(self, series: int, leads: np.ndarray, X: FloatArray | None) -> Distribution:
        horizon = int(leads[-1])
        if self.x_centre_.size and len(leads) < horizon:
            absent = int(np.setdiff1d(np.arange(1, horizon + 1), leads)[0])
            raise FutureRowsError(
                f"Covariates move the states, so each row counts: X_future{self.form_.label(series)} has no row "
                f"{absent} step(s) after the last known one. Pass the missing rows."
            )
        found = _ANSWERS.quantiles.get(series)
        if found is None:
            found = self._ahead([series], horizon, [X] if self.x_centre_.size and X is not None else None)[0]
        return self._distribution(found[:, leads - 1], series)

    def _one_step(self, series: int, y: FloatArray, X: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        length = self.context_length_
        rows = self._window(series, y)
        known = None
        if self.x_centre_.size and X is not None:
            known = [self._known(X)]
        mean, variance = np.full(y.shape, np.nan), np.full(y.shape, np.inf)
        windows = Windows([rows], known, length, 1)
        for each in stretches(1, len(y)):
            at = np.arange(each.start, each.stop)
            found = self._said(windows.batch_at(np.zeros_like(at), at), 1)[..., 0, :]  # (B, C, n_levels)
            mean[at] = found[..., _MIDDLE]
            variance[at] = ((found[..., _HIGH] - found[..., _LOW]) / _SPAN) ** 2
        return mean * self.spread_[series] + self.centre_[series], variance * self.spread_[series] ** 2

    # answers ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _asked(self, rows: Rows, X: list[FloatArray] | None) -> Iterator[None]:
        """Forecasts all series asked for together, and keeps them while the question is answered."""
        which, leads, known = [], [], []
        for place, series in enumerate(rows.series.tolist()):
            ahead = rows.steps[place] - self.last_[series]
            future = ahead > 0
            n = int(future.sum())
            if n and (not self.x_centre_.size or n == ahead.max()):  # rows with gaps are refused one by one
                which.append(series)
                leads.append(int(ahead.max()))
                known.append(X[place][future] if X is not None and self.x_centre_.size else None)
        try:
            if len(which) > 1:
                given = [x for x in known if x is not None]
                _ANSWERS.quantiles = dict(zip(which, self._ahead(which, max(leads), given or None)))
            yield
        finally:
            _ANSWERS.quantiles = {}

    def _ahead(self, which: Sequence[int], horizon: int, X: Sequence[FloatArray] | None) -> FloatArray:
        """Quantiles at `LEVELS` in z-scores, ``(series, C, horizon, n_levels)``; shorter `X` go on with zeros."""
        stands = [self.stands_[i] for i in which]
        rows = [self._window(i, stand.rows) for i, stand in zip(which, stands)]
        known = None
        if X is not None:
            pasts = [rows[:0] if stand.X is None else stand.X for stand, rows in zip(stands, X)]
            known = [self._known(np.concatenate(both)) for both in zip(pasts, X)]
        windows, after = Windows(rows, known, self.context_length_, horizon), np.array([len(each) for each in rows])
        parts = []
        for each in stretches(0, len(rows)):
            at = np.arange(each.start, each.stop)
            batch = windows.batch_at(at, after[at])
            if stands[0].state is None:
                parts.append(self._said(batch, horizon))
            else:
                parts.append(self._from_states(stands[each], batch, horizon))
        found = np.concatenate(parts)
        looks = Windows(rows, known, self.context_length_, self.horizon)
        wider = recent_widths(self.calibration_, looks, [stand.n_new for stand in stands], self._said)
        wider = wider[..., np.minimum(np.arange(horizon), self.horizon - 1), None]
        middle = found[..., _MIDDLE, None]
        widened: FloatArray = middle + wider * (found - middle)
        return widened

    def _from_states(self, stands: Sequence[Stand], batch: Batch, horizon: int) -> FloatArray:
        device = next(self.network_.parameters()).device
        states = zip(*(stand.state for stand in stands if stand.state is not None))
        given = tuple(torch.from_numpy(np.concatenate(each)).to(device) for each in states)
        ahead = None if batch.covariates is None else batch.covariates[..., -horizon:].to(device)
        with torch.no_grad():
            numbers = self.network_.ahead(given, horizon, ahead)
        return self._calibrated_quantiles(numbers, np.arange(1, horizon + 1))

    def _said(self, batch: Batch, horizon: int) -> FloatArray:
        """Calibrated quantiles in z-scores, ``(B, C, horizon, n_levels)``."""
        with torch.no_grad():
            batch = batch.to(next(self.network_.parameters()).device)
            scaled = normalise(batch.context, self.normalization)
            output = self.network_(scaled.values, scaled.observed, batch.covariates, horizon, in_context=False)
        found = self._calibrated_quantiles(output.ahead, np.arange(1, horizon + 1))
        location, scale = (each.cpu().numpy().astype(float)[..., None] for each in (scaled.location, scaled.scale))
        return location + scale * found

    def _calibrated_quantiles(self, numbers: Tensor, leads: Any) -> FloatArray:
        said = head(self.loss)
        centre, quantiles = _arrays(said, numbers)
        return self.calibration_.quantiles(centre, quantiles, leads)

    def _distribution(self, found: FloatArray, series: int) -> Distribution:
        """From quantiles ``(C, n, n_levels)`` in z-scores."""
        values = np.moveaxis(found, 0, 1)  # (n, C, n_levels)
        values = values * self.spread_[series][:, None] + self.centre_[series][:, None]
        if self.loss in ("mse", "gaussian"):
            deviation = (values[..., _HIGH] - values[..., _LOW]) / _SPAN
            return Gaussian(values[None, ..., _MIDDLE], deviation[None] ** 2)
        return Quantiles(LEVELS, np.sort(values, axis=-1)[None])

    # state ------------------------------------------------------------------------------------------------------

    def _window(self, series: int, rows: FloatArray) -> Any:
        return single(rows, self.centre_[series], self.spread_[series], "y")

    def _known(self, X: FloatArray) -> Any:
        return covariates(X, self.x_centre_, self.x_spread_)

    def _moved(self, series: int, stand: Stand, y: FloatArray, X: FloatArray | None) -> Stand:
        """Where a series stands after more rows."""
        kept = self.context_length_ + RECENT * self.horizon
        self._window(series, y)  # refuses what no forecast could be made of
        if X is not None:
            self._known(X)
        rows = np.concatenate([stand.rows, y])[-kept:]
        known = None if X is None else X if stand.X is None else np.concatenate([stand.X, X])
        known = None if known is None else known[-kept:]
        seen = np.where(~np.isnan(y), np.arange(len(y))[:, None], -1).max(axis=0)
        latest = np.where(seen >= 0, y[np.maximum(seen, 0), np.arange(y.shape[1])], stand.latest)
        state = stand.state
        if self.normalization == "none":
            state = self._scanned(series, stand, y, X)
        return Stand(rows, known, state, latest, min(stand.n_new + len(y), RECENT * self.horizon))

    def _scanned(self, series: int, stand: Stand, y: FloatArray, X: FloatArray | None) -> tuple[Any, ...]:
        """States of the layers after more rows."""
        network = self.network_
        device = next(network.parameters()).device
        context = self._window(series, np.concatenate([stand.latest[None], y])).T.copy()
        scaled = normalise(torch.from_numpy(context)[None].to(device), "none")
        known = None
        if X is not None:
            known = torch.from_numpy(self._known(X).T.copy())[None].to(device)
        with torch.no_grad():
            if stand.state is None:
                state = network.zero_state(1)
            else:
                state = tuple(torch.from_numpy(each).to(device) for each in stand.state)
            state = network.scan(scaled.values[..., 1:], scaled.observed[..., 1:], known, state)[1]
        return tuple(each.cpu().numpy() for each in state)

    # training ---------------------------------------------------------------------------------------------------

    def _context(self, lengths: Sequence[int]) -> int:
        """Length of the window."""
        longest = max(lengths)
        if longest < 3:
            raise TooShortError(f"A network learns from at least 3 rows; the longest series has n_samples={longest}.")
        if self.context_length == "auto":
            # three horizons show how a row relates to those before, and what is far away costs time; short series have less
            return max(2, min(max(3 * self.horizon, 64), 512, longest - 1))
        if self.context_length >= longest:
            raise TooShortError(
                f"context_length is {self.context_length}, and the longest series has {longest} rows: no row would follow a "
                "window. Pass a shorter context_length, or 'auto'."
            )
        return int(self.context_length)

    def _split(self, y: list[Any], X: list[Any] | None, length: int) -> tuple[Windows, Windows | None]:
        """Windows to learn from, and those of the last rows in time."""
        h = self.horizon
        rows = arguments.validation_rows(self.validation, [len(each) for each in y], h)
        ends = [len(each) - v for each, v in zip(y, rows)]
        known = [each[:end] for each, end in zip(y, ends)]
        # short series begin with less context than asked for, and end with less than a horizon ahead
        first = [min(length, max(1, min(4, end - 1), end // 4)) for end in ends]
        last = [max(end - h, end // 2, low) for end, low in zip(ends, first)]
        train_windows = Windows(known, X, length, h, first=first, last=last, stride=self.stride)
        if not any(rows):
            return train_windows, None
        last = [max(len(each) - h, end) if v else 0 for each, end, v in zip(y, ends, rows)]
        held = Windows(y, X, length, h, first=ends, last=last)
        return train_windows, held

    def _calibrated(self, windows: Windows, device: torch.device, origins: Any, n_origins: int | None) -> Calibration:
        """Widths from windows, on their normalised scale."""
        said = head(self.loss)
        centres, quantiles, targets = [], [], []
        for each in stretches(0, len(windows)):
            batch = windows.batch(np.arange(each.start, each.stop)).to(device)
            scaled = normalise(batch.context, self.normalization)
            with torch.no_grad():
                output = self.network_(
                    scaled.values, scaled.observed, batch.covariates, windows.horizon, in_context=False
                )
            centre, given = _arrays(said, output.ahead)
            centres.append(centre)
            quantiles.append(given)
            targets.append(((batch.target - scaled.location) / scaled.scale).cpu().numpy().astype(float))
        given = None if quantiles[0] is None else np.concatenate([q for q in quantiles if q is not None])
        return calibrate(np.concatenate(centres), given, np.concatenate(targets), origins, n_origins)

    def _scaled_with(self, fitted: dict[str, Any]) -> Any:
        """A copy of this estimator that has these attributes: hooks work on it before the fit is known to succeed."""
        other = type(self)(**self.get_params(deep=False))
        other.__dict__.update(fitted)
        return other


_ANSWERS = _Answers()


def _arrays(said: Head, numbers: Tensor) -> tuple[FloatArray, FloatArray | None]:
    """Centre and, unless the head speaks of the centre only, quantiles."""
    if said.n_parameters > 1 or isinstance(said, Normal):
        quantiles = said.quantiles(numbers)
        if quantiles is not None:
            array = quantiles.cpu().numpy().astype(float)
            return array[:, _MIDDLE], array
    return said.location(numbers).cpu().numpy().astype(float), None


def _thinned(windows: Windows) -> Windows:
    """At most `_MOST_CHECKED` of the windows, evenly spread."""
    if len(windows) <= _MOST_CHECKED:
        return windows
    kept, fewer = np.linspace(0, len(windows) - 1, _MOST_CHECKED).astype(np.int64), copy.copy(windows)
    fewer.series, fewer.rows = windows.series[kept], windows.rows[kept]
    return fewer
