"""Where the search for a seasonal ARIMA model starts."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..components.transforms import Array, Stationary
from ._arima_likelihood import Likelihood, difference
from ._arima_spec import Orders

_APART = 0.3
_INSIDE = 0.97  # partial autocorrelations of a start
_NEARLY = ((0.8, 0.97), (0.97, 0.8))  # moduli of roots that nearly cancel, autoregressive and moving-average
_ENDS = 0.2  # angle


def starts(likelihood: Likelihood, given: Array) -> list[Array]:
    """Coefficients by regression on lags and on estimated noise, and some that are far apart.

    Parameters
    ----------
    likelihood : Likelihood
    given : array (n,)
        Coefficients with given values, NaN for those to estimate.
    """
    orders = likelihood.orders
    used = [prefix for prefix, lags, _ in orders.groups if lags]
    choice = (-0.6, 0.6) if len(used) > 2 else (-0.6, 0.1, 0.6)[: 3 if orders.mixed else 2]
    tables = [dict(zip(used, firsts)) for firsts in product(choice, repeat=len(used))]
    out = [_regressed(likelihood)]
    for table in tables:
        values = np.zeros(len(given))
        for (prefix, lags, _), place in zip(orders.groups, orders.places):
            values[place] = [table.get(prefix, 0.0), *(0.0,) * (len(lags) - 1)][: len(lags)]
        out.append(values)
    return [_inside(orders, np.where(np.isnan(given), values, given), given) for values in out]


def _inside(orders: Orders, values: Array, given: Array) -> Array:
    """Coefficients shrunk, those that are not given, until each polynomial has its roots well outside the unit circle."""
    for (prefix, lags, _), place in zip(orders.groups, orders.places):
        sign = 1.0 if prefix.endswith("ar") else -1.0
        whole = np.zeros(max(lags, default=0))
        free = np.isnan(given[place])
        for _ in range(40):
            whole[np.array(lags, dtype=int) - 1] = sign * values[place]
            if Stationary().contains(whole / _INSIDE ** np.arange(1, len(whole) + 1)):
                break
            values[place] = np.where(free, values[place] * 0.9 ** np.array(lags), values[place])
    return values


def cancelling(likelihood: Likelihood, given: Array, base: Array) -> list[Array]:
    """Coefficients whose autoregressive and moving-average roots nearly cancel, one of them near the unit circle.

    Of models of both kinds the highest maximum is often there, where no climb from elsewhere comes: real roots at either end of the
    spectrum, pairs of complex ones at its peaks and troughs. All other coefficients of the two polynomials are zero.

    Parameters
    ----------
    likelihood : Likelihood
    given : array (n,)
        Coefficients with given values, NaN for those to estimate.
    base : array (n,)
        Coefficients for the other polynomials.
    """
    orders, out = likelihood.orders, []
    groups = {prefix: (lags, place) for (prefix, lags, _), place in zip(orders.groups, orders.places)}
    for kinds in (("ar", "ma"), ("seasonal_ar", "seasonal_ma")):
        lags, (ar, ma) = zip(*(groups[kind] for kind in kinds))
        most = min(map(len, lags))
        whole = all(own == tuple(range(1, len(own) + 1)) for own in lags)
        if not most or not whole or not np.isnan([*given[ar], *given[ma]]).all():
            continue
        turns = [2 * np.cos(a) for a in _extremes(_centred(likelihood))] if most > 1 and kinds[0] == "ar" else []
        for of_ar, of_ma in _NEARLY:
            pairs = [([sign * of_ar], [-sign * of_ma]) for sign in (1.0, -1.0)]
            pairs += [([c * of_ar, -(of_ar**2)], [-c * of_ma, of_ma**2]) for c in turns]
            for pair in pairs:
                values = base.copy()
                values[ar] = values[ma] = 0.0
                for place, coefficients in zip((ar, ma), pair):
                    values[place.start : place.start + len(coefficients)] = coefficients
                out.append(values)
    return out


def ranked(likelihood: Likelihood, trials: list[Array]) -> list[Array]:
    """The trials that have a likelihood, the highest first."""
    found = [(trial, likelihood(trial)) for trial in trials]
    return [t for t, _ in sorted(((t, f.loglik) for t, f in found if f is not None), key=lambda pair: -pair[1])]


def apart(ranking: list[Array], most: int) -> list[Array]:
    """The first trials of a ranking that differ by more than a little from those chosen before."""
    out: list[Array] = []
    for trial in ranking:
        if len(out) < most and all(np.abs(trial - other).max() > _APART for other in out):
            out.append(trial)
    return out


def _extremes(x: Array) -> list[float]:
    """Angles of the two highest and the two lowest values of a smoothed periodogram, apart from each other and from its ends."""
    waves = np.abs(np.fft.rfft(x, 2 * len(x)))[1:-1] ** 2
    angles = np.pi * np.arange(1, len(waves) + 1) / (len(waves) + 1)
    order = np.argsort(-np.convolve(waves, np.ones(3), "same")[: len(waves)], kind="stable")
    out: list[float] = []
    for way in (order, order[::-1]):
        found: list[float] = []
        for angle in angles[way].tolist():
            clear = _ENDS < angle < np.pi - _ENDS and all(abs(angle - other) > _ENDS for other in found)
            if clear and len(found) < 2:
                found.append(angle)
        out += found
    return out


def _centred(likelihood: Likelihood) -> Array:
    """The differenced series, filled, less what its columns explain."""
    rows, at = likelihood.rows.copy(), np.arange(len(likelihood.rows))
    rows[:, 0] = np.interp(at, at[likelihood.seen], rows[likelihood.seen, 0])
    w = difference(likelihood.orders, rows)
    return np.asarray(w[:, 0] - w[:, 1:] @ np.linalg.lstsq(w[:, 1:], w[:, 0], rcond=1e-9)[0])


def _regressed(likelihood: Likelihood) -> Array:
    """Two regressions (Hannan and Rissanen 1982), on a filled series less what its columns explain."""
    orders, x = likelihood.orders, _centred(likelihood)
    lags = [(prefix.endswith("ar"), step * lag) for prefix, group, step in orders.groups for lag in group]
    longest = max((lag for _, lag in lags), default=0)
    order = min(max(longest, int(5 * np.log10(max(len(x), 2)))), len(x) // 4, 60 + orders.s)
    noise = x.copy()
    if order and not all(is_ar for is_ar, _ in lags):
        noise = x - _lagged(x, range(1, order + 1)) @ _ridge(_lagged(x, range(1, order + 1)), x)
    columns = np.column_stack([_lagged(x if is_ar else noise, [lag]) for is_ar, lag in lags])
    return _ridge(columns, x)


def _lagged(x: Array, lags: range | list[int]) -> Array:
    out = np.zeros((len(x), len(lags)))
    for j, lag in enumerate(lags):
        out[lag:, j] = x[: max(len(x) - lag, 0)]
    return out


def _ridge(X: Array, y: Array) -> Array:
    gram = X.T @ X
    floor = 1e-6 * max(float(np.trace(gram)), np.finfo(float).tiny)
    return np.asarray(np.linalg.solve(gram + floor * np.eye(len(gram)), X.T @ y))
