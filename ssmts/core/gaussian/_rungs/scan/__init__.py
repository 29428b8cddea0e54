"""The scan rung: rows are combined in a tree instead of one after the other.

That is meant for long series on a GPU, where a depth of log n beats n steps; there tensors go in and out by
`ssmts.core.gaussian.torch`. The rung serves arrays on the CPU by the blocked form of the same scans.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from ssmts.core.gaussian._ladder import Job, Rung


def refuses(job: Job) -> str:
    """Why a scan would not be exact here."""
    if not job.y.size:
        return "y is empty"
    try:
        why: str = _door("refuses")(job)
    except ImportError:
        return 'torch is not installed: pip install "ssmts[deep]"'
    return why


def _door(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(import_module("ssmts.core.gaussian._rungs.scan._door_torch"), name)
    return found


def _later(name: str, *args: Any) -> Any:
    return _door(name)(*args)


RUNG = Rung(
    name="scan",
    cost="about 20 n_states^3 a row in 2 sqrt(n_times) steps on the CPU, in 2 log2(n_times) steps on a GPU; n_states^2 "
    "numbers a row are kept",
    claims="every model, time-varying, missing, with a diffuse start that the series determines, in which no observation "
    "sees the state before it without noise; batches; to 1e-8 where rows hardly tell diffuse directions apart; an error says where "
    "exact sensors of states that few shocks move lose more",
    refuses=refuses,
    loglik=partial(_later, "loglik_scan"),
    filter=partial(_later, "filter_scan"),
    smooth=partial(_later, "smooth_scan"),
    sample=partial(_later, "sample_scan"),
    batched=True,
)
