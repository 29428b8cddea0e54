"""Univariate forecasters whose units are shown by name: attributes as tables, one series of a panel picked out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from .._containers import FloatArray
from ..exceptions import InputError, InputTypeError, SsmtsError, UnknownSeriesError
from ._summary import aic, bic
from .univariate import UnivariateForecaster


class NamedUnitsForecaster(UnivariateForecaster):
    """Base of univariate forecasters that report what they fitted.

    A fitted attribute is that of the only unit, or a table with a row for each series and column. Units have ``loglik``,
    ``converged``, ``n_estimated`` and ``n_effective``, the rows that count in Schwarz's criterion.
    """

    def _features(self) -> tuple[Hashable, ...]:
        check_is_fitted(self)
        form = self.form_
        return form.features if form.features is not None else tuple(range(form.n_features or 0))

    def _names(self) -> pd.Index:
        """A name for each unit."""
        form = self.form_
        outputs = form.outputs if len(form.outputs) > 1 else ()
        if form.keys is None:
            return pd.Index(outputs)
        return pd.MultiIndex.from_product([form.keys, outputs]) if outputs else pd.Index(form.keys)

    def _table(self, of: Callable[[Any], Any], *, keep_dict: bool = False) -> Any:
        """A fitted attribute: that of the only unit, or a row for each."""
        check_is_fitted(self)
        values = [of(unit) for unit in self.units_]
        if len(values) == 1:
            return pd.Series(values[0], dtype=float) if isinstance(values[0], dict) and not keep_dict else values[0]
        return (pd.DataFrame if isinstance(values[0], dict) else pd.Series)(values, index=self._names())

    @property
    def loglik_(self) -> Any:
        """Log-likelihood of the training rows."""
        return self._table(lambda unit: unit.loglik)

    @property
    def aic_(self) -> Any:
        """Akaike's criterion."""
        return self._table(aic)

    @property
    def bic_(self) -> Any:
        """Schwarz's criterion."""
        return self._table(bic)

    @property
    def converged_(self) -> Any:
        """Whether the search reached a maximum."""
        return self._table(lambda unit: unit.converged)

    def _unit(self, series: Hashable | None, column: Hashable | None) -> tuple[int, Any]:
        """Position of a unit, and the unit."""
        check_is_fitted(self)
        form, at = self.form_, 0
        for given, names, word in ((series, form.keys or (None,), "series"), (column, form.outputs, "column")):
            if given is None and len(names) > 1:
                raise InputError(f"There are {len(names)} {word} names: pass {word}=, one of {_shown(names)}.")
            if given is not None and given not in names:
                raise UnknownSeriesError(f"There is no {word} {given!r}; there is {_shown(names)}.")
            at = at * len(names) + (0 if given is None else names.index(given))
        return at, self.units_[at]

    def _title(self, at: int) -> str:
        return f" of {self._names()[at]}" if len(self.units_) > 1 else ""

    def _training(self, at: int) -> tuple[FloatArray, FloatArray | None]:
        """Training rows of a unit on the model's scale."""
        if self.rows_ is None:
            raise SsmtsError(
                "This needs the training rows, and they were not saved: save(..., data=True), or fit again."
            )
        which, column = divmod(at, len(self.form_.outputs))
        y = np.ascontiguousarray(self._model_rows(which)[:, column])
        return y, None if self.rows_.X is None else self.rows_.X[which]


def read_fixed(fix: Any, example: str) -> dict[str, float]:
    """Check the argument `fix`, given values of parameters by name.

    Raises
    ------
    InputTypeError, InputError
        If it is no mapping of names to finite numbers.
    """
    if fix is None:
        return {}
    if not isinstance(fix, Mapping):
        raise InputTypeError(f"fix must map names of parameters to numbers, like {example}; received {fix!r}.")
    for name, value in fix.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
            raise InputError(f"fix[{name!r}] must be a finite number; received {value!r}.")
    return {str(name): float(value) for name, value in fix.items()}


def read_lags(lags: Any, season: int, n_residuals: int) -> int:
    """Autocorrelations in a Ljung-Box statistic: twice the season, but no more than a fifth of the rows, unless given."""
    if lags is None:
        return max(1, min(2 * season, n_residuals // 5))
    if isinstance(lags, bool) or not isinstance(lags, Integral) or not 1 <= int(lags) < n_residuals:
        raise InputError(f"lags must be a whole number from 1 to {n_residuals - 1}; received {lags!r}.")
    return int(lags)


def _shown(names: Sequence[Any]) -> str:
    return ", ".join(map(repr, names[:5])) + (" ..." if len(names) > 5 else "")
