"""Series that fit has not seen join a global model by their first rows, whatever the container; errors leave all as it was."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from ssmts import Naive, future_frame
from ssmts.base import BaseForecaster, Capabilities, Depends
from ssmts.checks import forecaster_checks
from ssmts.distributions import Gaussian
from ssmts.exceptions import InputError, UnknownSeriesError


class Drift(BaseForecaster):
    """One slope for all series, relative to each one's mean change; a covariate counts once."""

    capabilities = Depends(
        Capabilities(pooled=True, joint=True, missing=False, paths=False, unseen=True),
        lambda self: Capabilities(pooled=True, joint=True, missing=False, paths=False, unseen=not self.closed),
    )

    def __init__(self, closed=False, freq=None, target_transform=None):
        self.closed, self.freq, self.target_transform = closed, freq, target_transform

    def _fit(self, form, panel):
        slopes = [np.nanmean(np.diff(y, axis=0), axis=0) for y in panel.y]
        return {"stands_": tuple((y[-1], slope) for y, slope in zip(panel.y, slopes))}

    def _update(self, news):
        stands = list(self.stands_)
        for new in news:
            if new.series == len(stands):
                stands.append((new.y[-1], np.nanmean(np.diff(new.y, axis=0), axis=0)))
            else:
                stands[new.series] = (new.y[-1], stands[new.series][1])
        if any(np.nanmax(latest) > 1e6 for latest, _ in stands):
            raise InputError("too much")
        return {"stands_": tuple(stands)}

    def _forecast(self, series, leads, X):
        latest, slope = self.stands_[series]
        mean = latest + leads[:, None] * slope
        mean = mean if X is None or not X.size else mean + X.sum(axis=1)[:, None]
        return Gaussian(mean[None], np.ones_like(mean)[None])

    def _one_step(self, series, y, X):
        return y, np.ones_like(y)


DAYS = pd.date_range("2024-01-01", periods=12)


def panel(**values):
    return pd.concat({k: pd.Series(np.asarray(v, float), DAYS[: len(v)]) for k, v in values.items()}, names=["id"])


def test_a_global_model_passes_the_checks():
    for check in forecaster_checks():
        if "saves" not in check.__name__:  # only the library's own estimators can be saved
            check(Drift())


def test_capabilities_may_depend_on_arguments():
    assert Drift.capabilities.unseen
    assert Drift().capabilities.unseen
    assert not Drift(closed=True).capabilities.unseen
    for f in (Drift(closed=True), Naive()):
        with pytest.raises(UnknownSeriesError, match="'z'"):
            f.fit(panel(a=range(6), b=range(4))).update(panel(z=range(3)))


def test_a_series_joins_with_its_own_place_in_time_and_scale():
    f = Drift().fit(panel(a=range(6), b=range(4)))
    z = panel(z=range(0, 30, 3)).iloc[4:]
    f.update(z)
    out = f.predict(2)
    assert out["z"].tolist() == [30.0, 33.0]
    assert out["z"].index.equals(pd.date_range("2024-01-11", periods=2))
    assert f.scale_[:, 0].tolist() == [1.0, 1.0, 3.0]
    assert future_frame(f, 1).index.get_level_values(0).tolist() == ["a", "b", "z"]
    assert f.predict(panel(a=range(6))).tolist() == list(range(6))


def test_a_long_frame_of_new_series_and_old_ones_with_covariates():
    long = panel(a=range(6), b=range(4)).rename("y").rename_axis(["unique_id", "ds"]).reset_index().assign(x=1.0)
    f = Drift().fit(long)
    more = pd.DataFrame({"unique_id": ["z", "a", "z"], "ds": DAYS[[2, 6, 3]], "y": [1.0, 7.0, 3.0], "x": 0.0})
    f.update(more)
    asked = pd.DataFrame({"unique_id": ["z", "a"], "ds": DAYS[[4, 7]], "x": [0.0, 10.0]})
    assert f.predict(asked)["y"].tolist() == [5.0, 18.0]


def test_errors_leave_everything_as_it_was():
    f = Drift().fit(panel(a=range(6), b=range(4)))
    before = dict(vars(f))
    for bad in (panel(z=[1, 2, 1e7]), panel(z=[np.nan] * 3)):
        with pytest.raises(InputError):
            f.update(bad)
        assert {name: value is vars(f)[name] for name, value in before.items()} == dict.fromkeys(before, True)


def test_a_target_transformation_is_fitted_to_the_first_rows():
    f = Drift(target_transform=StandardScaler()).fit(panel(a=range(6), b=range(4)))
    f.update(panel(z=[10.0, 30.0, 50.0]))
    np.testing.assert_allclose(f.predict(2)["z"], [70.0, 90.0])
    f.update(panel(z=[0, 0, 0, 70.0]).iloc[3:])
    np.testing.assert_allclose(f.predict(1)["z"], [90.0])
