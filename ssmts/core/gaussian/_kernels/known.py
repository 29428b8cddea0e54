"""What is known exactly, counted: so many directions are unknown, and each observation without noise tells one, compiled.

Rounding can make a variance of what several rows of exact sensors have told together; it cannot change a count.
"""

from ssmts.core.gaussian._kernels.layout import Model, part, rare
from ssmts.core.gaussian._kernels.update import KIND, NOISE, SKIPPED
from ssmts.core.types import Array, Index


@part
def directions(index: Index, model: Model, P: Array, A: Array) -> tuple[int, int]:
    """In how many directions, at most, a state is not known exactly, and in how many noise moves it. Counting does not round."""
    unknown, moved = 0, 0
    for j in range(P.shape[0]):
        unseen = P[j, j] != 0.0
        for k in range(A.shape[1]):
            unseen = unseen or A[j, k] != 0.0
        unknown += 1 if unseen else 0
    for e in range(model.V.size):
        moved += 1 if index[model.noisy + e] == index[model.V.col + e] else 0
    return unknown, moved


@part
def told(row: Array) -> int:
    """How many observations of a row have told something without noise."""
    total = 0
    for i in range(row.shape[0]):
        if row[i, KIND] != SKIPPED and row[i, NOISE] == 0.0:
            total += 1
    return total


@rare
def forget(P: Array) -> int:
    """What is left of the covariance of a state that is known exactly is rounding, and so is what was held back; that is none now."""
    for i in range(P.shape[0]):
        for j in range(i + 1):
            P[i, j] = 0.0
    return 0
