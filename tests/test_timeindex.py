import pandas as pd
import pytest

from ssmts.exceptions import FrequencyError
from ssmts.timeindex import TimeAxis, infer_axis


@pytest.mark.parametrize("freq", ["h", "15min", "D", "2D", "W-MON", "B", "MS", "ME", "BMS", "2MS", "QS-FEB", "YE-JUN"])
@pytest.mark.parametrize("tz", [None, "UTC", "Europe/Berlin"])
def test_axis_agrees_with_date_range(freq, tz):
    index = pd.date_range("2023-01-02 06:00", periods=40, freq=freq, tz=tz, name="ds")
    axis = infer_axis(index._with_freq(None))
    assert axis.steps(index).tolist() == list(range(40))
    pd.testing.assert_index_equal(axis.stamps(0, 40), index)
    assert axis.stamps(0, 40).freq == index.freq
    assert TimeAxis.from_dict(axis.to_dict()) == axis


def test_no_frequency_lists_gaps():
    with pytest.raises(FrequencyError, match=r"commonest gaps are 2 days \(2 times\), 5 days \(1 time\)"):
        infer_axis(pd.DatetimeIndex(["2024-01-01", "2024-01-03", "2024-01-08", "2024-01-10"]))
