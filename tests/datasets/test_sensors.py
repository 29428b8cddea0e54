"""Generated sensor streams: the faults are where the table says, and nowhere else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.datasets import make_sensors
from ssmts.datasets._sensors import FAULTS
from ssmts.exceptions import InputError, TooShortError


def pair(faults, **options):
    """The same stream without and with faults: the numbers drawn before the first fault are the same."""
    clean, nothing = make_sensors(faults=(), random_state=3, **options)
    assert nothing.empty
    return clean, *make_sensors(faults=faults, random_state=3, **options)


def faulty_rows(clean, row):
    return (clean.index >= row["start"]) & (clean.index <= row["end"])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(FAULTS), max_size=8), st.integers(1, 5), st.integers(200, 500))
def test_rows_outside_the_faults_are_untouched(kinds, n_sensors, n_times):
    clean, data, faults = pair(kinds, n_times=n_times, n_sensors=n_sensors)
    assert data.shape == (n_times, n_sensors)
    assert faults["kind"].tolist() == kinds
    expected = clean.copy()
    for _, row in faults.iterrows():
        rows = faulty_rows(clean, row)
        assert rows[: n_times // 3].sum() == 0  # the first third is clean
        assert not data.loc[rows, row["sensor"]].equals(clean.loc[rows, row["sensor"]])
        expected.loc[rows, row["sensor"]] = data.loc[rows, row["sensor"]]
    pd.testing.assert_frame_equal(data, expected)
    assert (faults["start"].to_numpy()[1:] > faults["end"].to_numpy()[:-1]).all()


@pytest.mark.parametrize("kind", FAULTS)
def test_each_kind_does_what_it_says(kind):
    clean, data, faults = pair([kind], n_times=900, n_sensors=3)
    row = faults.iloc[0]
    rows = faulty_rows(clean, row)
    before, after = (frame.loc[rows, row["sensor"]].to_numpy() for frame in (clean, data))
    offset = after - before
    if kind == "spike":
        assert rows.sum() == 1
        np.testing.assert_allclose(offset, row["size"])
    elif kind == "level_shift":
        assert rows.sum() > 1
        np.testing.assert_allclose(offset, row["size"])
    elif kind == "drift":
        np.testing.assert_allclose(np.diff(offset), row["size"] / len(offset))
        assert offset[-1] == pytest.approx(row["size"])
    elif kind == "variance_burst":
        assert row["size"] == 8.0
        ratio = np.std(np.diff(after)) / np.std(np.diff(before))
        assert 6.0 < ratio < 9.0
    elif kind == "stuck":
        assert set(after) == {before[0]}
        assert np.isnan(row["size"])
    else:
        assert np.isnan(after).all()


def test_sensors_share_a_load_and_a_season():
    data, _ = make_sensors(288 * 40, 3, faults=(), random_state=0)
    assert data.index.freqstr == "5min"
    spectrum = np.abs(np.fft.rfft(data - data.mean(), axis=0))
    assert (spectrum.argmax(axis=0) == 40).all()  # a cycle a day over 40 days
    by_time_of_day = data.groupby(data.index.time).transform("mean")
    rest = (data - by_time_of_day).corr().to_numpy()
    assert rest[np.triu_indices(3, 1)].min() > 0.05


def test_the_seed_decides():
    first, second = make_sensors(random_state=1), make_sensors(random_state=np.random.default_rng(1))
    pd.testing.assert_frame_equal(first.data, second.data)
    pd.testing.assert_frame_equal(first.faults, second.faults)
    assert not first.data.equals(make_sensors(random_state=2).data)


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"faults": ["melt"]}, InputError, "level_shift"),
        ({"faults": "spike"}, InputError, "sequence"),
        ({"n_times": 0}, InputError, "n_times"),
        ({"n_sensors": -1}, InputError, "n_sensors"),
        ({"size": 0.0}, InputError, "size"),
        ({"season_length": float("nan")}, InputError, "season_length"),
        ({"n_times": 100}, TooShortError, "n_times of at least 108"),
    ],
)
def test_bad_arguments(options, error, what):
    with pytest.raises(error, match=what):
        make_sensors(**options)


def test_the_shortest_length_named_by_the_error_works():
    assert len(make_sensors(108, random_state=0).faults) == len(FAULTS)
