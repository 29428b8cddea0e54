"""The command line: files in every form, tables that come back, refusals with their codes, and real processes."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ssmts
from ssmts import (
    AutoDetector,
    InnovationDetector,
    JointDetector,
    Naive,
    SeasonalNaive,
    SpreadDetector,
    backtest,
    cli,
    load,
    save,
)
from ssmts.cli import _tables
from ssmts.datasets import load_classic, load_ett, load_nab, make_sensors
from ssmts.exceptions import InputError

RNG = np.random.default_rng(3)
SALES = pd.DataFrame(
    {
        "day": pd.date_range("2024-01-01", periods=40, name="day").astype(str),
        "sales": RNG.normal(20.0, 2.0, 40).round(3),
        "weather": "dull",
    }
)


def ssmts_run(*arguments, **options):
    """A real process."""
    return subprocess.run(
        [sys.executable, "-m", "ssmts", *map(str, arguments)], capture_output=True, timeout=120, **options
    )


def test_live_watch_tells_of_a_silent_stream_before_anything_else_comes(tmp_path):
    times = pd.date_range("2024-05-01", periods=400, freq="100ms").astype(str)
    rows = pd.DataFrame({"time": times, "flow": np.random.default_rng(6).normal(20.0, 1.0, 400)})
    rows[:300].to_csv(tmp_path / "train.csv", index=False)
    process = start("watch", "--fit", tmp_path / "train.csv", "--live", "--output", "incidents")
    process.stdin.write(rows[300:360].to_csv(index=False).encode())
    process.stdin.flush()
    opened = json.loads(process.stdout.readline())  # nothing else is written until this has come
    assert (opened["change"], opened["kind"], opened["detected"]) == ("opened", "dropout", times[359])
    out, err = process.communicate(rows[360:].to_csv(index=False, header=False).encode(), timeout=60)
    closed = [json.loads(line) for line in out.splitlines() if json.loads(line)["change"] == "closed"]
    assert [each["incident"] for each in closed] == [opened["incident"]]
    assert process.returncode == 0, err


def start(*arguments):
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-m", "ssmts", *map(str, arguments)], stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.fixture
def call(capsys):
    """Run in this process: exit code, standard output, standard error."""

    def run(*arguments):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def sales(tmp_path):
    path = tmp_path / "sales.csv"
    SALES.to_csv(path, index=False)
    return path


def table(text):
    return pd.read_csv(io.StringIO(text))


# forecast ------------------------------------------------------------------------------------------------------------


def test_forecast_is_that_of_the_library(call, sales):
    code, out, err = call(
        "forecast", sales, "--horizon", 3, "--model", "seasonal_naive", "--season", 7, "--level", 50, 90
    )
    assert (code, err) == (0, "")
    y = pd.Series(SALES["sales"].to_numpy(), pd.DatetimeIndex(SALES["day"]))
    wanted = SeasonalNaive(7).fit(y).forecast(3).to_frame(level=[50, 90])
    found = table(out)
    assert list(found) == ["day", "mean", "lo-50", "hi-50", "lo-90", "hi-90"]
    assert found.pop("day").tolist() == ["2024-02-10", "2024-02-11", "2024-02-12"]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".json"])
def test_forecast_tables_come_back_from_every_kind_of_file(call, sales, tmp_path, ending):
    path = tmp_path / f"out{ending}"
    code, out, _ = call("forecast", sales, "--horizon", 4, "--model", "naive", "--output", path)
    assert (code, out) == (0, "")
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}[ending]
    found = read(path)
    wanted = table(call("forecast", sales, "--horizon", 4, "--model", "naive")[1])
    assert list(found) == list(wanted)
    np.testing.assert_allclose(found.iloc[:, 1:], wanted.iloc[:, 1:], rtol=1e-13)
    assert pd.DatetimeIndex(found["day"]).equals(pd.DatetimeIndex(wanted["day"]))


def test_forecast_reads_parquet_and_standard_input_alike(call, sales, tmp_path, monkeypatch):
    wanted = call("forecast", sales, "--horizon", 2, "--model", "naive")
    indexed = SALES.assign(day=pd.DatetimeIndex(SALES["day"])).set_index("day")
    indexed.to_parquet(tmp_path / "sales.parquet")
    assert call("forecast", tmp_path / "sales.parquet", "--horizon", 2, "--model", "naive") == wanted
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(sales.read_bytes())))
    assert call("forecast", "-", "--horizon", 2, "--model", "naive") == wanted
    SALES.to_csv(tmp_path / "sales.txt", sep=";", index=False)
    assert call("forecast", tmp_path / "sales.txt", "--horizon", 2, "--model", "naive") == wanted


def test_forecast_of_several_series(call, tmp_path):
    frames = [SALES.assign(unique_id=shop, sales=SALES["sales"] * k).iloc[k:] for k, shop in enumerate(["a", "b"], 1)]
    pd.concat(frames).to_csv(tmp_path / "long.csv", index=False)
    found = table(call("forecast", tmp_path / "long.csv", "--horizon", 2, "--model", "naive")[1])
    assert found["unique_id"].tolist() == ["a", "a", "b", "b"]
    last = SALES["sales"].iloc[-1]
    np.testing.assert_allclose(found["mean"], [last, last, 2 * last, 2 * last])
    renamed = pd.concat(frames).rename(columns={"unique_id": "shop"})
    renamed.to_csv(tmp_path / "long.csv", index=False)
    again = table(call("forecast", tmp_path / "long.csv", "--horizon", 2, "--model", "naive", "--id", "shop")[1])
    pd.testing.assert_frame_equal(again.rename(columns={"shop": "unique_id"}), found)
    numbered = call(
        "forecast", tmp_path / "long.csv", "--horizon", 1, "--model", "naive", "--id", "shop", "--time", "none"
    )
    assert table(numbered[1])["row"].tolist() == [39, 38]


def test_forecast_saves_a_model_that_forecasts_the_same(call, sales, tmp_path):
    code, out, _ = call("forecast", sales, "--horizon", 2, "--model", "naive", "--save", tmp_path / "m.ssmts")
    assert code == 0
    np.testing.assert_allclose(load(tmp_path / "m.ssmts").predict(2), table(out)["mean"])


def test_forecast_draws(call, sales, tmp_path):
    assert call("forecast", sales, "--horizon", 2, "--model", "naive", "--plot", tmp_path / "f.png")[0] == 0
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_structural_is_the_default_model(call, sales):
    found = table(call("forecast", sales, "--horizon", 2, "--season", 7)[1])
    y = pd.Series(SALES["sales"].to_numpy(), pd.DatetimeIndex(SALES["day"]))
    wanted = ssmts.StructuralForecaster(season_length=7).fit(y).forecast(2).to_frame()
    np.testing.assert_allclose(found.iloc[:, 1:], wanted, rtol=1e-9)


# columns -------------------------------------------------------------------------------------------------------------


def series(frame, **options):
    return _tables.read_series(pd.DataFrame(frame), **options)


def test_the_time_is_the_named_column_else_the_usual_name_else_the_only_dates():
    days = ["2024-01-01", "2024-01-02", "2024-01-03"]
    stamps = pd.DatetimeIndex(days)
    assert series({"x": [1, 2, 3], "Date": days}).index.equals(stamps)
    assert series({"when": days, "text": list("abc"), "x": [1, 2, 3]}).index.equals(stamps)
    assert series({"date": days, "when": [4, 5, 6], "x": [1, 2, 3]}, time="when", target="x").index.tolist() == [
        4,
        5,
        6,
    ]
    assert series({"x": [1, 2, 3]}).index.equals(pd.RangeIndex(3))
    assert series({"date": days, "x": [1, 2, 3]}, time="none").index.equals(pd.RangeIndex(3))
    with pytest.raises(InputError, match=r"'from', 'to'.*--time"):
        series({"from": days, "to": days, "x": [1, 2, 3]})
    with pytest.raises(InputError, match=r"no column 'when'; the file has 'date', 'x'.*--time"):
        series({"date": days, "x": [1, 2, 3]}, time="when")
    with pytest.raises(InputError, match=r"'date' cannot be read as dates.*--time none"):
        series({"date": ["2024-01-01", "soon", "later"], "x": [1, 2, 3]})
    with pytest.raises(InputError, match=r"holds 1949.5, which is no date"):
        series({"date": [1949, 1949.5], "x": [1, 2]})


def test_the_target_is_the_named_column_else_y_or_value_else_the_only_numbers():
    assert series({"date": [1, 2], "x": [1, 2], "shop": ["a", "b"]}).name == "x"
    assert series({"date": [1, 2], "x": [1, 2], "Value": [3, 4]}).name == "Value"
    assert series({"date": [1, 2], "x": [1, 2], "z": [3, 4]}, target="z").name == "z"
    assert series({"Unnamed: 0": [0, 1], "date": [1, 2], "x": [1, 2]}).name == "x"
    with pytest.raises(InputError, match=r"could be the target: 'x', 'z'.*--target"):
        series({"date": [1, 2], "x": [1, 2], "z": [3, 4]})
    with pytest.raises(InputError, match="no column of numbers"):
        series({"date": [1, 2], "x": ["a", "b"]})
    with pytest.raises(InputError, match="no column 'q'"):
        series({"date": [1, 2], "x": [1, 2]}, target="q")


def test_stamps_with_offsets_become_utc():
    text = ["2024-03-31T00:00+01:00", "2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00"]
    index = series({"time": text, "y": [1, 2, 3]}).index
    assert index.equals(pd.date_range("2024-03-30T23:00Z", periods=3, freq="h").as_unit(index.unit))


@pytest.mark.parametrize("notation", ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%Y %H:%M", "%Y%m%d"])
@pytest.mark.parametrize("freq", ["MS", "D"])
def test_day_and_month_are_told_apart(notation, freq):
    days = pd.date_range("2022-01-01", periods=30, freq=freq)
    index = series({"date": days.strftime(notation), "x": np.arange(30)}).index
    assert index.equals(days.as_unit(index.unit))


def test_dates_whose_order_is_open_are_refused_and_not_guessed():
    with pytest.raises(InputError, match=r"'when' does not tell day from month, as in '02/01/2024'"):
        series({"when": ["01/01/2024", "02/01/2024", "03/01/2024"], "x": [1, 2, 3]})
    gaps = pd.date_range("2022-01-01", periods=9, freq="MS")[[0, 1, 3, 4, 8]]
    index = series({"when": gaps.strftime("%d.%m.%Y"), "x": range(5)}).index
    assert index.equals(gaps.as_unit(index.unit))
    with pytest.raises(InputError, match="does not tell day from month"):
        series({"when": gaps.strftime("%d/%m/%Y"), "x": range(5)})


def test_whole_numbers_of_eight_digits_are_dates_only_if_all_are():
    assert series({"date": [20240130, 20240131, 20240201], "x": [1, 2, 3]}).index[2] == pd.Timestamp("2024-02-01")
    assert series({"date": [20240130, 20240131, 20240132], "x": [1, 2, 3]}).index[2] == 20240132


def test_decimal_commas_are_read_where_commas_separate_nothing(tmp_path):
    path = tmp_path / "umsatz.csv"
    path.write_text("Monat;Umsatz;Ort\n01.01.2024;3,5;1,2,3\n01.02.2024;;a\n01.03.2024;-4;b\n")
    frame = _tables.read_frame(str(path))
    np.testing.assert_array_equal(frame["Umsatz"], [3.5, np.nan, -4.0])
    assert frame["Ort"].tolist() == ["1,2,3", "a", "b"]


def test_names_of_whole_numbers_are_a_header(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("0,1\n2.5,3.5\n")
    assert _tables.read_frame(str(path)).columns.tolist() == ["0", "1"]


# refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "is empty"),
        ("day,sales\n", "has no rows below its header"),
        ("day,sales\n2024-01-01,1,2\n2024-01-02,1,2\n", "more fields than its header"),
        ("day,sales\n2024-01-01,1\n2024-01-02,1,2,3,4\n", "cannot be read as CSV"),
        ("day,sales\n2024-01-01,1\n2024-01-01,2\n2024-01-02,3\n", "appears twice"),
        ("2024-01-01,1.5\n2024-01-02,2\n2024-01-03,3\n", "values and no names"),
        ("1.5\n2\n3\n", "values and no names"),
        (
            "day,sales\n2024-01-01,1\n2024-01-02,k.A.\n",
            "no column of numbers to forecast among 'day', 'sales' ('sales' holds 'k.A.')",
        ),
        (
            "shop,day,sales\nA,2024-01-01,1\nA,2024-01-02,2\nB,2024-01-01,3\n",
            "'shop'. If that column tells several series",
        ),
        ("day,sales\n2024-01-01,1\n2024-01-02,inf\n2024-01-03,3\n", "infinity"),
    ],
)
def test_files_that_cannot_be_used_leave_with_1_and_a_reason(call, tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    code, out, err = call("forecast", path, "--horizon", 2, "--model", "naive")
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err
    assert err.startswith("ssmts forecast: ")


def test_other_files_are_refused_by_name(call, tmp_path):
    for command in ("forecast", "detect", "watch"):
        for name in ("none.csv", "none.parquet"):
            how = {
                "forecast": [tmp_path / name, "--horizon", 2],
                "detect": [tmp_path / name],
                "watch": ["--from", tmp_path / name],
            }
            missing = call(command, *how[command])
            assert missing[::2] == (1, f"ssmts {command}: {tmp_path / name}: No such file or directory\n")
    (tmp_path / "latin.csv").write_bytes("day,größe\n2024-01-01,1\n".encode("latin-1"))
    assert "no UTF-8" in call("forecast", tmp_path / "latin.csv", "--horizon", 2)[2]
    (tmp_path / "x.parquet").write_bytes(b"not parquet at all")
    assert "cannot be read as Parquet" in call("detect", tmp_path / "x.parquet")[2]
    (tmp_path / "x.ssmts").write_bytes(b"nothing")
    code, _, err = call("watch", "--model", tmp_path / "x.ssmts")
    assert code == 1
    assert "x.ssmts" in err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["forecast", "x.csv"], "--horizon"),
        (["forecast", "x.csv", "--horizon", "0"], "'0' is not a whole number of at least 1"),
        (["forecast", "x.csv", "--horizon", "2.5"], "'2.5' is not a whole number"),
        (["forecast", "x.csv", "--horizon", "2", "--level", "0.8"], "80, not 0.8"),
        (["forecast", "x.csv", "--horizon", "2", "--level", "high"], "'high' is no number"),
        (["forecast", "x.csv", "--horizon", "2", "--season", "1"], "more than 1 row"),
        (["forecast", "x.csv", "--horizon", "2", "--output", "x.xlsx"], "must end in .csv, .parquet, .json"),
        (["forecast", "x.csv", "--horizon", "2", "--plot", "x.gif"], "must end in .png"),
        (["forecast", "x.csv", "--horizon", "2", "--save", "no/such/m"], "there is no folder"),
        (["backtest"], "one of the arguments"),
        (["backtest", "x.csv", "--dataset", "nile"], "not allowed with"),
        (["backtest", "x.csv"], "needs --horizon"),
        (["backtest", "--dataset", "nile", "--time", "ds"], "--time is for a FILE"),
        (["detect", "x.csv", "--contamination", "0.7"], "above 0 and at most 0.5"),
        (["watch", "--fit", "a", "--model", "b"], "not allowed with"),
        (["fly"], "invalid choice"),
        ([], "required"),
    ],
)
def test_wrong_usage_leaves_with_2(call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_seasonal_naive_needs_a_season(call, sales):
    code, _, err = call("forecast", sales, "--horizon", 2, "--model", "seasonal_naive")
    assert code == 2
    assert "needs a --season" in err
    whole = call("forecast", sales, "--horizon", 2, "--model", "seasonal_naive", "--season", 7)
    assert call("forecast", sales, "--horizon", 2, "--model", "seasonal_naive", "--season", 6.9, 28) == whole


def test_bugs_are_not_hidden(call, sales, monkeypatch):
    monkeypatch.setattr(_tables, "_index", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call("forecast", sales, "--horizon", 2, "--model", "naive")


# backtest ------------------------------------------------------------------------------------------------------------


def test_backtest_prints_the_scores_of_the_library(call, sales, tmp_path):
    path = tmp_path / "windows.parquet"
    code, out, err = call(
        "backtest",
        sales,
        "--horizon",
        4,
        "--season",
        7,
        "--models",
        "seasonal_naive",
        "naive",
        "--windows",
        3,
        "--output",
        path,
    )
    assert (code, err) == (0, "")
    y = pd.Series(SALES["sales"].to_numpy(), pd.DatetimeIndex(SALES["day"]))
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if "aive" in line}
    assert out.startswith("3 windows of 4 rows, cutoffs from 2024-01-28 00:00:00 to 2024-02-05 00:00:00")
    for model in (SeasonalNaive(7), Naive()):
        result = backtest(model, y, horizon=4, n_windows=3, refit=False)
        scores = result.scores(season_length=7).iloc[0]
        wanted = [
            scores["mase"],
            scores["mae"],
            scores["smape"],
            scores["crps"],
            *(100 * scores[["coverage-80", "coverage-95"]]),
        ]
        np.testing.assert_allclose(np.array(lines[type(model).__name__][:6], dtype=float), wanted, rtol=1e-3)
        frame = pd.read_parquet(path).query("model == @result.name").reset_index(drop=True)
        np.testing.assert_allclose(frame["mean"], result.frame["mean"])


def test_backtest_of_an_embedded_data_set_knows_horizon_and_season(call, tmp_path):
    code, out, _ = call(
        "backtest", "--dataset", "elnino", "--models", "seasonal_naive", "--windows", 2, "--plot", tmp_path / "b.png"
    )
    card = load_classic("elnino").card
    assert code == 0
    assert call("backtest", "--dataset", "elnino", "--models", "naive")[1].startswith("8 windows of 18 rows")
    assert out.startswith(f"2 windows of {card.horizon} rows")
    assert (tmp_path / "b.png").stat().st_size > 10_000


def test_backtest_takes_the_last_fifth_of_a_file(call, sales):
    assert call("backtest", sales, "--horizon", 2, "--models", "naive")[1].startswith("4 windows of 2 rows")
    assert call("backtest", sales, "--horizon", 2, "--step", 1, "--models", "naive")[1].startswith(
        "7 windows of 2 rows"
    )
    assert call("backtest", sales, "--horizon", 20, "--models", "naive")[1].startswith(
        "1 window of 20 rows, cutoff 2024-01-20"
    )


@pytest.mark.data
def test_backtest_follows_the_published_split(call, tmp_path, data_folder):
    path = tmp_path / "ett.parquet"
    code, out, _ = call(
        "backtest",
        "--dataset",
        "ETTh1",
        "--target",
        "OT",
        "--horizon",
        24,
        "--models",
        "seasonal_naive",
        "--output",
        path,
    )
    assert code == 0
    assert out.startswith("120 windows of 24 rows")
    frame = pd.read_parquet(path)
    y = load_ett("ETTh1").data["OT"]
    assert frame["time"].min() == y.index[11520]
    assert frame["time"].max() == y.index[14399]
    assert len(frame) == 2880
    changes = y[:8640].diff(24)
    reach = 1.2815515655446004 * np.sqrt((changes**2).mean())  # the variance of the train rows alone
    np.testing.assert_allclose(frame["hi-80"] - frame["mean"], reach, rtol=1e-9)
    mase = (frame["y"] - frame["mean"]).abs().mean() / changes.abs().mean()
    assert float(out.splitlines()[-1].split()[1]) == pytest.approx(mase, rel=1e-3)


@pytest.mark.data
def test_backtest_asks_for_the_target_of_several_columns(call, data_folder):
    code, _, err = call("backtest", "--dataset", "ETTh1", "--horizon", 24)
    assert code == 1
    assert "HUFL, HULL, MUFL, MULL, LUFL, LULL, OT" in err


# detect --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sensors(tmp_path_factory):
    """Files of training and new rows of three sensors, and the frames."""
    data, _ = make_sensors(900, 3, faults=["spike", "dropout"], random_state=1)
    data.iloc[700] = np.nan
    folder = tmp_path_factory.mktemp("sensors")
    data[:300].to_csv(folder / "train.csv")
    data[300:].to_csv(folder / "new.csv")
    data.to_csv(folder / "all.csv")
    return folder, data


def test_detect_gives_the_scores_of_the_library(call, sensors):
    folder, data = sensors
    code, out, err = call("detect", folder / "all.csv", "--train", 300, "--false-alarm-rate", 1e-4)
    assert (code, err) == (0, "")
    found = table(out)
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(data[:300])
    log_p = detector.score_samples(data)
    assert list(found) == ["time", "score", "p_value", "alert", "sensor", "observed", "expected", "lower", "upper"]
    assert found.loc[700, ["score", "p_value", "sensor", "observed", "expected"]].isna().all()
    seen = found.index != 700
    np.testing.assert_allclose(found["score"][seen], log_p[seen], rtol=1e-9)
    np.testing.assert_allclose(found["p_value"][seen], np.exp(log_p[seen]), rtol=1e-9)
    assert (found["alert"] == (detector.predict(data) < 0)).all()
    assert found["alert"].any()
    culprits = detector.explain(data).query("culprit").reset_index()
    assert found["sensor"][found["alert"]].tolist() == culprits["sensor"].tolist()
    np.testing.assert_allclose(found["observed"][found["alert"]], culprits["observed"])
    np.testing.assert_allclose(found["upper"][found["alert"]], culprits["upper"])


def test_alarms_may_be_asked_for_as_a_budget(call, sensors, tmp_path):
    folder, data = sensors
    rows = pd.Timedelta("1D") / (data.index[1] - data.index[0])
    share = repr(1 / rows)
    asked = call("detect", folder / "all.csv", "--train", 300, "--false-alarm-rate", "1/day")
    assert asked == call("detect", folder / "all.csv", "--train", 300, "--false-alarm-rate", share)
    elsewhere = call("detect", folder / "train.csv", "--train", folder / "new.csv", "--false-alarm-rate", "1/day")
    assert elsewhere == call("detect", folder / "train.csv", "--train", folder / "new.csv", "--false-alarm-rate", share)
    lines = data[300:].to_csv().encode()
    watched = ssmts_run("watch", "--fit", folder / "train.csv", "--false-alarm-rate", "1/day", input=lines)
    assert answers(watched)
    assert answers(watched) == answers(
        ssmts_run("watch", "--fit", folder / "train.csv", "--false-alarm-rate", share, input=lines)
    )
    for refused in [
        ["watch", "--false-alarm-rate", "1/day"],
        ["detect", folder / "all.csv", "--time", "none", "--false-alarm-rate", "1/day"],
    ]:
        code, out, err = call(*refused)
        assert (code, out) == (2, "")
        assert "needs rows with stamps" in err
    code, _, err = call("detect", folder / "all.csv", "--false-alarm-rate", "one a week")
    assert code == 2
    assert "neither a share nor a budget such as 1/week" in err


def test_detect_trained_on_another_file_goes_on_from_there(call, sensors):
    folder, _ = sensors
    whole = table(call("detect", folder / "all.csv", "--train", 300)[1])[300:].reset_index(drop=True)
    apart = table(call("detect", folder / "new.csv", "--train", folder / "train.csv")[1])
    pd.testing.assert_frame_equal(apart, whole)
    earlier = call("detect", folder / "train.csv", "--train", folder / "new.csv")
    assert earlier[0] == 0
    assert len(table(earlier[1])) == 300


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".json"])
def test_detect_tables_come_back_from_every_kind_of_file(call, sensors, tmp_path, ending):
    folder, _ = sensors
    path = tmp_path / f"out{ending}"
    call("detect", folder / "new.csv", "--sensors", "sensor_2", "--output", path, "--plot", tmp_path / "p.svg")
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}[ending]
    found, wanted = read(path), table(call("detect", folder / "new.csv", "--sensors", "sensor_2")[1])
    np.testing.assert_allclose(found["score"], wanted["score"], rtol=1e-12)
    assert (found["alert"] == wanted["alert"]).all()
    assert found["sensor"].dropna().unique().tolist() == ["sensor_2"]
    assert "<svg" in (tmp_path / "p.svg").read_text()


def test_detect_may_train_on_the_first_of_rows_that_are_only_numbered(call, sensors):
    folder, _ = sensors
    by_number, by_time = (
        table(call("detect", folder / "all.csv", "--train", 300, *more)[1]) for more in (["--time", "none"], [])
    )
    np.testing.assert_allclose(by_number["score"], by_time["score"], rtol=1e-9)


@pytest.mark.parametrize("detector", ["auto", "joint", "spread"])
def test_detect_fits_the_detector_that_is_named(call, sensors, detector):
    folder, data = sensors
    kind = {"auto": AutoDetector, "joint": JointDetector, "spread": SpreadDetector}[detector]
    found = table(call("detect", folder / "all.csv", "--train", 300, "--detector", detector)[1])
    fitted = kind(false_alarm_rate=1e-3).fit(data[:300])
    assert (found["alert"] == (fitted.predict(data) < 0)).all()
    # rows before those learnt from have no times among them: they are counted
    code, out, err = call("detect", folder / "train.csv", "--train", folder / "new.csv", "--detector", detector)
    assert (code, err, len(table(out))) == (0, "", 300)


def stacked(frame, path, names=("time", "sensor", "value")):
    """Write one value a row, in no order."""
    long = frame.rename_axis(names[0]).reset_index().melt(names[0], var_name=names[1], value_name=names[2]).dropna()
    long.sample(frac=1.0, random_state=0).to_csv(path, index=False)
    return path


def test_one_value_a_row_is_the_same_as_a_column_for_every_sensor(call, sensors, tmp_path):
    folder, data = sensors
    heard = data.dropna(how="all")  # a row without any value is not in such a file
    heard.to_csv(tmp_path / "wide.csv")
    columns = ["--sensors", *data.columns]
    wide = call("detect", tmp_path / "wide.csv", "--train", 300, *columns)
    assert call("detect", stacked(heard, tmp_path / "long.csv"), "--train", 300, *columns) == wide
    named = stacked(heard, tmp_path / "named.csv", ("time", "tag", "level"))
    assert call("detect", named, "--train", 300, "--long", "tag", "level", *columns) == wide
    apart = call("detect", named, "--train", folder / "train.csv", "--long", "tag", "level", *columns)
    assert apart == call("detect", tmp_path / "wide.csv", "--train", folder / "train.csv", *columns)
    one = call("detect", tmp_path / "long.csv", "--sensors", "sensor_2")
    assert one == call("detect", tmp_path / "wide.csv", "--sensors", "sensor_2")


def test_two_values_of_a_sensor_at_one_time_make_two_rows():
    frame = pd.DataFrame(
        {
            "time": ["2024-01-02", "2024-01-01", "2024-01-02", "2024-01-02"],
            "sensor_id": [7, 7, 7, 3],
            "y": [2.0, 1.0, 3.0, 9.0],
        }
    )
    rows = _tables.read_sensors(frame)
    expected = pd.DataFrame({"7": [1.0, 2.0, 3.0], "3": [np.nan, 9.0, np.nan]}, index=rows.index)
    pd.testing.assert_frame_equal(rows, expected)
    assert rows.index.tolist() == list(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-02"]))
    assert list(_tables.read_sensors(frame, sensors=["y"])) == ["y"]  # a column of the file is meant
    assert _tables.read_sensors(frame, stamped=False).index.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("time,sensor,value\n2024-01-01,a,1\n2024-01-02,,2\n", [], "Row 1 has no name in 'sensor'"),
        ("time,sensor,value\n2024-01-01,a,1\n2024-01-02,a,off\n", [], "'value' holds 'off'"),
        ("time,sensor,value\n2024-01-01,a,1\n,a,2\n", [], "stamp of row 1 is missing"),
        ("time,sensor,value\n2024-01-01,a,1\n", ["--time", "none"], "Name their column with --time"),
        ("time,sensor,value\n2024-01-01,a,1\n", ["--sensors", "b"], "no sensor 'b' in 'sensor'"),
        ("time,sensor,value\n2024-01-01,a,1\n", ["--long", "tag", "value"], "no column 'tag'.*Correct --long"),
        (
            "time,a,b\n2024-01-01,1,1\n2024-01-02,2,err\n2024-01-03,3,3\n",
            [],
            "'b' holds 'err' among its numbers, in row 1",
        ),
    ],
)
def test_sensors_that_cannot_be_read_are_refused(call, tmp_path, content, options, message):
    (tmp_path / "file.csv").write_text(content)
    code, out, err = call("detect", tmp_path / "file.csv", *options)
    assert (code, out) == (1, "")
    assert re.search(message, err)


def test_columns_of_text_are_no_sensors():
    frame = pd.DataFrame(
        {"time": ["2024-01-01", "2024-01-02"], "a": [1.0, 2.0], "state": ["on", "off"], "ok": [True, False]}
    )
    assert list(_tables.read_sensors(frame)) == ["a"]


# report --------------------------------------------------------------------------------------------------------------


def reported(path):
    """Facts and incidents of a page."""
    text = path.read_text()
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    return facts, re.findall(r'<tr data-id="(\w+)"', text)


def test_report_writes_the_incidents_of_the_library(call, sensors, tmp_path):
    folder, data = sensors
    page = tmp_path / "page.html"
    assert call("report", folder / "all.csv", "--html", page, "--train", 300, "--title", "Line <3>") == (0, "", "")
    facts, ids = reported(page)
    detector = InnovationDetector(false_alarm_rate=1e-3).fit(data[:300])
    assert ids == detector.incidents(data)["id"].tolist()
    assert facts["rows"] == "900 of 3 sensors"
    assert facts["trained on"].startswith("300 rows")
    assert "<h1>Line &lt;3&gt;</h1>" in page.read_text()


def test_report_by_another_file_a_model_or_numbers(call, sensors, tmp_path):
    folder, data = sensors
    page, model = tmp_path / "page.html", tmp_path / "model.ssmts"
    call("report", folder / "new.csv", "--html", page, "--train", folder / "train.csv")
    _, expected = reported(page)
    assert expected
    call("detect", folder / "train.csv", "--save", model)
    assert call("report", folder / "new.csv", "--html", page, "--model", model)[0] == 0
    assert reported(page)[1] == expected
    # a detector that counts rows: stamps are shown all the same
    call("report", folder / "train.csv", "--html", page, "--train", folder / "new.csv")
    assert reported(page)[0]["times"] == f"{data.index[0]} to {data.index[299]}"
    save(InnovationDetector(false_alarm_rate=1e-3).fit(data[:300].to_numpy()), model)
    assert call("report", folder / "new.csv", "--html", page, "--model", model)[0] == 0
    facts, ids = reported(page)
    assert len(ids) == len(expected)
    assert facts["times"].endswith(str(data.index[-1]))
    code, _, err = call("report", folder / "new.csv", "--html", page, "--model", model, "--sensors", "sensor_1")
    assert (code, "has 1 sensors, the model was fitted on 3" in err) == (1, True)


def test_report_refuses_rows_that_the_model_has_learnt(call, sensors, tmp_path):
    folder, data = sensors
    call("detect", folder / "all.csv", "--train", 300, "--save", tmp_path / "model.ssmts")
    code, _, err = call(
        "report", folder / "all.csv", "--html", tmp_path / "p.html", "--model", tmp_path / "model.ssmts"
    )
    assert (code, f"learnt rows until {data.index[299]}" in err) == (1, True)


def test_report_wants_a_page(call, sensors, tmp_path):
    code, _, err = call("report", sensors[0] / "all.csv", "--html", tmp_path / "page.png")
    assert (code, "must end in .html" in err) == (2, True)


# detect, refused -----------------------------------------------------------------------------------------------------


def test_detect_refuses_more_training_rows_than_there_are(call, sensors):
    for count in (301, 0, -5):
        code, _, err = call("detect", sensors[0] / "train.csv", "--train", count)
        assert code == 1
        assert f"--train {count}" in err
        assert "the file has 300" in err


# watch: real processes -----------------------------------------------------------------------------------------------


def answers(run):
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_watch_fitted_on_a_file_gives_the_scores_of_the_library(sensors):
    folder, data = sensors
    lines = data[300:].to_csv().splitlines()
    rng = np.random.default_rng(0)
    garbage = sorted(rng.choice(np.arange(1, len(lines)), size=6, replace=False).tolist(), reverse=True)
    for position in garbage:
        lines.insert(position, "\x00{garbage")
    run = ssmts_run(
        "watch", "--fit", folder / "train.csv", "--false-alarm-rate", "1e-4", input="\n".join(lines).encode()
    )
    assert run.returncode == 0
    found = answers(run)
    assert len(found) == 600
    assert [answer["time"] for answer in found] == data.index[300:].astype(str).tolist()
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(data[:300].to_numpy())
    log_p = detector.update(data[300:].to_numpy())
    assert [answer["status"] == "alert" for answer in found] == (log_p < detector.offset_).tolist()
    assert found[400]["status"] == "no-data"
    assert found[400]["p_value"] is None
    seen = np.arange(600) != 400
    np.testing.assert_allclose(
        np.array([a["p_value"] for a in found], dtype=float)[seen], np.exp(log_p[seen]), rtol=1e-12
    )
    *bad, summary = run.stderr.decode().splitlines()
    reported = [int(text.split("line ")[1].split(":")[0]) for text in bad]
    assert reported == [position + 1 + rank for rank, position in enumerate(sorted(garbage))]
    alerts = int((log_p < detector.offset_).sum())
    assert summary.startswith(f"ssmts watch: 607 lines, 600 readings, 6 bad, {alerts} alerts, ")


def test_watch_fitted_on_a_file_with_one_value_a_row(sensors, tmp_path):
    folder, data = sensors
    train, columns = stacked(data[:300], tmp_path / "train.csv"), ["--sensors", *data.columns]
    lines = data[300:400].to_csv().encode()
    found = answers(ssmts_run("watch", "--fit", train, *columns, input=lines))
    assert found == answers(ssmts_run("watch", "--fit", folder / "train.csv", input=lines))
    assert len(found) == 100


def test_watch_answers_each_line_before_the_next_is_written_and_ends_on_sigterm(tmp_path):
    process = start("watch", "--warmup", 20, "--save", tmp_path / "watch.ssmts")
    rng = np.random.default_rng(5)
    for t in range(30):
        process.stdin.write(b'{"time": %d, "a": %.6f}\n' % (t, rng.normal()))
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert answer["time"] == t
        assert answer["status"] == "warming" if t < 20 else answer["status"] in ("ok", "alert")
    process.stdin.write(b'{"time": 30, "a": 1')  # not finished when the signal comes
    process.stdin.flush()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"")
    assert err.decode().startswith("ssmts watch: 30 lines, 30 readings, 0 bad")
    later = ssmts_run("watch", "--model", tmp_path / "watch.ssmts", "--false-alarm-rate", "0.01", input=b"a\n0.1\n99\n")
    assert [answer["status"] for answer in answers(later)] == ["ok", "alert"]


def test_watch_tells_incidents(call, sensors):
    folder, data = sensors
    run = ssmts_run(
        "watch",
        "--fit",
        folder / "train.csv",
        "--from",
        folder / "new.csv",
        "--output",
        "incidents",
        "--incident",
        "gap=6",
    )
    told = [json.loads(line) for line in run.stdout.decode().splitlines()]
    found = InnovationDetector(false_alarm_rate=1e-3).fit(data[:300]).incidents(data[300:], gap=6)
    assert [each["sensor"] for each in told if each["change"] == "opened"] == found.sort_values("detected")[
        "sensor"
    ].tolist()
    assert {each["kind"] for each in told} >= {"spike", "dropout"}


def test_watch_fits_the_detector_that_is_named(sensors):
    folder, data = sensors
    run = ssmts_run("watch", "--detector", "auto", "--fit", folder / "train.csv", "--from", folder / "new.csv")
    detector = AutoDetector().fit(data[:300].to_numpy())
    found = np.array([answer["p_value"] for answer in answers(run)], dtype=float)
    log_p = detector.update(data[300:].to_numpy())
    seen = ~np.isnan(found)
    assert seen.sum() > 590
    np.testing.assert_allclose(found[seen], np.exp(log_p[seen]), rtol=1e-12)


def test_watch_interrupted_from_the_keyboard_leaves_with_130():
    process = start("watch", "--format", "csv")
    process.stdin.write(b"time,a\n0,1\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["status"] == "warming"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert err.decode() == "ssmts watch: 2 lines, 1 readings, 0 bad, 0 alerts, 0 incidents\n"


def test_watch_whose_answers_nobody_reads_leaves_with_141():
    process = start("watch")
    process.stdout.close()
    process.stdin.write(b'{"a": 1}\n')
    process.stdin.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 141
    assert err == "ssmts watch: 1 lines, 1 readings, 0 bad, 0 alerts, 0 incidents\n"


def test_watch_refusals(call, sensors, tmp_path, monkeypatch):
    folder, data = sensors
    monkeypatch.setattr("sys.stdin", open(folder / "new.csv", "rb"))  # noqa: SIM115
    save(Naive().fit(data["sensor_1"]), tmp_path / "naive.ssmts")
    code, _, err = call("watch", "--model", tmp_path / "naive.ssmts")
    assert (code, "holds a Naive, which detects nothing" in err) == (1, True)
    save(InnovationDetector(), tmp_path / "plain.ssmts")
    assert "is not fitted" in call("watch", "--model", tmp_path / "plain.ssmts")[2]
    save(InnovationDetector().fit(data[:300]), tmp_path / "three.ssmts")
    assert (
        "names 1 field(s), the model was fitted on 3"
        in call("watch", "--model", tmp_path / "three.ssmts", "--sensors", "a")[2]
    )
    assert call("watch", "--model", tmp_path / "three.ssmts", "--contamination", "0.1")[0] == 2
    code, _, err = call("watch", "--fit", folder / "train.csv", "--sensors", "sensor_9")
    assert (code, "no column 'sensor_9'" in err) == (1, True)
    sys.stdin.close()


def test_watch_that_ends_while_warming_has_nothing_to_save(tmp_path):
    run = ssmts_run("watch", "--save", tmp_path / "w.ssmts", input=b'{"a": 1}\n')
    assert run.returncode == 1
    assert len(answers(run)) == 1
    assert "within the warm-up" in run.stderr.decode()
    assert not (tmp_path / "w.ssmts").exists()


@pytest.mark.data
def test_watch_answers_every_line_of_a_nab_file(data_folder):
    path = (
        data_folder / "nab" / "data" / "realKnownCause" / "machine_temperature_system_failure.csv"
    )  # once goes back in time
    lines = path.read_bytes().splitlines(keepends=True)
    run = ssmts_run("watch", input=b"".join(lines))
    found = answers(run)
    assert run.returncode == 0
    assert len(found) == len(lines) - 1 == len(load_nab("machine_temperature_system_failure").data)
    assert [answer["time"].encode() for answer in found] == [line.split(b",")[0] for line in lines[1:]]
    assert {answer["status"] for answer in found} == {"warming", "ok", "alert"}


# the program ---------------------------------------------------------------------------------------------------------


def test_a_table_nobody_reads_leaves_with_141(sales):
    process = start("forecast", sales, "--horizon", 30000, "--model", "naive")
    process.stdin.close()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), err) == (141, b"")


def test_help_is_quick_because_it_imports_nothing_heavy():
    code = (
        "import sys, ssmts.cli\n"
        "try:\n    ssmts.cli.main(['forecast', '--help'])\n"
        "except SystemExit as stop:\n    print(stop.code, [m for m in ('numpy', 'pandas', 'sklearn', 'numba') if m in sys.modules])\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "0 []"
    assert "columns:" in out


@pytest.mark.parametrize("command", [[], ["forecast"], ["backtest"], ["detect"], ["report"], ["watch"]])
def test_help_fits_a_screen(call, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, out, _ = call(*command, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 120


def test_version(call):
    assert call("--version")[:2] == (0, f"ssmts {ssmts.__version__}\n")


def test_the_command_is_installed():
    name = Path(sys.executable).with_name("ssmts")
    assert os.access(name, os.X_OK)
    assert "ssmts " in subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
