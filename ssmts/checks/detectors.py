"""What every detector is held to, one function a promise."""

from __future__ import annotations

import pickle
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone

from ..base_detector import BaseDetector
from ..persist import load, save
from ._material import close, refuses, sensors


def check_detector_scores_agree(detector: BaseDetector) -> None:
    """`decision_function` is `score_samples` less `offset_`, `predict` its sign, and both labels appear where faults were put in."""
    X = sensors()
    d = clone(detector).fit(X)
    scores = d.score_samples(X)
    assert scores.shape == (len(X),)
    assert (scores <= 0).all(), "a log p-value is at most 0"
    np.testing.assert_array_equal(d.decision_function(X), scores - d.offset_)
    np.testing.assert_array_equal(d.predict(X), np.where(d.decision_function(X) < 0, -1, 1))
    later = sensors(start=len(X), seed=3)
    later.iloc[60, 1] += 100.0
    assert d.predict(later)[60] == -1, "a reading 100 standard deviations off is no alarm"
    assert (d.predict(later) == 1).mean() > 0.8


def check_detector_streams_as_it_scores(detector: BaseDetector) -> None:
    """Rows one by one, in pieces or at once get the same scores; scoring alone changes nothing."""
    X, later = sensors(), sensors(start=200, seed=2)
    d = clone(detector).fit(X)
    scores = d.score_samples(later)
    np.testing.assert_array_equal(scores, d.score_samples(later))
    one_by_one = clone(detector).fit(X)
    stream = np.concatenate([one_by_one.update(later.iloc[i : i + 1]) for i in range(len(later))])
    close(stream, scores, "update row by row", 1e-9)
    close(d.update(later), scores, "update at once", 1e-9)
    after = sensors(start=400, seed=4)
    close(d.score_samples(after), one_by_one.score_samples(after), "states after the same rows", 1e-9)


def check_detector_explains(detector: BaseDetector) -> None:
    """`explain` has a line a reading, shares that sum to 1 or are 0, and one culprit in each row in alarm; `observe` is `update`."""
    X, later = sensors(), sensors(start=200, seed=2)
    later.iloc[60, 1] += 100.0
    later.iloc[80, 0] = np.nan
    later.iloc[90] = np.nan
    d = clone(detector).fit(X)
    told, scores = d.explain(later), d.score_samples(later)
    assert len(told) == later.size
    shares = told["share"].to_numpy().reshape(later.shape)
    assert np.isnan(shares[later.isna().to_numpy()]).all(), "a share of a sensor that was silent"
    total = np.nansum(shares, axis=1)
    assert (np.isclose(total, 1.0) | (total == 0.0)).all(), "shares that do not sum to 1"
    culprits = told["culprit"].to_numpy().reshape(later.shape)
    np.testing.assert_array_equal(culprits.sum(axis=1), (d.predict(later) == -1).astype(int))
    assert culprits[60, 1], "the sensor that is 100 standard deviations off is not to blame"
    assert (told["window"] >= 1).all()
    observed = d.observe(later)
    close(observed.log_p, scores, "observe against score_samples", 1e-12)
    close(np.nan_to_num(observed.share), np.nan_to_num(shares), "observe against explain", 1e-12)
    after = sensors(start=400, seed=4)
    close(
        clone(detector).fit(pd.concat([X, later])).fit(X).score_samples(later), scores, "fitting again forgets", 1e-12
    )
    other = clone(detector).fit(X)
    other.update(later)
    close(d.score_samples(after), other.score_samples(after), "states after observe and update", 1e-12)


def check_detector_tells_incidents(detector: BaseDetector) -> None:
    """A sensor that is far off for a while is one incident of that sensor, a silence another; scoring stays pure."""
    X, later = sensors(), sensors(start=200, seed=2)
    later.iloc[60:70, 1] += 100.0
    later.iloc[120:150, 2] = np.nan
    d = clone(detector).fit(X)
    scores = d.score_samples(later)
    found = d.incidents(later)
    of_it = found[[bool("b" in names) for names in found["sensors"]]]
    over = of_it[(of_it["start"] <= later.index[69]) & (of_it["last_seen"] >= later.index[60])]
    assert len(over) == 1, f"10 rows of a sensor far off are {len(over)} incidents"
    assert over["sensor"].tolist() == ["b"], "the sensor furthest off is not named first"
    assert over["start"].iloc[0] >= later.index[50], "an incident begins long before its cause"
    assert found["kind"].tolist().count("dropout") == 1, "a silence is one incident of its own kind"
    assert len(found) <= 8, f"{len(found)} incidents of two faults"
    np.testing.assert_array_equal(d.score_samples(later), scores)


def check_detector_lives_with_missing_readings(detector: BaseDetector) -> None:
    """Silent sensors are left out of a row's score; a row without any reading is perfectly normal."""
    X = sensors()
    holes = X.mask(np.random.default_rng(0).random(X.shape) < 0.2)
    holes.iloc[50] = np.nan
    d = clone(detector).fit(holes)
    scores = d.score_samples(holes)
    assert np.isfinite(scores).all()
    assert scores[50] == 0.0


def check_detector_refuses_bad_rows(detector: BaseDetector) -> None:
    """Rows that cannot be used are refused by name, and what was fitted stays usable."""
    X = sensors()
    d = clone(detector).fit(X)
    later = sensors(start=200, seed=2)
    expected = d.score_samples(later)
    bad = {
        "going back in time": later.iloc[::-1],
        "infinity": later.replace(later.iloc[3, 0], np.inf),
        "strings": later.assign(a=later["a"].astype(str) + " V"),
        "a renamed sensor": later.rename(columns={"a": "A"}),
        "a missing sensor": later[["a", "b"]],
        "an array": later.to_numpy(),
    }
    for what, rows in bad.items():
        refuses(partial(d.score_samples, rows), "", f"rows with {what}")
        refuses(partial(d.update, rows), "", f"update with {what}")
    refuses(lambda: d.update(X), "later rows", "update with rows before the last")
    refuses(lambda: d.fit(X.assign(a=np.nan)), "NaN throughout", "a sensor that never spoke")
    np.testing.assert_array_equal(d.score_samples(later), expected)


def check_detector_saves_and_loads(detector: BaseDetector) -> None:
    """A saved detector loads in the same state."""
    X, later = sensors(), sensors(start=200, seed=2)
    d = clone(detector).fit(X)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "detector.ssmts"
        save(d, path)
        loaded = load(path)
    np.testing.assert_array_equal(loaded.score_samples(later), d.score_samples(later))
    np.testing.assert_array_equal(loaded.update(later), d.update(later))
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(d)).score_samples(sensors(start=400)), d.score_samples(sensors(start=400))
    )
