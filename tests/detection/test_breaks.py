"""BreakDetector: textbook breaks, several of them, none in clean series, and rows that come later."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ssmts import BreakDetector, InnovationDetector, StructuralForecaster, load, save
from ssmts.datasets import load_classic
from ssmts.detection.auxiliary import response
from ssmts.detection.breaks import after_breaks
from ssmts.detection.interventions import fit
from ssmts.exceptions import InputError, InputTypeError, SsmtsError, TooShortError
from ssmts.forecasting._structural_unit import advance, prior

LEVEL = StructuralForecaster("local_level")


def walk(n, seed=0, step=0.1):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, step, n)) + rng.normal(0, 1.0, n)


def framed(*columns):
    return pd.DataFrame(
        np.column_stack(columns),
        index=pd.date_range("2024-01-01", periods=len(columns[0]), freq="D"),
        columns=list("abc")[: len(columns)],
    )


def places(detector):
    return [(row.kind, row.time) for row in detector.breaks_.itertuples()]


# textbooks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [LEVEL, None], ids=["local level", "default"])
def test_the_nile_breaks_once_in_1899(model):
    nile = load_classic("nile").data.to_frame()
    detector = BreakDetector(model).fit(nile)
    assert [(kind, time.year) for kind, time in places(detector)] == [("level", 1899)]
    assert detector.predict(nile)[28] == -1
    if model is LEVEL:  # the level does not move any more, so that the break is the difference of two means
        before, after = nile["nile"][:28], nile["nile"][28:]
        found = detector.breaks_.iloc[0]
        np.testing.assert_allclose(found["size"], after.mean() - before.mean(), rtol=1e-6)
        assert dict(zip(("obs_var", "level_var"), detector.fits_[0].plain.parameters))["level_var"] == 0.0


@pytest.mark.data
def test_the_seat_belt_law_shows_in_february_1983():
    """Size and standard error of the law's dummy in a model of log KSI, level and dummy season (Commandeur and Koopman 2007, chapter 7)."""
    y = np.log(load_classic("UKDriverDeaths").data).to_frame()
    detector = BreakDetector(StructuralForecaster("local_level", season_length=12, seasonal="dummy")).fit(y)
    assert places(detector) == [("level", pd.Period("1983-02", "M"))]
    found = detector.breaks_.iloc[0]
    np.testing.assert_allclose([found["size"], found["std_error"]], [-0.23980671, 0.05307187], rtol=2e-4)
    assert 0.001 < found["p_adjusted"] < 0.05


@pytest.mark.data
def test_the_gas_of_1970_has_two_outliers_of_opposite_sign():
    """The third and fourth quarter of 1970 (Durbin and Koopman 2012, section 14.3)."""
    y = np.log(load_classic("UKgas").data).to_frame()
    for interventions in (True, False):
        detector = BreakDetector(StructuralForecaster("local_linear", season_length=4), interventions=interventions)
        found = detector.fit(y).breaks_
        assert found["kind"].tolist() == ["outlier", "outlier"]
        assert [str(time) for time in found["time"]] == ["1970Q3", "1970Q4"]
        assert (np.sign(found["size"]) == [1, -1]).all()


@pytest.mark.data
def test_fatalities_in_norway_have_no_break():
    y = np.log(load_classic("vehicle_fatalities").data[["norway"]])
    assert BreakDetector(LEVEL).fit(y).breaks_.empty


# several, none ----------------------------------------------------------------------------------------------------


def test_several_breaks_near_each_other_are_told_apart():
    y = walk(200, 1)
    y[60:] += 8
    y[66:] -= 12
    y[72] += 15
    y[151:] += 0.5 * np.arange(1, 50)
    detector = BreakDetector().fit(framed(y))
    index = detector.rows_.index
    found = [(kind, index.get_loc(time)) for kind, time in places(detector)]
    assert found[:3] == [("level", 60), ("level", 66), ("outlier", 72)]
    assert found[3][0] == "slope"
    assert abs(found[3][1] - 150) <= 2
    assert len(found) == 4
    np.testing.assert_allclose(detector.breaks_["size"], [8, -12, 15, 0.5], rtol=0.2)
    shift = framed(y, y + 3 * walk(200, 2))
    both = BreakDetector().fit(shift).breaks_
    assert (
        both[both["sensor"] == "a"][["kind", "time"]].to_numpy() == detector.breaks_[["kind", "time"]].to_numpy()
    ).all()
    assert (both["p_adjusted"] >= both["p_value"]).all()


def test_clean_series_have_about_as_few_breaks_as_asked():
    found = [not BreakDetector(LEVEL).fit(walk(100, seed, 0.3)[:, None]).breaks_.empty for seed in range(100)]
    assert stats.binomtest(sum(found), 100, 0.05, "greater").pvalue > 0.01


def test_fewer_breaks_are_found_where_fewer_are_asked_for():
    y = walk(150, 3)
    y[50:] += 6
    y[100] += 12
    X = framed(y)
    assert len(BreakDetector(LEVEL, max_breaks=1).fit(X).breaks_) == 1
    assert BreakDetector(LEVEL, max_breaks=0).fit(X).breaks_.empty
    assert len(BreakDetector(LEVEL).fit(X).breaks_) == 2
    assert len(BreakDetector(LEVEL, significance=1e-20).fit(X).breaks_) < 2


def test_without_interventions_t_statistics_are_those_of_the_plain_model():
    y = walk(150, 4)
    y[70] += 8
    X = framed(y)
    X.iloc[20:25] = np.nan
    detector = BreakDetector(LEVEL, interventions=False).fit(X)
    t = detector.auxiliary_residuals()
    assert t.columns.tolist() == ["outlier", "level"]
    assert t.iloc[20:25].isna().all().all()
    first = detector.breaks_.iloc[0]
    np.testing.assert_allclose(first["t"], t["outlier"].iloc[70])
    p = 2 * stats.norm.sf(abs(first["t"]))
    np.testing.assert_allclose([first["p_value"], first["p_adjusted"]], [p, min(1, p * t.notna().to_numpy().sum())])
    assert (detector.breaks_["p_adjusted"] <= 0.05).all()


def test_auxiliary_residuals_beside_breaks_are_calm():
    y = walk(150, 5)
    y[60:] += 8
    detector = BreakDetector(LEVEL).fit(framed(y))
    assert detector.auxiliary_residuals()["level"].abs().idxmax() == detector.auxiliary_residuals().index[60]
    assert np.nanmax(np.abs(detector.auxiliary_residuals(interventions=True).to_numpy())) < 4


# training rows ----------------------------------------------------------------------------------------------------


def test_training_rows_are_scored_with_those_behind_them():
    y = walk(150, 6)
    y[60:] += 8
    y[100] -= 9
    X = framed(y, walk(150, 7))
    detector = BreakDetector(LEVEL, contamination=2 / 150).fit(X)
    assert np.flatnonzero(detector.predict(X) == -1).tolist() == [60, 100]
    told = detector.explain(X)
    assert told[told["culprit"]].index.tolist() == [(X.index[60], "a"), (X.index[100], "a")]
    row = told.loc[(X.index[100], "a")]
    assert row["upper"] > row["expected"] > row["lower"] > row["observed"]
    np.testing.assert_allclose(row["observed"] - row["expected"], detector.breaks_.iloc[1]["size"])
    whole = detector.score_samples(X)
    np.testing.assert_allclose(np.concatenate([detector.score_samples(X[:40]), detector.score_samples(X[40:])]), whole)
    array = BreakDetector(LEVEL, contamination=2 / 150).fit(X.to_numpy())
    np.testing.assert_allclose(array.score_samples(X.to_numpy()), whole)
    assert np.flatnonzero(array.fit_predict(X.to_numpy()) == -1).tolist() == [60, 100]


def test_a_gap_is_as_many_missing_rows():
    y = walk(150, 8)
    y[90:] += 6
    X = framed(y)
    X.iloc[40:47] = np.nan
    whole, gone = BreakDetector(LEVEL).fit(X), BreakDetector(LEVEL).fit(X.dropna())
    pd.testing.assert_frame_equal(whole.breaks_, gone.breaks_)
    np.testing.assert_allclose(gone.score_samples(X.dropna()), whole.score_samples(X)[X["a"].notna()])


# later rows -------------------------------------------------------------------------------------------------------


def test_later_rows_are_scored_from_a_state_that_breaks_did_not_disturb():
    clean = walk(400, 9)
    broken = clean.copy()
    broken[100:] += 50.0
    broken[200] -= 30.0
    rows = framed(clean), framed(broken)
    ours = BreakDetector(LEVEL).fit(rows[1][:300])
    theirs = InnovationDetector(LEVEL).fit(rows[0][:300])
    assert len(ours.breaks_) == 2
    told, wanted = ours.explain(rows[1][300:]), theirs.explain(rows[0][300:])
    np.testing.assert_allclose(told["expected"] - 50.0, wanted["expected"], atol=0.35)
    np.testing.assert_allclose(told["deviation"], wanted["deviation"], atol=0.4)


def test_later_rows_alarm_about_as_often_as_training_rows():
    y = walk(3000, 12)
    X = framed(y, walk(3000, 13))
    detector = BreakDetector(LEVEL, contamination=0.02, max_breaks=0).fit(X[:1000])
    assert (detector.predict(X[:1000]) == -1).sum() == 20
    assert 0.01 < (detector.predict(X[1000:]) == -1).mean() < 0.04


@pytest.mark.parametrize("trend", ["local_level", "local_linear", "damped"])
def test_the_state_after_breaks_is_that_of_the_model_that_has_them(trend):
    y = walk(120, 10)
    y[40:] += 9
    y[70] += 9
    template = StructuralForecaster(trend)
    kinds = [("level", 40), ("outlier", 70)] + ([("slope", 90)] if trend == "local_linear" else [])
    fitted = fit(template, y, kinds, fit(template, y))
    fitted = fit(template, y, kinds, fitted)  # dummies by the parameters with them
    plain = fitted.plain
    state = advance(plain, fitted.without_breaks(y), None, prior(plain)).state
    row = np.zeros(len(plain.state.mean))
    row[0] = 1.0
    ahead = after_breaks(state, fitted, 120).mean @ row + plain.shift
    names = StructuralForecaster(trend).fit(y).params_
    given = StructuralForecaster(trend, fix=dict(zip(names, plain.parameters)))
    dummies = np.stack([response(plain, kind, row, 121) for kind, row in kinds], axis=1)
    np.testing.assert_allclose(ahead, given.fit(dummies[:-1], y).predict(dummies[-1:])[0], rtol=1e-6)


def test_it_saves_and_loads_without_rows_and_says_so(tmp_path):
    y = walk(200, 11)
    y[100:] += 8
    X = framed(y)
    detector = BreakDetector(LEVEL).fit(X[:150])
    save(detector, tmp_path / "d.ssmts")
    loaded = load(tmp_path / "d.ssmts")
    pd.testing.assert_frame_equal(loaded.breaks_, detector.breaks_)
    np.testing.assert_array_equal(loaded.score_samples(X[150:]), detector.score_samples(X[150:]))
    with pytest.raises(SsmtsError, match="not saved"):
        loaded.auxiliary_residuals()


def test_what_cannot_serve_is_refused():
    X = framed(walk(60))
    with pytest.raises(InputTypeError, match="StructuralForecaster"):
        BreakDetector(_Other()).fit(X)
    with pytest.raises(InputError, match="has no level"):
        BreakDetector(StructuralForecaster("none", autoregressive=1)).fit(X)
    with pytest.raises(TooShortError, match="Sensor 'a'"):
        BreakDetector().fit(X[:3])


class _Other:
    fit = forecast = lambda self: None


def test_a_constant_sensor_has_no_break():
    X = framed(walk(80), np.full(80, 3.0))
    detector = BreakDetector().fit(X)
    assert detector.breaks_.empty
    assert np.isfinite(detector.score_samples(X)).all()
    alone = detector.fit(X[["b"]])  # every row is alike, so that all scores and the alarm level are 0
    assert alone.offset_ == 0.0
    assert np.isfinite(alone.fit(X[["a"]]).score_samples(X[["a"]])).all()
