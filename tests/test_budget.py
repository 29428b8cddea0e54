"""Budgets of false alarms."""

import numpy as np
import pandas as pd
import pytest

from ssmts import InnovationDetector
from ssmts._budget import alarm_share
from ssmts.exceptions import InputError


@pytest.mark.parametrize(
    ("budget", "interval", "rows"),
    [
        ("1/week", 300.0, 7 * 288),
        ("1 per week", 60.0, 7 * 1440),
        ("2/day", 1.0, 43200),
        ("1 a day", 3600.0, 24),
        ("0.5/hour", 1.0, 7200),
        ("1/12h", 60.0, 720),
        ("3 per 1 day", 86.4, 1000 / 3),
        ("1/year", 86400.0, 365.25),
        ("1/month", 3600.0, 24 * 30.4375),
    ],
)
def test_rows_between_false_alarms(budget, interval, rows):
    assert 1 / alarm_share(budget, interval) == pytest.approx(rows)


@pytest.mark.parametrize(
    "budget", ["week", "1/", "one a week", "1/fortnight", "0/week", "1/-1h", "1/0s", "-1/week", "", "1e-3"]
)
def test_texts_that_are_no_budget(budget):
    with pytest.raises(InputError, match="budget"):
        alarm_share(budget, 60.0)


def test_budgets_that_no_rows_can_keep():
    with pytest.raises(InputError, match="stamps"):
        alarm_share("1/week", np.nan)
    with pytest.raises(InputError, match="every 3600"):
        alarm_share("1/minute", 3600.0)


def test_a_detector_takes_a_budget():
    X = pd.DataFrame(
        np.random.default_rng(0).normal(size=(200, 2)), index=pd.date_range("2024", periods=200, freq="5min")
    )
    assert InnovationDetector(false_alarm_rate="1/week").fit(X).offset_ == pytest.approx(-np.log(7 * 288))
    fitted = InnovationDetector().fit(X)
    before = fitted.offset_
    with pytest.raises(InputError, match="stamps"):
        fitted.set_params(false_alarm_rate="1/week").fit(X.to_numpy())
    assert fitted.offset_ == before
