"""The guess at the kind of a fault, on streams whose faults are known."""

import numpy as np
import pandas as pd
import pytest

from ssmts import InnovationDetector
from ssmts.datasets import make_sensors
from ssmts.datasets._sensors import FAULTS
from ssmts.detection.fault_kind import KINDS

SLACK = pd.Timedelta("1h")


def incident_of(fault, found):
    """The incident that names the sensor of a fault and has most in common with its time; None without any."""
    near = [
        each
        for each in found.itertuples()
        if fault.sensor in each.sensors and each.start <= fault.end + SLACK and each.last_seen >= fault.start - SLACK
    ]
    overlap = [min(each.last_seen, fault.end) - max(each.start, fault.start) for each in near]
    return near[int(np.argmax(overlap))] if near else None


@pytest.fixture(scope="module")
def confusion():
    """Counts of kind and guess over 25 streams that no constant was chosen on, number of incidents without a fault, and streams."""
    counts = pd.DataFrame(0, index=list(FAULTS), columns=[*KINDS, "missed"])
    spare, streams = 0, 25
    for seed in range(500, 500 + streams):
        X, faults = make_sensors(3000, 4, random_state=seed)
        found = InnovationDetector(false_alarm_rate=1e-4).fit(X[:1000]).incidents(X[1000:])
        theirs = set()
        for fault in faults.itertuples():
            incident = incident_of(fault, found)
            counts.loc[fault.kind, "missed" if incident is None else incident.kind] += 1
            theirs |= {None if incident is None else incident.id}
        spare += len(set(found["id"]) - theirs)
    return counts, spare, streams


def test_guesses_are_mostly_right(confusion):
    counts, _, _ = confusion
    right = np.diag(counts[list(FAULTS)])
    assert right.sum() >= 0.88 * counts.to_numpy().sum(), counts
    assert (right >= 0.7 * counts.sum(axis=1)).all(), counts


def test_one_fault_is_hardly_more_than_one_incident(confusion):
    _, spare, streams = confusion
    assert spare <= streams  # of six faults in each
