"""What a component is: a few states, the parameters that move them, and derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssmts.components.transforms import Array, Transform, Variance


class Parameters(NamedTuple):
    """A group of parameters that one transform covers, and where a search for their values starts.

    The start of a variance is relative to the mean square of the changes of the series from row to row.
    """

    names: tuple[str, ...]
    transform: Transform
    start: tuple[float, ...]


class Structure(NamedTuple):
    """What of a component no parameter value changes.

    ``state_names``; ``observation`` (k,), what the states add to an observation; ``diffuse`` (k,), 1.0 where nothing is
    known of a state's first value; ``variance_of``, for each state the parameter that is its process variance or None;
    ``transition`` (k, k), as far as no parameter enters it.
    """

    state_names: tuple[str, ...]
    observation: Array
    diffuse: Array
    variance_of: tuple[str | None, ...]
    transition: Array


class Block(NamedTuple):
    """The matrices of one component, or the derivatives of a scalar with respect to them.

    ``transition`` (k, k); ``process_var`` (k,), the diagonal of the process covariance; ``initial_cov`` (k, k), the
    proper (not diffuse) part of the first state's covariance.
    """

    transition: Array
    process_var: Array
    initial_cov: Array


class Component(ABC):
    """One additive part of a series: level, season, cycle ...

    A component is immutable and knows its structure only; parameter values are handed in, in the order of
    ``parameter_names``. Where parameters enter more than process variances, a component says ``is_static = False`` and
    brings its own ``block`` and ``pull_back``.
    """

    is_static = True

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the component."""

    @property
    @abstractmethod
    def groups(self) -> tuple[Parameters, ...]:
        """The parameters, with their transforms."""

    @property
    @abstractmethod
    def structure(self) -> Structure:
        """States and what is constant of their matrices."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters, group by group."""
        return tuple(name for group in self.groups for name in group.names)

    def block(self, values: Array) -> Block:
        """The matrices at these parameter values (n_parameters,)."""
        structure, names = self.structure, self.parameter_names
        noise = np.array([0.0 if name is None else values[names.index(name)] for name in structure.variance_of])
        return Block(structure.transition, noise, np.zeros_like(structure.transition))

    def gains(self, values: Array, z: NDArray[np.complex128]) -> Array:
        """Power gain from each process variance to the observation: spectra under unit variances.

        Parameters
        ----------
        values : array (n_parameters,)
            Parameter values; the variances among them have no effect.
        z : complex array (m,)
            Where to evaluate the transfer functions, ``exp(i frequency)``; slightly outside the unit circle, where the
            poles of random walks and seasons are.

        Returns
        -------
        array (n_variances, m)
            In the order of ``variance_names``.
        """
        structure, transition = self.structure, self.block(values).transition
        system = z[:, None, None] * np.eye(len(transition)) - transition.T
        power = np.abs(np.linalg.solve(system, structure.observation[:, None])[..., 0]) ** 2
        picks = [[name == owner for owner in structure.variance_of] for name in self.variance_names]
        return np.asarray(np.array(picks, dtype=float).reshape(-1, len(transition)) @ power.T)

    @property
    def other_starts(self) -> tuple[tuple[float, ...], ...]:
        """Parameter values to try where the search has let the component vanish, which makes its dynamics arbitrary."""
        return ()

    def spread(self, values: Array) -> tuple[int, float, Array] | None:
        """How to move a process variance together with other parameters in a search; None to move it as it is.

        Parameters
        ----------
        values : array (n_parameters,)
            Parameter values.

        Returns
        -------
        place : int
            Which parameter is that variance.
        ratio : float
            What is moved in its stead, per unit of it; depends on the other parameters.
        slopes : array (n_parameters,)
            Derivatives of the ratio.
        """
        return None

    @property
    def variance_names(self) -> tuple[str, ...]:
        """Those of the parameters that are variances."""
        return tuple(name for group in self.groups if isinstance(group.transform, Variance) for name in group.names)

    def pull_back(self, values: Array, block: Block, gradient: Block) -> Array:
        """Derivatives of a scalar with respect to the parameters, from those with respect to the matrices.

        Parameters
        ----------
        values : array (n_parameters,)
            Parameter values.
        block : Block
            ``self.block(values)``.
        gradient : Block
            Derivatives of the scalar with respect to the matrices.

        Returns
        -------
        array (n_parameters,)
        """
        out = np.zeros(len(self.parameter_names))
        for state, name in enumerate(self.structure.variance_of):
            if name is not None:
                out[self.parameter_names.index(name)] += gradient.process_var[state]
        return out
