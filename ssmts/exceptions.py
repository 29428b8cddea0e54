"""Errors raised by ssmts.

Every error says what is wrong, what was received and what to do, and is raised before fitted state changes::

    SsmtsError
    ├── InputError (ValueError)          something handed in cannot be used
    │   ├── TimeIndexError               stamps: duplicated, decreasing, mixed zones, before the last row
    │   │   └── FrequencyError           no frequency fits the stamps
    │   ├── FutureRowsError              X_future: rows or columns missing, extra or renamed
    │   ├── TooShortError                fewer rows than the model needs
    │   └── UnknownSeriesError           a series that fit has not seen
    ├── InputTypeError (TypeError)       a container or argument of the wrong type
    ├── NumericalError (ArithmeticError) a computation left the finite numbers; names the matrix and the step
    ├── PersistError (ValueError)        a file that cannot be saved or loaded safely
    └── DataUnavailableError (OSError)   a data set that is neither on disk nor downloadable

An estimator that is not fitted raises scikit-learn's ``NotFittedError``.
"""


class SsmtsError(Exception):
    """Base of every error that ssmts raises on its own account.

    Examples
    --------
    >>> import numpy as np
    >>> from ssmts import Naive
    >>> from ssmts.exceptions import SsmtsError
    >>> try:
    ...     Naive().fit(np.array([1.0, np.inf, 2.0]))
    ... except SsmtsError as error:
    ...     print("refused")
    refused
    """


class InputError(SsmtsError, ValueError):
    """A value, shape or parameter that cannot be used."""


class TimeIndexError(InputError):
    """Stamps that are duplicated, decreasing, of mixed zones, off the grid, or not after the last row."""


class FrequencyError(TimeIndexError):
    """No frequency contains every stamp; the message lists the commonest gaps."""


class FutureRowsError(InputError):
    """Future covariates with missing, extra or renamed columns, or with missing stamps."""


class TooShortError(InputError):
    """Fewer usable rows than the model needs."""


class UnknownSeriesError(InputError):
    """A series that ``fit`` has not seen."""


class InputTypeError(SsmtsError, TypeError):
    """A container or argument of a type that cannot be used."""


class NumericalError(SsmtsError, ArithmeticError):
    """A computation left the finite numbers; the message names the matrix and the step."""


class PersistError(SsmtsError, ValueError):
    """A file that is damaged, foreign or of a newer version, or an object that cannot be saved safely."""


class DataUnavailableError(SsmtsError, OSError):
    """A data set that is not on disk and could not be downloaded; the message says what to fetch and where to put it."""
