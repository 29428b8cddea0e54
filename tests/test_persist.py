"""Files: every kind of value comes back as it was, estimators forecast the same, and nothing else is ever loaded."""

import datetime as dt
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, StandardScaler

import ssmts
from ssmts import Naive, SeasonalNaive, persist
from ssmts._codec import Reader, Writer
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import PersistError
from ssmts.persist import load, save
from ssmts.timeindex import infer_axis

COMPLETE = np.array([1.0, 5.0, 2.0, 6.0, 1.5, 5.5])
SEASON = np.array([1.0, 5.0, 2.0, 6.0, 1.5, 5.5, np.nan, 6.5])


def round_trip(value):
    """Through the bytes of a file and back."""
    writer = Writer(persist._RULES)
    header = {"format": "ssmts", "format_version": 1, "estimator": writer.encode(value)}
    header, flat, blobs = persist._unpack(persist._pack(header, writer), "file")
    return Reader(persist._RULES, flat, blobs).decode(header["estimator"])


def same(a, b):
    """Equal in value, type, shape, dtype and every sub-object; NaN equal NaN."""
    if isinstance(a, dt.tzinfo):  # pandas may read a zone as another type of the same name
        days = [dt.datetime(2024, month, 1) for month in range(1, 13)]
        return [a.utcoffset(day) for day in days] == [b.utcoffset(day) for day in days]
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        if a.dtype == object:
            return a.shape == b.shape and all(same(x, y) for x, y in zip(a.ravel(), b.ravel()))
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, np.generic):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, pd.DataFrame | pd.Series | pd.Index):
        kind = type(a).__name__ if isinstance(a, pd.DataFrame | pd.Series) else "Index"
        check = {"DataFrame": pd.testing.assert_frame_equal, "Series": pd.testing.assert_series_equal}
        check.get(kind, pd.testing.assert_index_equal)(a, b)
        return getattr(a, "freq", None) == getattr(b, "freq", None)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return repr(a) == repr(b)


berlin = pd.date_range("2024-03-30", periods=4, freq="12h", tz="Europe/Berlin", name="when")
PLAIN = [
    None,
    True,
    -3,
    10**30,
    0.1,
    -0.0,
    np.nan,
    -np.inf,
    "text \u00e4\ud800",
    b"\x00\xff",
    1 + 2j,
    [1, [2.5, None]],
    (1, (2, [3])),
    {"a": 1, 2: (3,), ("k", 0): None},
    {1, 2},
    frozenset({"x"}),
    slice(1, None, 2),
    range(0, 9, 3),
]
NUMPY = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.zeros((0, 3)),
    np.array(1.5),
    np.array([True, False]),
    np.array([1, 2], dtype=np.int8),
    np.array([1.5], dtype=np.float32),
    np.array([1 + 1j]),
    np.array(["a", "bcd"]),
    np.array(["2024-01-01", "NaT"], dtype="M8[us]"),
    np.array([1, 2], dtype="m8[h]"),
    np.array(["a", None, 1.5, pd.NaT], dtype=object).reshape(2, 2),
    np.float64(0.1),
    np.int32(3),
    np.bool_(True),
    np.datetime64("2024-01-01T00:00:01", "ms"),
]
TIMES = [
    pd.NaT,
    pd.NA,
    pd.Timestamp("2024-01-01 12:00:00.123456789"),
    pd.Timestamp("2024-01-01").as_unit("s"),
    pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert("Europe/Berlin"),
    pd.Timestamp("2024-01-01", tz="UTC"),
    pd.Timedelta("1D 3h").as_unit("ms"),
    pd.Period("2024Q3"),
    pd.Period("2024-05", freq="M"),
    dt.date(2024, 2, 29),
    dt.timedelta(days=1, microseconds=3),
    ZoneInfo("Asia/Kolkata"),
    dt.UTC,
    pd.offsets.Hour(6),
    pd.offsets.Day(1),
    pd.offsets.Week(weekday=2),
    pd.offsets.MonthEnd(2),
    pd.offsets.QuarterBegin(startingMonth=2),
    pd.offsets.BusinessDay(),
    pd.DateOffset(months=2, days=1),
    pd.offsets.SemiMonthEnd(day_of_month=10),
    pd.offsets.CustomBusinessDay(holidays=["2024-01-01"], weekmask="Mon Tue Wed"),
]
INDEXES = [
    pd.RangeIndex(3, 12, 3, name="n"),
    pd.Index([1, 5, 7], name="row"),
    pd.Index(["a", "b", None]),
    pd.Index(["a", 1, 2.5], dtype=object),
    pd.date_range("2024-01-01", periods=3, freq="MS"),
    pd.DatetimeIndex(["2024-01-01", "NaT"]).as_unit("ms"),
    berlin,
    pd.period_range("2024-01", periods=3, freq="Q-NOV", name="q"),
    pd.timedelta_range("1h", periods=3, freq="90min"),
    pd.MultiIndex.from_product([["b", "a"], berlin], names=["id", "when"]),
    pd.CategoricalIndex(["x", "y", "x"], ordered=True),
]
FRAMES = [
    pd.Series([1.0, np.nan], index=pd.period_range("2024", periods=2, freq="Y"), name="y"),
    pd.Series(["a", None]),
    pd.Series(["a", 1], dtype=object, name=("a", 1)),
    pd.Series([1, None], dtype="Int64"),
    pd.Series(berlin),
    pd.Series(["u", "v"], dtype="category"),
    pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2], "c": ["x", "y"], "d": pd.to_datetime(["2024-01-01", "2024-01-02"])}),
    pd.DataFrame({"a": [1.0, 2.0]}, index=berlin[:2]),
    pd.DataFrame([[1.0, 2.0]], columns=["same", "same"]),
    pd.DataFrame([[1.0, 2.0]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
    pd.DataFrame(index=berlin),
    pd.DataFrame(),
]


@pytest.mark.parametrize("value", PLAIN + NUMPY + TIMES + INDEXES + FRAMES, ids=lambda v: repr(v)[:40])
def test_values_come_back_as_they_were(value):
    assert same(value, round_trip(value))
    nested = {"x": (value, [value])}
    assert same(nested, round_trip(nested))


@pytest.mark.parametrize("seed_of", [np.random.default_rng, np.random.RandomState])
def test_random_generators_go_on_where_they_stood(seed_of):
    rng = seed_of(3)
    rng.normal(size=5)
    again = round_trip(rng)
    assert type(again) is type(rng)
    np.testing.assert_array_equal(again.normal(size=4), rng.normal(size=4))


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers(), st.text()), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(trees)
def test_any_tree_comes_back(tree):
    assert same(tree, round_trip(tree))


@given(arrays(scalar_dtypes(), array_shapes(min_dims=0, min_side=0)))
def test_any_array_comes_back(array):
    again = round_trip(array)
    little = array.astype(array.dtype.newbyteorder("<"))
    assert again.shape == array.shape
    assert again.dtype == little.dtype
    assert again.tobytes() == little.tobytes()


def test_large_noise_is_stored_as_it_is_and_large_patterns_are_compressed():
    noise, pattern = np.random.default_rng(0).normal(size=50_000), np.arange(400_000) // 1000
    for value, method in ((noise, zipfile.ZIP_STORED), (pattern, zipfile.ZIP_DEFLATED)):
        assert same(value, round_trip(value))
        writer = Writer(persist._RULES)
        content = persist._pack({"estimator": writer.encode(value)}, writer)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = archive.getinfo(f"{value.dtype.name}.npy")
            assert member.compress_type == method
            plain = io.BytesIO()
            np.save(plain, value)
            assert archive.read(member) == plain.getvalue()


def test_objects_of_the_library_come_back():
    one = np.eye(1)
    ssm = LinearGaussianSSM(TimeVarying(np.ones((3, 1, 1))), one, one, one, np.zeros(1), 0 * one)
    again = round_trip(ssm)
    assert type(again) is LinearGaussianSSM
    assert type(again.transition) is TimeVarying
    np.testing.assert_array_equal(again.transition.values, np.ones((3, 1, 1)))
    assert again.initial_diffuse_cov is None
    axis = infer_axis(berlin)
    index = round_trip(axis).stamps(3, 5)
    pd.testing.assert_index_equal(index, axis.stamps(3, 5))
    pd.testing.assert_index_equal(round_trip(axis).stamps(3, 5), axis.stamps(3, 5))


def test_an_array_held_twice_is_written_once():
    big = np.random.default_rng(0).normal(size=4000)
    writer = Writer(persist._RULES)
    writer.encode([big, (big,)])
    assert writer.arrays()["float64"].size == 4000


# estimators -------------------------------------------------------------------------------------------------------


def containers():
    days = pd.date_range("2024-03-29", periods=8, freq="D", tz="Europe/Berlin")
    series = pd.Series(SEASON, index=days, name="y")
    two = pd.concat({"a": series, "b": 2 * series}, names=["id", "day"])
    return {
        "array": SEASON,
        "series": series,
        "frame": pd.DataFrame({"u": SEASON, "v": SEASON[::-1]}, index=pd.period_range("2024", periods=8, freq="M")),
        "integers": pd.Series(SEASON, index=range(10, 26, 2)),
        "panel": two,
        "long": pd.DataFrame({"unique_id": "a", "ds": days.tz_localize(None), "y": SEASON}),
    }


@pytest.mark.parametrize("kind", containers())
@pytest.mark.parametrize("data", [False, True])
def test_a_loaded_forecaster_forecasts_the_same(tmp_path, kind, data):
    forecaster = SeasonalNaive(season_length=2).fit(containers()[kind])
    save(forecaster, tmp_path / "model", data=data)
    again = load(tmp_path / "model")
    assert type(again) is SeasonalNaive
    assert again.get_params() == forecaster.get_params()
    expected, got = (each.forecast(5).to_frame() for each in (forecaster, again))
    pd.testing.assert_frame_equal(got, expected)
    assert (again.rows_ is None) == (not data)


def test_training_rows_are_written_when_asked(tmp_path):
    y = containers()["series"]
    forecaster = SeasonalNaive(season_length=2).fit(y)
    save(forecaster, tmp_path / "with", data=True)
    save(forecaster, tmp_path / "without")
    pd.testing.assert_series_equal(load(tmp_path / "with").predict(y.to_frame()), forecaster.predict(y.to_frame()))
    with pytest.raises(ssmts.exceptions.SsmtsError, match="were not saved"):
        load(tmp_path / "without").predict(y.to_frame())


def test_a_loaded_forecaster_goes_on_updating(tmp_path):
    y = containers()["series"]
    forecaster = SeasonalNaive(season_length=2).fit(y.iloc[:6])
    save(forecaster, tmp_path / "model")
    again = load(tmp_path / "model").update(y.iloc[6:])
    pd.testing.assert_series_equal(again.predict(4), forecaster.update(y.iloc[6:]).predict(4))


def test_an_unfitted_estimator_keeps_its_parameters(tmp_path):
    save(SeasonalNaive(season_length=7, freq="D"), tmp_path / "model")
    assert load(tmp_path / "model").get_params() == SeasonalNaive(season_length=7, freq="D").get_params()


def test_a_fresh_process_forecasts_the_same(tmp_path):
    forecaster = SeasonalNaive(season_length=2, target_transform=FunctionTransformer(np.log1p, np.expm1))
    forecaster.fit(COMPLETE)
    save(forecaster, tmp_path / "model")
    code = "import sys, numpy, ssmts; numpy.save(sys.argv[2], ssmts.load(sys.argv[1]).forecast(9).interval())"
    subprocess.run([sys.executable, "-c", code, tmp_path / "model", tmp_path / "out.npy"], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), forecaster.forecast(9).interval())


def test_a_structural_model_of_25_states_is_a_few_kilobytes(tmp_path):
    rng = np.random.default_rng(0)
    season = 3 * np.sin(2 * np.pi * np.arange(2000) / 24)
    values = rng.normal(0, 0.1, 2000).cumsum() + season + rng.normal(size=2000)
    y = pd.Series(values, index=pd.date_range("2020-01-01", periods=2000, freq="h", tz="Europe/Berlin"), name="load")
    forecaster = ssmts.StructuralForecaster(trend="local_linear", season_length=24).fit(y)
    assert forecaster.units_[0].state.mean.shape == (25,)
    save(forecaster, tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 20_000
    code = "import sys, ssmts; ssmts.load(sys.argv[1]).forecast(48).to_frame().to_pickle(sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, tmp_path / "model", tmp_path / "out"], check=True)
    pd.testing.assert_frame_equal(
        pd.read_pickle(tmp_path / "out"), forecaster.forecast(48).to_frame(), check_exact=True
    )


def test_equal_estimators_give_equal_files(tmp_path):
    for name in ("a", "b"):
        save(SeasonalNaive(season_length=2).fit(containers()["panel"]), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_many_series_stay_small(tmp_path):
    y = pd.concat({i: pd.Series(np.arange(24.0)) for i in range(500)})
    save(SeasonalNaive(season_length=12).fit(y), tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 60_000


# scikit-learn parts and functions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transformer",
    [
        StandardScaler(),
        PowerTransformer(),
        FunctionTransformer(np.log1p, np.expm1),
        FunctionTransformer(np.asarray, np.asarray),
    ],
    ids=repr,
)
def test_transformers_are_kept(tmp_path, transformer):
    forecaster = SeasonalNaive(season_length=2, target_transform=transformer).fit(COMPLETE)
    save(forecaster, tmp_path / "model")
    again = load(tmp_path / "model")
    assert repr(again.target_transform) == repr(transformer)
    pd.testing.assert_frame_equal(again.forecast(3).to_frame(), forecaster.forecast(3).to_frame())


def local_function(x):
    return x


@pytest.mark.parametrize("function", [lambda x: x, local_function, os.system], ids=["lambda", "own", "os"])
def test_functions_that_cannot_be_found_again_are_refused_by_name(tmp_path, function):
    save(Naive(), tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    name = function.__name__.replace("<", r"\<")
    for value in (FunctionTransformer(function), function):
        with pytest.raises(PersistError, match=rf"`target_transform`.*{name}.*Use a function of numpy"):
            save(Naive(target_transform=value), tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


def test_functions_of_numpy_scipy_and_the_library_are_kept():
    from scipy.special import expit

    for function in (np.log1p, np.nan_to_num, expit, infer_axis):
        assert round_trip(function) is function


class Foreign:
    """A class of nobody's."""


@pytest.mark.parametrize(
    "value",
    [Foreign(), Foreign, np.ma.array([1.0]), np.zeros(2, dtype="f8,i4")],
    ids=["object", "class", "masked array", "record array"],
)
def test_other_objects_are_refused_by_name(tmp_path, value):
    with pytest.raises(PersistError, match=r"`freq` is .*cannot hold safely"):
        save(Naive(freq=value), tmp_path / "model")
    assert not os.listdir(tmp_path)


def test_the_message_leads_to_the_value(tmp_path):
    with pytest.raises(PersistError, match=r"`freq\['a'\]\[1\]` is a .*Foreign"):
        save(Naive(freq={"a": [0, Foreign()]}), tmp_path / "model")


def test_only_estimators_are_saved(tmp_path):
    for value in (3, StandardScaler(), infer_axis(berlin)):
        with pytest.raises(PersistError, match="Only estimators of ssmts"):
            save(value, tmp_path / "model")


def test_missing_skops_is_named(tmp_path, monkeypatch):
    save(Naive(target_transform=StandardScaler()), tmp_path / "model")
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(PersistError, match=r"pip install ssmts\[persist\]"):
        save(Naive(target_transform=StandardScaler()), tmp_path / "other")
    with pytest.raises(PersistError, match=r"pip install ssmts\[persist\]"):
        load(tmp_path / "model")


# files that are none, or no longer ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("persist") / "model"
    save(SeasonalNaive(season_length=2, target_transform=StandardScaler()).fit(containers()["series"]), path)
    return path.read_bytes()


def edited(content, **changes):
    """The same file with another header, and its checksums right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, json.dumps(json.loads(data) | changes) if name == "header.json" else data)
    return out.getvalue()


def attempt(path, content):
    path.write_bytes(content)
    try:
        return load(path)
    except PersistError as error:
        return error


def refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(PersistError, match=message):
        load(path)


def test_foreign_files_are_named(tmp_path, content):
    path = tmp_path / "file"
    refused(path, b"", "is no file of ssmts.*empty")
    refused(path, b"time,value\n1,2\n", "is no file of ssmts.*begins with b'time,val")
    refused(path, pickle.dumps({"a": 1}), "is no file of ssmts")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, out.getvalue(), "zip archive without a header of ssmts")
    refused(path, edited(content, format="other"), "zip archive without a header of ssmts")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent")


def test_newer_files_ask_for_an_upgrade(tmp_path, content):
    newer = edited(content, format_version=2, library_version="9.1")
    refused(tmp_path / "file", newer, r"has format 2, written by ssmts 9\.1.*formats up to 1\. Upgrade ssmts")


def test_unknown_parameters_and_classes_are_named(tmp_path, content):
    node = {"t": "estimator", "v": ["ssmts:Naive", {"freq": None, "colour": 1}, {}]}
    refused(tmp_path / "file", edited(content, estimator=node), r"parameters \['colour'\].*does not have.*wrote it")
    node = {"t": "estimator", "v": ["ssmts.forecasting.absent:Model", {}, {}]}
    refused(tmp_path / "file", edited(content, estimator=node), "needs 'ssmts.forecasting.absent:Model'")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_damage_is_reported_or_harmless(tmp_path, content, place, flip, cut):
    at = int(place * len(content))
    damaged = content[:at] if cut else content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
    path = tmp_path / "file"
    outcome = attempt(path, damaged)
    if isinstance(outcome, PersistError):
        assert any(word in str(outcome) for word in ("damaged", "no file of ssmts"))
    else:  # a byte that no reader needs, such as a time stamp within the archive
        pd.testing.assert_series_equal(outcome.predict(3), attempt(path, content).predict(3))


@pytest.mark.parametrize(
    "node",
    [
        {"t": "estimator", "v": ["os:system", {}, {}]},
        {"t": "estimator", "v": ["ssmts.persist:os.system", {}, {}]},
        {"t": "estimator", "v": ["ssmts.__main__:x", {}, {}]},
        {"t": "dataclass", "v": ["subprocess:Popen", {"args": "true"}]},
        {"t": "namedtuple", "v": ["ssmts.persist:load", {"path": "x"}]},
        {"t": "function", "v": "os:system"},
        {"t": "function", "v": "numpy:ndarray"},
        {"t": "function", "v": "ssmts.persist:os.system"},
        {"t": "offset", "v": ["prefix_mapping", 1, False, {}]},
        {"t": "absent", "v": None},
        {"t": "dict", "v": [["only a key"]]},
        {"t": "array", "v": ["float64", 0, [1000000], "C"]},
        ["no estimator"],
    ],
    ids=str,
)
def test_hostile_headers_load_nothing(tmp_path, content, node):
    refused(tmp_path / "file", edited(content, estimator=node), "cannot be loaded|damaged")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickles_inside_are_never_opened(tmp_path, content):
    target = tmp_path / "created"
    array = io.BytesIO()
    np.save(array, np.array([Bomb(str(target))], dtype=object), allow_pickle=True)
    out = io.BytesIO(edited(content))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("evil.npy", array.getvalue())
    refused(tmp_path / "file", out.getvalue(), "damaged")
    assert not target.exists()


def test_untrusted_types_in_a_scikit_learn_part_are_refused(tmp_path):
    import skops.io

    writer = Writer(persist._RULES)
    transformer = {"t": "sklearn", "v": writer.blob(skops.io.dumps(FunctionTransformer(os.system)), "skops")}
    node = {"t": "estimator", "v": ["ssmts:Naive", {"target_transform": transformer}, {}]}
    header = {"format": "ssmts", "format_version": 1, "library_version": "0", "estimator": node}
    refused(tmp_path / "file", persist._pack(header, writer), "posix.system, which is not trusted")


def test_where_no_file_can_be_written_is_said(tmp_path):
    for path, said in (
        (tmp_path / "absent" / "model", "there is no folder"),
        (tmp_path, "is a folder"),
        (3, "3 is no path of a file"),
    ):
        with pytest.raises(PersistError, match=said):
            save(Naive(), path)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    save(Naive(), tmp_path / "model")
    before = (tmp_path / "model").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save(SeasonalNaive(season_length=9), tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]
