"""Every data set against its published facts, and the registry against itself."""

import pickle

import numpy as np
import pandas as pd
import pytest

from ssmts.datasets import (
    Card,
    list_datasets,
    load_asd,
    load_classic,
    load_dataset,
    load_ett,
    load_monash,
    load_nab,
    load_skab,
    read_tsf,
)
from ssmts.evaluation.anomaly import window_labels
from ssmts.exceptions import DataUnavailableError, InputError

EMBEDDED = ["nile", "co2", "sunspots", "elnino", "macrodata"]
FILES = [name for _, name in list_datasets("classic").index if name not in EMBEDDED]


@pytest.fixture
def no_files(monkeypatch, tmp_path):
    monkeypatch.setenv("SSMTS_CACHE", str(tmp_path))
    monkeypatch.delenv("SSMTS_DATA", raising=False)


def check_card(card, data, family):
    assert isinstance(card, Card)
    assert card.family == family
    assert card.description
    assert card.source
    assert card.licence
    assert repr(card).startswith(f"{card.name}: {card.description}\n")
    assert data.index.names[-1] == "time"
    assert hash(card) == hash(card)


@pytest.mark.parametrize(
    ("name", "shape", "first", "last", "ends"),
    [
        ("nile", (100,), pd.Period("1871", "Y"), pd.Period("1970", "Y"), (1120.0, 740.0)),
        ("co2", (2284,), pd.Timestamp("1958-03-29"), pd.Timestamp("2001-12-29"), (316.1, 371.5)),
        ("sunspots", (309,), pd.Period("1700", "Y"), pd.Period("2008", "Y"), (5.0, 2.9)),
        ("elnino", (732,), pd.Period("1950-01", "M"), pd.Period("2010-12", "M"), (23.11, 22.07)),
        ("macrodata", (203, 12), pd.Period("1959Q1", "Q"), pd.Period("2009Q3", "Q"), None),
    ],
)
def test_embedded_series_need_no_file(no_files, name, shape, first, last, ends):
    data, card = load_classic(name)
    check_card(card, data, "classic")
    assert data.shape == shape
    assert (data.index[0], data.index[-1]) == (first, last)
    assert card.freq == data.index.freqstr
    assert len(data.iloc[card.split["test"]]) == card.horizon
    if ends:
        assert (data.iloc[0], data.iloc[-1]) == ends
    else:
        assert data.loc["2009Q2", "unemp"].item() == 9.2


def test_names_do_not_mind_capitals_and_say_what_is_close(no_files):
    assert load_classic("NILE").card.name == "nile"
    with pytest.raises(InputError, match="AirPassengers"):
        load_classic("airpasengers")
    with pytest.raises(InputError, match="valve1/1, valve2/1"):
        load_skab("1")
    with pytest.raises(InputError, match="ETTh1"):
        load_dataset("nothing like it")
    with pytest.raises(InputError, match="ETTh1"):
        load_ett("ETTh3")


def test_list_datasets_knows_what_needs_no_download(no_files):
    table = list_datasets()
    assert table.index.is_unique
    assert table.index.names == ["family", "name"]
    assert table.groupby("family").size().to_dict() == {
        "asd": 12,
        "classic": 20,
        "ett": 4,
        "monash": 10,
        "nab": 58,
        "skab": 35,
    }
    assert [name for _, name in table.index[table["on_disk"]]] == EMBEDDED
    assert table["description"].notna().all()
    names = list(table.index.get_level_values("name"))
    assert len(set(names)) == len(names)  # load_dataset finds each by its name alone


def test_load_dataset_takes_any_family(no_files):
    assert load_dataset("co2").data.equals(load_classic("co2").data)
    assert load_dataset("classic/co2").card == load_classic("co2").card


def test_read_tsf_of_other_headers(tmp_path):
    head = "# comment\n@relation x\n@attribute {}\n@attribute start_timestamp date\n@frequency {}\n@data\n"
    file = tmp_path / "x.tsf"
    file.write_text(
        head.format("series_name string", "quarterly") + "a:1999-11-15 06-00-00:1,2\nb:2000-01-01 00-00-00:3\n\n"
    )
    y = read_tsf(file)
    assert y.to_dict() == {
        ("a", pd.Timestamp("1999-11-15 06:00")): 1.0,
        ("a", pd.Timestamp("2000-02-15 06:00")): 2.0,
        ("b", pd.Timestamp("2000-01-01")): 3.0,
    }
    file.write_text(head.format("state string", "half_hourly") + "NSW:2000-01-01 00-00-00:1,2\n")
    assert read_tsf(file).index.tolist() == [
        ("NSW", pd.Timestamp("2000-01-01")),
        ("NSW", pd.Timestamp("2000-01-01 00:30")),
    ]
    file.write_text("@attribute series_name string\n@data\na:1,2\nb:3\n")
    assert read_tsf(file).index.tolist() == [("a", 0), ("a", 1), ("b", 0)]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("no header", "@data"),
        ("@attribute series_name string\n@data\n", "rows"),
        ("@attribute series_name string\n@data\na:b:1\n", "colons"),
        ("@attribute series_name string\n@data\na:1,x\n", "'x'"),
        ("@attribute start_timestamp date\n@frequency monthly\n@data\n2000-01-31 00-00-00:1,2\n", "2000-01-31"),
        ("@attribute start_timestamp date\n@frequency lunar\n@data\n2000-01-31 00-00-00:1,2\n", "lunar"),
    ],
)
def test_read_tsf_refuses_what_it_cannot_read(tmp_path, text, what):
    file = tmp_path / "bad.tsf"
    file.write_text(text)
    with pytest.raises(InputError, match=what):
        read_tsf(file)


@pytest.mark.data
@pytest.mark.parametrize("name", FILES)
def test_stamps_of_classics_equal_those_in_the_file(data_folder, name):
    data, card = load_classic(name)
    check_card(card, data, "classic")
    file = {"sunspots_monthly": "sunspots"}.get(name, name)
    raw = pd.read_csv(data_folder / "classics" / f"{file}.csv")
    assert len(data) == len(raw)
    if card.freq is not None:
        assert card.freq == data.index.freqstr
    index = data.index
    if "time" in raw and isinstance(index, pd.PeriodIndex):
        parts = {"M": 12, "Q-DEC": 4, "Y-DEC": 1}[card.freq]
        part = index.month if parts == 12 else index.quarter if parts == 4 else np.ones(len(index))
        np.testing.assert_allclose(index.year + (part - 1) / parts, raw["time"], atol=1e-6)
    elif "time" in raw:
        assert index.tolist() == raw["time"].tolist()
    values = raw.iloc[:, -1] if data.ndim == 1 else raw.iloc[:, 1:]
    np.testing.assert_array_equal(data.to_numpy(), values.to_numpy(dtype=float))


@pytest.mark.data
def test_facts_of_classics(data_folder):
    raw = pd.read_csv(data_folder / "classics" / "Nile.csv")
    assert load_classic("nile").data.tolist() == raw["value"].tolist()
    air = load_classic("AirPassengers").data
    assert air.loc["1960-12"] == 432.0
    seatbelts = load_classic("Seatbelts").data
    assert seatbelts.index[seatbelts["law"] == 1][0] == pd.Period("1983-02", "M")  # in force from 31 January 1983
    assert seatbelts["drivers"].tolist() == load_classic("UKDriverDeaths").data.tolist()
    assert load_classic("presidents").data.isna().sum() == 6
    demand = load_classic("taylor").data
    assert demand.index[-1] == pd.Timestamp("2000-08-27 23:30")
    weekly = demand.groupby(demand.index.day_of_week).mean()
    assert set(weekly.nsmallest(2).index) == {5, 6}  # demand is lowest at week-ends
    deaths = load_classic("vehicle_fatalities").data
    assert deaths.loc["2003"].squeeze().to_dict() == {"norway": 280.0, "finland": 379.0}


@pytest.mark.data
@pytest.mark.parametrize(("name", "n_times", "step"), [("ETTh1", 17420, "1h"), ("ETTm1", 69680, "15min")])
def test_ett(data_folder, name, n_times, step):
    data, card = load_ett(name)
    check_card(card, data, "ett")
    assert data.shape == (n_times, 7)
    assert data.columns[-1] == "OT"
    assert data.index.freq == pd.tseries.frequencies.to_offset(step)
    assert data.index[0] == pd.Timestamp("2016-07-01")
    day = card.season_length
    assert [len(data.iloc[rows]) for rows in card.split.values()] == [360 * day, 120 * day, 120 * day]
    assert card.split["test"] == slice(480 * day, 600 * day)
    assert data.notna().all().all()


@pytest.mark.data
def test_ett_of_15_minutes_holds_the_hourly_set(data_folder):
    hourly, quarters = load_ett("ETTh1").data, load_ett("ETTm1").data
    pd.testing.assert_frame_equal(quarters.loc[hourly.index], hourly, check_freq=False)


MONASH = {  # series, shortest, longest, first stamp, missing values: dataset headers and the archive's paper
    "m3_monthly": (1428, 66, 144, "1990-01-01", 0),
    "tourism_monthly": (366, 91, 333, "1979-01-01", 0),
    "m4_hourly": (414, 748, 1008, "2015-07-01 12:00", 0),
    "hospital": (767, 84, 84, "2000-01-01", 0),
    "fred_md": (107, 728, 728, "1959-01-01", 0),
    "us_births": (1, 7305, 7305, "1969-01-01", 0),
    "saugeenday": (1, 23741, 23741, "1915-01-01", 0),
    "solar_weekly": (137, 52, 52, "2006-01-01", 0),
    "electricity_weekly": (321, 156, 156, "2012-01-01", 0),
    "nn5_daily": (111, 791, 791, "1996-03-18", 1673),
}


@pytest.mark.data
@pytest.mark.parametrize("name", MONASH)
def test_monash(data_folder, name):
    n_series, shortest, longest, first, missing = MONASH[name]
    data, card = load_monash(name)
    check_card(card, data, "monash")
    lengths = data.groupby(level="series", sort=False).size()
    assert card.n_series == len(lengths) == n_series
    assert (lengths.min(), lengths.max()) == (shortest, longest)
    assert data.index[0] == ("T1", pd.Timestamp(first))
    assert int(data.isna().sum()) == missing
    assert data.dtype == np.float64
    some = lengths.index[[0, len(lengths) // 2, -1]]
    for series in some:  # every stamp is where the card's frequency puts it
        stamps = data.loc[series].index
        assert stamps.equals(pd.date_range(stamps[0], periods=len(stamps), freq=card.freq).as_unit(stamps.unit))


@pytest.mark.data
def test_monash_last_stamps_known_from_outside(data_folder):
    assert load_monash("saugeenday").data.index[-1][1] == pd.Timestamp("1979-12-31")
    assert load_monash("us_births").data.index[-1][1] == pd.Timestamp("1988-12-31")
    assert load_monash("hospital").data.index[-1][1] == pd.Timestamp("2006-12-01")


@pytest.mark.data
def test_nab(data_folder):
    total, windows, irregular, repeated, backwards = 0, 0, 0, 0, []
    for _, name in list_datasets("nab").index:
        data, card = load_nab(name)
        check_card(card, data, "nab")
        gaps = np.diff(data.index)
        total += len(data)
        windows += len(card.labels)
        irregular += data.index.freq is None
        repeated += (gaps == np.timedelta64(0)).any()
        backwards += [name] if (gaps < np.timedelta64(0)).any() else []
        assert card.labels["start"].isin(data.index).all()
        assert card.labels["end"].isin(data.index).all()
        assert (card.labels["start"] <= card.labels["end"]).all()
        assert card.freq == data.index.freqstr
    assert (total, windows, irregular, repeated) == (365558, 116, 25, 7)
    assert backwards == ["realKnownCause/machine_temperature_system_failure"]


@pytest.mark.data
def test_nab_by_its_short_name(data_folder):
    data, card = load_nab("nyc_taxi")
    assert card.name == "realKnownCause/nyc_taxi"
    assert data.index.freqstr == "30min"
    assert data.iloc[0] == 10844.0
    assert card.split["probation"] == slice(0, 750)
    short = load_nab("art_flatline")
    assert len(short.card.labels) == 0
    assert short.card.split["probation"].stop == int(0.15 * 4032)


@pytest.mark.data
def test_skab(data_folder):
    total = 0
    for _, name in list_datasets("skab").index:
        data, card = load_skab(name)
        check_card(card, data, "skab")
        total += len(data)
        assert data.shape[1] == 8
        assert data.index.is_monotonic_increasing
        if name == "anomaly-free/anomaly-free":
            assert card.labels is None
        else:
            assert card.labels.index.equals(data.index)
            assert list(card.labels) == ["anomaly", "changepoint"]
            assert set(card.labels.to_numpy().ravel()) == {0, 1}
    assert total == 46806
    assert load_skab("anomaly-free").card.labels is None


@pytest.mark.data
def test_asd(data_folder):
    arrays = np.load(data_folder / "asd" / "asd.npz")
    anomalies = 0
    for _, name in list_datasets("asd").index:
        data, card = load_asd(name)
        check_card(card, data, "asd")
        assert len(data.iloc[card.split["train"]]) == (7291 if name == "omi-12" else 8640)
        np.testing.assert_array_equal(data.iloc[card.split["test"]], arrays[f"{name}_test"])
        # Two sources that the publisher gives apart: rows labelled one by one, and spans with the metrics to blame.
        marked = window_labels(data.index, card.labels[["start", "end"]])
        np.testing.assert_array_equal(marked[card.split["test"]], arrays[f"{name}_test_label"])
        assert card.labels[list(data)].any(axis=1).all()
        anomalies += len(card.labels)
    assert anomalies == 77
    assert load_asd("omi-2").card.labels.iloc[0].to_dict() == {
        "start": 8640 + 486,
        "end": 8640 + 498,
        **{f"m{number}": int(number in (1, 4, 5)) for number in range(1, 20)},
    }


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A data folder with one entity as it is published: labels in text, metrics in pickles."""
    monkeypatch.setenv("SSMTS_DATA", str(tmp_path))
    monkeypatch.setenv("SSMTS_CACHE", str(tmp_path / "cache"))
    for folder in ("interpretation_label", "processed"):
        (tmp_path / "asd" / folder).mkdir(parents=True)
    (tmp_path / "asd" / "interpretation_label" / "omi-3.txt").write_text("1-2:4,5\n6-6:19")
    return tmp_path / "asd" / "processed"


def test_asd_as_it_is_published(published):
    train, test = (np.random.default_rng(0).random((n, 19)).astype(np.float32) for n in (20, 10))
    for part, rows in (("train", train), ("test", test)):
        (published / f"omi-3_{part}.pkl").write_bytes(pickle.dumps(rows, protocol=2))
    data, card = load_asd("omi-3")
    np.testing.assert_array_equal(data, np.vstack([train, test]))
    assert card.labels[["start", "end"]].to_numpy().tolist() == [[21, 22], [26, 26]]
    assert card.labels[["m4", "m5", "m19"]].to_numpy().tolist() == [[1, 1, 0], [0, 0, 1]]
    assert list_datasets("asd").loc[("asd", "omi-3"), "on_disk"]
    assert not list_datasets("asd").loc[("asd", "omi-4"), "on_disk"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (pickle.dumps(print), "print"),
        (pickle.dumps(np.zeros((3, 4))), "19 metrics"),
        (b"no pickle", "not the array"),
        (b"", "not the array"),
    ],
)
def test_asd_files_that_are_no_rows_are_refused(published, content, what):
    for part in ("train", "test"):
        (published / f"omi-3_{part}.pkl").write_bytes(content)
    with pytest.raises(DataUnavailableError, match=what):
        load_asd("omi-3")


def test_asd_says_where_its_files_are(published):
    with pytest.raises(DataUnavailableError, match=r"InterFusion/.*/data/processed/omi-3_train\.pkl"):
        load_asd("omi-3")
