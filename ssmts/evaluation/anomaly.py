"""Measures of anomaly scores and of alarms, for the rows of one series.

All take the truth first: ``labels``, 1 in anomalous rows and 0 in others, as an array ``(n_times,)`` or a Series.

Scores have the sign of ``score_samples``: **higher is more normal**. Where higher is more abnormal pass ``-scores``.
Alarms (``predictions``) are 1 or True in rows with an alarm, else 0: of a detector ``predict(X) == -1``. Two Series must have
equal indexes; nothing is aligned, dropped or filled. Truth without an anomaly, or without a normal row, is an error.

Which one
    Scores: `vus_pr` first, as TSB-AD ranks by it. Alarms at a threshold frozen before the test rows: `range_f1`, and
    `affiliation_precision` beside `affiliation_recall` where labels are not exact to the row.
"""

from ._ranges import (
    affiliation_f1,
    affiliation_precision,
    affiliation_recall,
    range_f1,
    range_precision,
    range_recall,
)
from ._surfaces import auc_pr, auc_roc, vus_pr, vus_roc, vus_window

__all__ = [
    "affiliation_f1",
    "affiliation_precision",
    "affiliation_recall",
    "auc_pr",
    "auc_roc",
    "range_f1",
    "range_precision",
    "range_recall",
    "vus_pr",
    "vus_roc",
    "vus_window",
]
