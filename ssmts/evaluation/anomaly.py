"""Measures of anomaly scores, of alarms and of attributions, for the rows of one series.

All take the truth first: ``labels``, 1 in anomalous rows and 0 in others, as an array ``(n_times,)`` or a Series; an event is a run
of ones, and `window_labels` makes labels of its first and last stamps.

Scores have the sign of ``score_samples``: **higher is more normal**. Where higher is more abnormal pass ``-scores``.
Alarms (``predictions``) are 1 or True in rows with an alarm, else 0: of a detector ``predict(X) == -1``. Two Series must have
equal indexes; nothing is aligned, dropped or filled. Truth without an anomaly, or without a normal row, is an error where
the measure needs one.

Which one
    Scores: `vus_pr` first, as TSB-AD ranks by it. Alarms at a threshold frozen before the test rows: `range_f1`, and
    `affiliation_precision` beside `affiliation_recall` where labels are not exact to the row. For those on duty:
    `alerts_per_sensor_day`, `detection_delay`, `false_alarm_rate` beside `missed_alarm_rate`. Never `point_adjusted_f1`, which random
    scores win. Attributions: `hit_rate`. Change points against those that people marked: `segment_covering` beside `change_point_f1`.
"""

from ._alarms import (
    alerts_per_sensor_day,
    detection_delay,
    event_f1,
    false_alarm_rate,
    missed_alarm_rate,
    point_adjusted_f1,
)
from ._attributions import hit_rate, ndcg
from ._changes import change_point_f1, segment_covering
from ._nab_score import NABScore, nab_score, window_labels
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
    "NABScore",
    "affiliation_f1",
    "affiliation_precision",
    "affiliation_recall",
    "alerts_per_sensor_day",
    "auc_pr",
    "auc_roc",
    "change_point_f1",
    "detection_delay",
    "event_f1",
    "false_alarm_rate",
    "hit_rate",
    "missed_alarm_rate",
    "nab_score",
    "ndcg",
    "point_adjusted_f1",
    "range_f1",
    "range_precision",
    "range_recall",
    "segment_covering",
    "vus_pr",
    "vus_roc",
    "vus_window",
    "window_labels",
]
