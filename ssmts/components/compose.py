"""The sum of components and white noise as one linear Gaussian state-space model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from ssmts.components.base import Block, Component, Parameters
from ssmts.components.regression import Regression
from ssmts.components.seasonal import TrigonometricSeason
from ssmts.components.transforms import Array, Variance
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError

VAGUE = 1e7  # variance of a vague first state, in units of the sum of all variances
_CONDITION = 1e5  # beyond which the first rows cannot tell diffuse states apart in floating point


class _Moving(NamedTuple):
    """A component whose transition and initial covariance depend on parameters, and where it sits."""

    component: Component
    states: slice
    parameters: slice


class Composition:
    """y_t = sum of components + noise of variance ``obs_var``: block-diagonal matrices and their derivatives.

    A few harmonics of a long season look alike in its first rows: as many rows as there are diffuse states determine
    them in principle, but not in floating point. Where that is so, seasonal states start vague instead of diffuse: with
    a variance of 1e7 times the sum of all variances, which moves the likelihood by 1e-6 or so. ``constant`` makes it the
    diffuse one.

    Parameters
    ----------
    components : sequence of Component
        At least one; names differ.

    Attributes
    ----------
    parameter_names : tuple of str
        ``obs_var`` first, then those of the components in order. Values are arrays in this order.
    state_names : tuple of str
    state_slices : dict of str to slice
        Where each component's states are.
    is_variance : bool array (n_parameters,)
    n_diffuse, n_vague : int
        Number of diffuse and of vague states.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts.components import Composition, Level
    >>> model = Composition([Level()])
    >>> model.parameter_names
    ('obs_var', 'level_var')
    >>> model.build(np.array([15099.0, 1469.1])).process_cov
    array([[1469.1]])
    """

    def __init__(self, components: Sequence[Component]) -> None:
        if not components:
            raise InputError("The model is empty: give it a trend, a season, a cycle, an autoregression or covariates.")
        self.components = tuple(components)
        self.groups = (Parameters(("obs_var",), Variance(), (1.0,)),) + tuple(g for c in components for g in c.groups)
        self.parameter_names = tuple(name for group in self.groups for name in group.names)
        structures = [c.structure for c in components]
        self.state_names = tuple(name for s in structures for name in s.state_names)
        self.n_states = len(self.state_names)
        self.observation = np.concatenate([s.observation for s in structures])
        unknown = np.concatenate([s.diffuse for s in structures])
        self._transition = np.asarray(block_diag(*[s.transition for s in structures]), dtype=float)
        self.variance_place = self._index([name for s in structures for name in s.variance_of])
        self.is_variance = np.array([isinstance(g.transform, Variance) for g in self.groups for _ in g.names])
        state_slices = consecutive([len(s.state_names) for s in structures])
        self._own = consecutive([len(c.parameter_names) for c in components], start=1)
        self.state_slices = {c.name: s for c, s in zip(components, state_slices)}
        self.vague = self._vague_states(unknown)
        self.diffuse = unknown - self.vague
        moving = zip(self.components, state_slices, self._own)
        self._moving = [_Moving(*parts) for parts in moving if not parts[0].is_static]
        self._group_slices = consecutive([len(g.names) for g in self.groups])

    def _vague_states(self, unknown: Array) -> Array:
        """1.0 for the states of seasons, if the first rows cannot tell the diffuse states apart."""
        vague = np.zeros(self.n_states)
        seasons = [c for c in self.components if isinstance(c, TrigonometricSeason) and c.is_truncated]
        if seasons:
            seen = unknown > 0
            seen[self.covariates or slice(0)] = False
            transition, row, rows = self._transition[seen][:, seen], self.observation[seen], []
            for _ in row:
                rows.append(row)
                row = row @ transition
            if not np.linalg.cond(np.array(rows)) < _CONDITION:
                for c in seasons:
                    vague[self.state_slices[c.name]] = 1.0
        return vague

    def parts(self) -> zip[tuple[Component, slice]]:
        """Components, each with the place of its parameters."""
        return zip(self.components, self._own)

    @property
    def start(self) -> Array:
        """Parameter values to start a search from, for a series whose changes have a mean square of one."""
        return np.array([value for group in self.groups for value in group.start])

    @property
    def n_diffuse(self) -> int:
        """Number of diffuse states."""
        return int(np.count_nonzero(self.diffuse))

    @property
    def n_vague(self) -> int:
        """Number of vague states."""
        return int(np.count_nonzero(self.vague))

    @property
    def n_unknown(self) -> int:
        """Number of states of whose first value nothing is known."""
        return self.n_diffuse + self.n_vague

    def constant(self, values: Array) -> tuple[float, Array]:
        """What vague states lack to the diffuse log-likelihood, and its derivatives with respect to the parameters."""
        total = float(values[self.is_variance].sum())
        if not self.n_vague or total <= 0:
            return 0.0, np.zeros(values.size)
        return self.n_vague / 2 * math.log(VAGUE * total), self.is_variance * (self.n_vague / 2 / total)

    @cached_property
    def covariates(self) -> slice | None:
        """States that are coefficients of covariates."""
        owners = [c.name for c in self.components if isinstance(c, Regression)]
        return self.state_slices[owners[0]] if owners else None

    def _index(self, names: Sequence[str | None]) -> NDArray[np.intp]:
        return np.array([-1 if name is None else self.parameter_names.index(name) for name in names], dtype=np.intp)

    @cached_property
    def _noise_sum(self) -> Array:
        """(n_parameters, n_states): sums derivatives with respect to process variances over the states of each."""
        return np.asarray(np.arange(len(self.parameter_names))[:, None] == self.variance_place, dtype=float)

    def rows(self, covariates: Array | None, n_times: int = 1) -> Array:
        """Rows of the observation matrix, (n_times, n_states), with the covariates (n_times, d) in their places."""
        if covariates is None:
            return np.tile(self.observation, (n_times, 1))
        rows = np.tile(self.observation, (len(covariates), 1))
        rows[:, self.covariates] = covariates
        return rows

    def build(self, values: Array, covariates: Array | None = None) -> LinearGaussianSSM:
        """The model at these parameter values.

        Parameters
        ----------
        values : array (n_parameters,)
            In the order of ``parameter_names``.
        covariates : array (n_times, d), optional
            Rows of the covariates, if the model has them; the observation matrix then varies in time.

        Returns
        -------
        LinearGaussianSSM
        """
        rows = self.rows(covariates)
        fixed: dict[str, Any] = {
            "transition": self._transition,
            "observation": rows if covariates is None else TimeVarying(rows[:, None, :]),
            "initial_mean": np.zeros(self.n_states),
            "initial_cov": np.zeros((self.n_states, self.n_states)),
            "initial_diffuse_cov": np.diag(self.diffuse) if self.n_diffuse else None,
        }
        return LinearGaussianSSM(**fixed | self.matrices(values))

    def matrices(self, values: Array) -> dict[str, Array]:
        """The matrices that depend on parameters, by field of `LinearGaussianSSM`, at these values."""
        noise = np.where(self.variance_place >= 0, values[self.variance_place], 0.0)
        out = {"process_cov": np.diag(noise), "obs_cov": values[:1, None].copy()}
        if self._moving or self.n_vague:
            out["initial_cov"] = np.diag(self.vague * (VAGUE * values[self.is_variance].sum()))
        if self._moving:
            out["transition"] = self._transition.copy()
            for component, states, parameters in self._moving:
                block = component.block(values[parameters])
                out["transition"][states, states] = block.transition
                out["initial_cov"][states, states] = block.initial_cov
        return out

    def gradient(self, values: Array, score: LinearGaussianSSM) -> Array:
        """Derivatives with respect to the parameters, from those with respect to the matrices (the chain rule).

        Parameters
        ----------
        values : array (n_parameters,)
            Where the score was taken.
        score : LinearGaussianSSM
            Derivatives, each in the shape of its field; those of ``matrices`` are needed.

        Returns
        -------
        array (n_parameters,)
        """
        noise = np.diagonal(cast(Array, score.process_cov))
        out = self._noise_sum @ noise
        out[0] = cast(Array, score.obs_cov)[0, 0]
        transition = cast(Array, score.transition)
        for component, states, parameters in self._moving:
            own = values[parameters]
            slopes = Block(transition[states, states], noise[states], score.initial_cov[states, states])
            out[parameters] = component.pull_back(own, component.block(own), slopes)
        if self.n_vague:
            out += self.is_variance * (VAGUE * (np.diagonal(score.initial_cov) @ self.vague))
        return np.asarray(out)

    def to_free(self, values: Array) -> Array:
        """Free numbers of parameter values."""
        free = np.concatenate([g.transform.to_free(values[s]) for g, s in self._grouped()])
        for at, _, ratio, _ in self._spreads(values):
            free[at] *= ratio
        return free

    def from_free(self, free: Array) -> Array:
        """Parameter values of free numbers."""
        values = np.concatenate([g.transform.from_free(free[s]) for g, s in self._grouped()])
        for at, _, ratio, _ in self._spreads(values):
            values[at] /= ratio
        return values

    def free_jacobian(self, free: Array) -> Array:
        """Derivatives of the parameters with respect to the free numbers (n_parameters, n_parameters)."""
        if self.is_variance.all():
            return np.eye(free.size)
        out = np.zeros((free.size, free.size))
        for g, s in self._grouped():
            out[s, s] = g.transform.jacobian(free[s])
        values = self.from_free(free)
        for at, parameters, ratio, slopes in self._spreads(values):
            out[at] /= ratio
            out[at] -= values[at] / ratio * (slopes @ out[parameters])
        return out

    def _spreads(self, values: Array) -> Iterator[tuple[int, slice, float, Array]]:
        for component, _, parameters in self._moving:
            spread = component.spread(values[parameters])
            if spread is not None:
                yield parameters.start + spread[0], parameters, spread[1], spread[2]

    def free_limits(self) -> Array:
        """Limits of the free numbers (n_parameters, 2)."""
        return np.array([g.transform.limits for g in self.groups for _ in g.names])

    def _grouped(self) -> zip[tuple[Parameters, slice]]:
        return zip(self.groups, self._group_slices)

    def check_fixed(self, fixed: Mapping[str, float]) -> None:
        """Refuse values that cannot be fixed.

        Raises
        ------
        InputError
            An unknown name, a value outside the parameter's domain, or part of a group that only makes sense whole.
        """
        unknown = sorted(set(fixed) - set(self.parameter_names))
        if unknown:
            raise InputError(
                f"fix names {', '.join(map(repr, unknown))}, which this model does not have. "
                f"Its parameters are {', '.join(self.parameter_names)}."
            )
        for group in self.groups:
            given = [name for name in group.names if name in fixed]
            if not given:
                continue
            whole = given if isinstance(group.transform, Variance) else group.names
            if len(given) < len(whole):
                raise InputError(f"fix has {', '.join(given)} only; fix all of {', '.join(group.names)}, or none.")
            values = np.array([fixed[name] for name in given], dtype=float)
            if not group.transform.contains(values):
                received = ", ".join(f"{name}={fixed[name]!r}" for name in given)
                raise InputError(f"fix has {received}; it must be {group.transform.domain}.")


def consecutive(sizes: Sequence[int], start: int = 0) -> list[slice]:
    """Slices of these sizes, one after the other."""
    ends = start + np.cumsum(sizes, dtype=int)
    return [slice(int(end) - size, int(end)) for size, end in zip(sizes, ends)]
