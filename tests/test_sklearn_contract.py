"""Forecasters inside scikit-learn: splitters, searches, pipelines, target transformers, routing, with no adapter."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import ssmts
from ssmts import Naive, SeasonalNaive
from ssmts.evaluation import TimeSplit
from ssmts.exceptions import FutureRowsError, InputError, InputTypeError, TimeIndexError
from ssmts.preprocessing import CalendarFeatures

N = 84
INDEXES = {
    "days": pd.date_range("2024-01-01", periods=N, freq="D"),
    "zone": pd.date_range("2024-03-29", periods=N, freq="h", tz="Europe/Berlin"),
    "periods": pd.period_range("2017-01", periods=N, freq="M"),
    "integers": pd.RangeIndex(N),
}


def structural(**parameters):
    return ssmts.StructuralForecaster(trend="local_level", **parameters)


def process(**parameters):
    """A Gaussian process of given length scale and noise: its variance is searched for, which takes a tenth of a whole search."""
    return ssmts.GaussianProcessForecaster(fix={"matern_length_scale": 5.0, "obs_var": 1.0}, **parameters)


def network(**parameters):
    """Small, and trained for one epoch: what it says is worth little, but it has to say it by the rules."""
    small = {"horizon": 4, "width": 4, "state_size": 4, "max_epochs": 1, "batches_per_epoch": 1, "loss": "gaussian"}
    return ssmts.SpaceTimeForecaster(**{**small, "n_threads": 1, "random_state": 0, **parameters})


# A forecaster, and a grid to search over.
FORECASTERS = {
    "naive": (Naive, {"freq": [None]}),
    "seasonal": (SeasonalNaive, {"season_length": [1, 7, 12]}),
    "structural": (structural, {"season_length": [None, 7]}),
    "process": (process, {"mean": ["constant", "zero"]}),
    "network": (network, {"normalization": ["standardize", "last"]}),
}
CV = TimeSeriesSplit(3)


@pytest.fixture(params=FORECASTERS)
def family(request):
    return FORECASTERS[request.param]


@pytest.fixture(params=INDEXES)
def index(request):
    return INDEXES[request.param]


def series(index):
    rng = np.random.default_rng(1)
    season = 5 * np.sin(2 * np.pi * np.arange(N) / 7)
    return pd.Series(20 + season + rng.standard_normal(N).cumsum(), index, name="load")


def covariates(index):
    return pd.DataFrame({"price": np.random.default_rng(2).standard_normal(N), "trend": np.arange(N) / N}, index)


def score_by_hand(fitted, y, mean):
    """1 - mean absolute error over the mean absolute change of the training rows."""
    return 1 - np.mean(np.abs(np.asarray(y) - np.asarray(mean))) / np.mean(np.abs(np.diff(fitted)))


# splitters -------------------------------------------------------------------------------------------------------


def test_cross_val_score_of_y_alone(family, index):
    y = series(index)
    scores = cross_val_score(family[0](), y, cv=CV)
    for score, (train, test) in zip(scores, CV.split(y)):
        f = family[0]().fit(y.iloc[train])
        assert score == pytest.approx(score_by_hand(y.iloc[train], y.iloc[test], f.predict(len(test))), rel=1e-9)


def test_cross_val_score_of_a_frame_without_columns_is_that_of_y_alone(family, index):
    y = series(index)
    expected = cross_val_score(family[0](), y, cv=CV)
    np.testing.assert_allclose(cross_val_score(family[0](), y.to_frame()[[]], y, cv=CV), expected, rtol=1e-9)
    np.testing.assert_allclose(cross_val_score(family[0](), y.to_frame()[[]], y.to_numpy(), cv=CV), expected, rtol=1e-9)


def test_cross_val_score_with_covariates(family, index):
    X, y = covariates(index), series(index)
    scores = cross_val_score(family[0](), X, y, cv=CV)
    for score, (train, test) in zip(scores, CV.split(y)):
        f = family[0]().fit(X.iloc[train], y.iloc[train])
        assert score == pytest.approx(score_by_hand(y.iloc[train], y.iloc[test], f.predict(X.iloc[test])), rel=1e-9)


def test_cross_val_score_of_arrays_equals_that_of_frames(family):
    X, y = covariates(INDEXES["days"]), series(INDEXES["days"])
    for given in ((X, y), (y.to_frame(), y)):
        arrays = cross_val_score(family[0](), *(each.to_numpy() for each in given), cv=CV)
        np.testing.assert_allclose(arrays, cross_val_score(family[0](), *given, cv=CV), rtol=1e-7)
    np.testing.assert_allclose(
        cross_val_score(family[0](), y.to_numpy(), cv=CV), cross_val_score(family[0](), y, cv=CV), rtol=1e-7
    )


def test_cross_validate_with_gap_and_train_score(family):
    y = series(INDEXES["days"])
    result = cross_validate(
        family[0](), y, cv=TimeSeriesSplit(2, gap=5), return_train_score=True, return_estimator=True
    )
    assert np.isfinite(result["train_score"]).all()
    for f, score, (train, test) in zip(result["estimator"], result["test_score"], TimeSeriesSplit(2, gap=5).split(y)):
        mean = f.predict(len(test) + 5)[5:]
        assert score == pytest.approx(score_by_hand(y.iloc[train], y.iloc[test], mean), rel=1e-9)


# searches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["y", "no columns", "X and y"])
def test_grid_search(family, index, given):
    y = series(index)
    data = {"y": (y,), "no columns": (y.to_frame()[[]], y), "X and y": (covariates(index), y)}[given]
    make, grid = family
    search = GridSearchCV(make(), grid, cv=CV, error_score="raise").fit(*data)
    ((name, values),) = grid.items()
    by_hand = [cross_val_score(make(**{name: value}), *data, cv=CV).mean() for value in values]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand, rtol=1e-9)
    assert search.best_params_ == {name: values[int(np.argmax(by_hand))]}
    assert search.best_estimator_.last_[0] == N - 1
    expected = clone(search.best_estimator_).fit(*data)
    future = 6 if given != "X and y" else next_rows(index, 6)
    pd.testing.assert_series_equal(search.predict(future), expected.predict(future))


def next_rows(index, horizon):
    f = Naive().fit(covariates(index), series(index))
    return ssmts.future_frame(f, horizon).assign(price=0.5, trend=1.0)


def test_randomized_search_in_processes():
    y = series(INDEXES["days"])
    search = RandomizedSearchCV(SeasonalNaive(), {"season_length": [1, 7]}, n_iter=2, cv=CV, random_state=0, n_jobs=2)
    assert search.fit(y).best_params_ == {"season_length": 7}


def panel(index):
    y = series(index)
    names = ["shop", "when"]
    return (
        pd.concat({"b": covariates(index), "a": covariates(index)[10:], "c": covariates(index)[:-3]}, names=names),
        pd.concat({"b": y, "a": y[10:] * 2, "c": y[:-3] + 1}, names=names),
    )


@pytest.mark.parametrize("given", ["y", "no columns", "X and y"])
def test_panels_are_searched_with_time_split(family, index, given):
    X, y = panel(index)
    data = {"y": (y,), "no columns": (X[[]], y), "X and y": (X, y)}[given]
    make, grid = family
    cv = TimeSplit(horizon=7, n_windows=2)
    search = GridSearchCV(make(), grid, cv=cv, error_score="raise").fit(*data)
    ((name, values),) = grid.items()
    for value, scores in zip(values, zip(*(search.cv_results_[f"split{i}_test_score"] for i in (0, 1)))):
        for score, (train, test) in zip(scores, cv.split(y)):
            f = make(**{name: value}).fit(*(each.iloc[train] for each in data))
            rows = data[0].iloc[test]
            error = (y.iloc[test] - f.predict(rows)).abs()
            change = y.iloc[train].groupby(level=0, sort=False).apply(lambda values: values.diff().abs().mean())
            shops = y.index[test].get_level_values(0)
            assert score == pytest.approx(1 - np.mean(error.to_numpy() / change[shops].to_numpy()), rel=1e-9)
    if given != "X and y":
        forecast = ssmts.forecast(search, 5).mean
        assert forecast.groupby(level=0, sort=False).size().to_dict() == {"b": 5, "a": 5, "c": 5}
        assert forecast["c"].index[0] == y["b"].index[-3]


# pipelines -------------------------------------------------------------------------------------------------------


def scaled(forecaster):
    return make_pipeline(StandardScaler().set_output(transform="pandas"), forecaster)


def test_a_pipeline_forecasts_and_updates(family, index):
    X, y = covariates(index), series(index)
    future = X.iloc[60:70]
    pipe = scaled(family[0]()).fit(X.iloc[:60], y.iloc[:60])
    scaler = StandardScaler().set_output(transform="pandas").fit(X.iloc[:60])
    alone = family[0]().fit(scaler.transform(X.iloc[:60]), y.iloc[:60])
    pd.testing.assert_series_equal(pipe.predict(future), alone.predict(scaler.transform(future)))
    frame = ssmts.forecast(pipe, future, level=50).to_frame()
    assert list(frame) == ["mean", "lo-50", "hi-50"]
    pd.testing.assert_frame_equal(frame, alone.forecast(scaler.transform(future)).to_frame(level=50))
    assert ssmts.update(pipe, future, y.iloc[60:70]) is pipe
    alone.update(scaler.transform(future), y.iloc[60:70])
    later = X.iloc[70:]
    pd.testing.assert_series_equal(pipe.predict(later), alone.predict(scaler.transform(later)))
    assert pipe.score(later, y.iloc[70:]) == alone.score(scaler.transform(later), y.iloc[70:])
    assert np.isfinite(cross_val_score(scaled(family[0]()), X, y, cv=CV)).all()


def test_a_search_over_pipelines_forecasts_and_updates(family):
    make, grid = family
    X, y = covariates(INDEXES["days"]), series(INDEXES["days"])
    pipe = Pipeline([("scale", StandardScaler().set_output(transform="pandas")), ("f", make())])
    search = GridSearchCV(pipe, {f"f__{name}": values for name, values in grid.items()}, cv=CV, error_score="raise")
    search.fit(X.iloc[:70], y.iloc[:70])
    best = clone(search.best_estimator_).fit(X.iloc[:70], y.iloc[:70])
    assert ssmts.update(search, X.iloc[70:75], y.iloc[70:75]) is search
    ssmts.update(best, X.iloc[70:75], y.iloc[70:75])
    frame = ssmts.forecast(search, X.iloc[75:]).to_frame()
    pd.testing.assert_frame_equal(frame, ssmts.forecast(best, X.iloc[75:]).to_frame())
    assert ssmts.future_frame(search, 3).columns.tolist() == ["price", "trend"]


def test_calendar_scaler_forecaster(family):
    y = series(INDEXES["zone"])
    X = y.to_frame()[[]]
    pipe = make_pipeline(CalendarFeatures(), StandardScaler().set_output(transform="pandas"), family[0]())
    assert np.isfinite(cross_val_score(pipe, X, y, cv=CV, error_score="raise")).all()
    search = GridSearchCV(pipe, {"calendarfeatures__harmonics": [1, 2]}, cv=CV, error_score="raise").fit(X, y)
    forecast = ssmts.forecast(search, 24)
    assert forecast.mean.index.equals(pd.date_range(y.index[-1], periods=25, freq="h")[1:])
    assert ssmts.future_frame(search, 24).shape == (24, 0)
    later = pd.Series(1.0, forecast.mean.index, name="load")
    assert ssmts.update(search, later[:3]) is search
    assert ssmts.forecast(search, 2).mean.index.equals(later.index[3:5])
    with pytest.raises(FutureRowsError, match="the next 3 steps need their values"):
        search.best_estimator_[-1].forecast(3)


def test_a_scaler_that_drops_the_index_is_found_out(family, index):
    X, y = covariates(index), series(index)
    for given in (y, y.to_numpy()):
        pipe = make_pipeline(StandardScaler(), family[0]())
        if given is not y:  # then nothing has an index: arrays in, arrays out
            assert isinstance(pipe.fit(X, given).predict(X.iloc[-3:]), np.ndarray)
            continue
        pipe.fit(X, given)
        for call in (
            lambda pipe=pipe: pipe.predict(X.iloc[-3:]),
            lambda pipe=pipe: pipe.score(X, y),
            lambda pipe=pipe: ssmts.forecast(pipe, X.iloc[-3:]),
        ):
            with pytest.raises(InputError, match=r'\.set_output\(transform="pandas"\)'):
                call()
        with pytest.raises(InputError, match=r'set_output\(transform="pandas"\)'):
            cross_val_score(make_pipeline(StandardScaler(), family[0]()), X, y, cv=CV, error_score="raise")


def test_a_number_of_steps_is_not_enough_for_a_pipeline_with_covariates(family):
    X, y = covariates(INDEXES["days"]), series(INDEXES["days"])
    pipe = scaled(family[0]()).fit(X, y)
    with pytest.raises(
        FutureRowsError, match=r"fitted with 2 column\(s\) of X \['price', 'trend'\], so the next 3 steps need"
    ):
        ssmts.forecast(pipe, 3)
    doubled = FunctionTransformer(lambda X: X.assign(twice=2 * X["price"]))
    pipe = make_pipeline(doubled, family[0]()).fit(X, y)
    frame = ssmts.future_frame(pipe, 3)
    assert list(frame) == ["price", "trend"]
    assert frame.isna().all(axis=None)
    assert ssmts.forecast(pipe, frame.fillna(0.0)).mean.index.equals(frame.index)


# target transformers ---------------------------------------------------------------------------------------------


def transformed(forecaster):
    return TransformedTargetRegressor(forecaster, func=np.log, inverse_func=np.exp)


def test_transformed_target_regressor_predicts_arrays(family, index):
    """Its limit: it hands on arrays, so the prediction has no index, and is the back-transformed mean of the logs."""
    X, y = covariates(index), series(index)
    ttr = transformed(family[0]()).fit(X.iloc[:70], y.iloc[:70])
    prediction = ttr.predict(X.iloc[70:])
    assert type(prediction) is np.ndarray
    alone = family[0]().fit(X.iloc[:70], np.log(y.iloc[:70]))
    np.testing.assert_allclose(prediction, np.exp(alone.predict(X.iloc[70:])), rtol=1e-9)
    ours = family[0](target_transform=FunctionTransformer(np.log, np.exp)).fit(X.iloc[:70], y.iloc[:70])
    np.testing.assert_allclose(ours.forecast(X.iloc[70:]).quantile(0.5), prediction, rtol=1e-9)
    assert isinstance(ours.predict(X.iloc[70:]), pd.Series)


def test_transformed_target_regressor_scores_r2(family):
    """Its limit: the score is scikit-learn's R2, not the forecaster's skill."""
    X, y = covariates(INDEXES["days"]), series(INDEXES["days"])
    ttr = transformed(family[0]()).fit(X.iloc[:70], y.iloc[:70])
    assert ttr.score(X.iloc[70:], y.iloc[70:]) == r2_score(y.iloc[70:], ttr.predict(X.iloc[70:]))


def test_transformed_target_regressor_needs_complete_y_and_an_x(family):
    """Its limits: NaN in y are refused, and so is y alone."""
    X, y = covariates(INDEXES["days"]), series(INDEXES["days"])
    gaps = y.where(np.arange(N) != 5)
    family[0]().fit(X, gaps)
    with pytest.raises(ValueError, match="contains NaN"):
        transformed(family[0]()).fit(X, gaps)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        transformed(family[0]()).fit(y)
    assert np.isfinite(transformed(family[0]()).fit(y.to_frame()[[]], y).predict(y.to_frame()[[]].iloc[-3:])).all()


def test_transformed_target_regressor_in_a_search(family, index):
    make, grid = family
    X, y = covariates(index), series(index)
    grid = {f"regressor__{name}": values for name, values in grid.items()}
    search = GridSearchCV(transformed(make()), grid, cv=CV, error_score="raise").fit(X, y)
    train, test = list(CV.split(y))[-1]
    best = clone(search.best_estimator_).fit(X.iloc[train], y.iloc[train])
    assert search.cv_results_["split2_test_score"][search.best_index_] == pytest.approx(
        r2_score(y.iloc[test], best.predict(X.iloc[test])), rel=1e-9
    )
    for call in (ssmts.forecast, ssmts.update):
        with pytest.raises(InputTypeError, match="target_transform="):
            call(search, X.iloc[-2:])


# verbs, clone, repr, routing -------------------------------------------------------------------------------------


def test_verbs_of_a_fitted_search_over_a_forecaster(family, index):
    make, grid = family
    y = series(index)
    search = GridSearchCV(make(), grid, cv=CV, error_score="raise").fit(y.iloc[:70])
    best = clone(search.best_estimator_).fit(y.iloc[:70])
    pd.testing.assert_series_equal(ssmts.forecast(search, 5).mean, best.forecast(5).mean)
    assert ssmts.update(search, y.iloc[70:72]) is search
    best.update(y.iloc[70:72])
    pd.testing.assert_frame_equal(ssmts.forecast(search, 5).to_frame(), best.forecast(5).to_frame())
    frame = ssmts.future_frame(search, 5)
    assert frame.shape == (5, 0)
    pd.testing.assert_series_equal(search.predict(frame), best.predict(5), check_freq=False)


def test_verbs_need_something_fitted(family):
    for estimator in (family[0](), scaled(family[0]()), GridSearchCV(family[0](), family[1])):
        for call in (ssmts.forecast, ssmts.future_frame):
            with pytest.raises((sklearn.exceptions.NotFittedError, InputTypeError)):
                call(estimator, 3)
    with pytest.raises(InputTypeError, match="StandardScaler is no forecaster"):
        ssmts.forecast(StandardScaler(), 3)


def test_y_test_gives_its_index_never_its_values(family, index):
    y = series(index)
    f = family[0]().fit(y.iloc[:60])
    prediction = f.predict(y.iloc[60:])
    pd.testing.assert_series_equal(prediction, f.predict(y.iloc[60:] * np.nan))
    np.testing.assert_array_equal(prediction, f.predict(N - 60))


def test_rows_that_count_anew_from_zero_are_refused(family):
    y = series(INDEXES["integers"])
    f = family[0]().fit(y.iloc[:60])
    with pytest.raises(TimeIndexError, match="no reset_index"):
        f.predict(y.iloc[60:].reset_index(drop=True))


def test_clone_is_unfitted_with_the_same_parameters(family):
    make, grid = family
    ((name, values),) = grid.items()
    f = make(**{name: values[-1]}).fit(series(INDEXES["days"]))
    other = clone(f)
    assert other.get_params() == f.get_params()
    assert not hasattr(other, "form_")
    assert make().set_params(**{name: values[-1]}).get_params() == f.get_params()


def test_html_repr(family):
    for estimator in (family[0](), family[0]().fit(series(INDEXES["days"])), scaled(family[0]())):
        html = estimator._repr_html_()
        assert type(family[0]()).__name__ in html


def test_sample_weight_is_routed_to_score(family):
    make, grid = family
    X, y = covariates(INDEXES["days"]), series(INDEXES["days"])
    weight = np.linspace(0.0, 2.0, N)
    with sklearn.config_context(enable_metadata_routing=True):
        f = make().set_score_request(sample_weight=True)
        search = GridSearchCV(f, grid, cv=CV, error_score="raise").fit(X, y, sample_weight=weight)
        scores = cross_val_score(f, y, cv=CV, params={"sample_weight": weight})
        with pytest.raises(ValueError, match="sample_weight"):
            cross_val_score(make(), y, cv=CV, params={"sample_weight": weight})
    for i, (train, test) in enumerate(CV.split(y)):
        fitted = clone(search.best_estimator_).fit(X.iloc[train], y.iloc[train])
        expected = fitted.score(X.iloc[test], y.iloc[test], sample_weight=weight[test])
        assert search.cv_results_[f"split{i}_test_score"][search.best_index_] == pytest.approx(expected, rel=1e-9)
        error = np.abs(y.iloc[test] - make().fit(y.iloc[train]).predict(len(test)))
        change = np.mean(np.abs(np.diff(y.iloc[train])))
        assert scores[i] == pytest.approx(1 - np.average(error, weights=weight[test]) / change, rel=1e-9)


def test_data_frames_of_several_columns_are_scored_column_by_column(family):
    y = pd.DataFrame({"a": series(INDEXES["days"]), "b": series(INDEXES["days"]) * 10})
    scores = cross_val_score(family[0](), y, cv=CV)
    if family[0]().capabilities.joint:  # each column's forecast depends on the others
        assert np.isfinite(scores).all()
        return
    each = [cross_val_score(family[0](), y[name], cv=CV) for name in y]
    np.testing.assert_allclose(scores, np.mean(each, axis=0), rtol=1e-7)
