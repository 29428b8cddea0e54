"""The library in two minutes: ``make demo``.

Backtests two forecasters on real series that come with the installation, draws what they say, then sends a stream of sensor readings with
faults of six kinds through ``ssmts watch``: a table of what was put in and what was found, pictures, and an HTML report. With the data
folder in ``SSMTS_DATA`` it adds an hourly transformer and an office's temperature.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd

from ssmts import InnovationDetector, SeasonalNaive, StructuralForecaster, backtest
from ssmts.datasets import load_classic, load_ett, load_nab, make_sensors
from ssmts.report import write_report

matplotlib.use("Agg")
OUT = Path("demo_output")


def save(axes, name):
    """Write the figure of some Axes into the output folder."""
    figure = (axes.ravel()[0] if hasattr(axes, "ravel") else axes).figure
    figure.savefig(OUT / name, dpi=110, bbox_inches="tight")
    plt.close(figure)
    print(f"  wrote {OUT / name}")


def candidates(season_length, **model):
    """The two forecasters to compare; a season of a fractional number of rows is counted whole by the naive one."""
    seasonal = None if season_length == 1 else season_length
    return {
        "SeasonalNaive": SeasonalNaive(season_length=round(season_length)),
        "StructuralForecaster": StructuralForecaster(season_length=seasonal, **model),
    }


def compare(name, y, horizon, season_length, n_windows, refit, **model):
    """Rows of the table for one series, one a forecaster."""
    rows = []
    for label, forecaster in candidates(season_length, **model).items():
        result = backtest(forecaster, y, horizon=horizon, n_windows=n_windows, refit=refit)
        scores = result.scores(season_length=round(season_length)).iloc[0]
        rows.append(
            {
                "series": name,
                "forecaster": label,
                "MASE": scores["mase"],
                "in 80 %": 100 * scores["coverage-80"],
                "in 95 %": 100 * scores["coverage-95"],
                "seconds": sum(result.seconds.values()),
            }
        )
    return rows


def backtests():
    """Rolling backtests on embedded series, and on ETTh1 where it is at hand."""
    models = {  # what is known of each series before looking at its last rows
        "co2": {"harmonics": 4},
        "elnino": {"trend": "fixed", "autoregressive": 1},  # a sea's temperature returns to its season
        "sunspots": {"trend": "fixed", "cycle": (8, 14)},  # a cycle of about eleven years about a constant level
    }
    rows = []
    for name, model in models.items():
        y, card = load_classic(name)
        rows += compare(f"{name} ({card.freq})", y, card.horizon, card.season_length, 5, True, **model)
    if os.environ.get("SSMTS_DATA"):
        frame, card = load_ett("ETTh1")
        test = card.split["test"]
        rows += compare(
            "ETTh1 OT (h), no refit", frame["OT"].iloc[test.start - 24 * 7 * 8 : test.stop], 24, 24, 100, False
        )
    table = pd.DataFrame(rows).set_index(["series", "forecaster"])
    print(
        "\nRolling backtests: MASE (below 1 beats the naive error in training), share of values inside the intervals\n"
    )
    print(table.round({"MASE": 3, "in 80 %": 1, "in 95 %": 1, "seconds": 2}).to_string(), "\n")


def pictures():
    """A forecast, its components, and a backtest."""
    y, card = load_classic("co2")
    model = StructuralForecaster(season_length=card.season_length, harmonics=4).fit(y)
    save(model.forecast(2 * card.horizon).plot(history=y[-260:]), "co2_forecast.png")
    save(model.decompose().plot(), "co2_components.png")
    sea, card = load_classic("elnino")
    result = backtest(
        StructuralForecaster("local_level", season_length=12), sea, horizon=card.horizon, n_windows=4, refit=False
    )
    save(result.plot(), "elnino_backtest.png")


def watch(train, stream, name):
    """Send a stream through `ssmts watch`, and return its incidents as they stood when they were last told of."""
    train.to_csv(OUT / f"{name}_train.csv")
    command = [sys.executable, "-m", "ssmts", "watch", "--fit", str(OUT / f"{name}_train.csv")]
    command += ["--false-alarm-rate", "1e-4", "--format", "csv", "--output", "both"]
    run = subprocess.run(command, input=stream.to_csv(), capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    print(run.stderr.strip(), "\n")
    assert sum("change" not in line for line in lines) == len(stream), "one answer a reading"
    incidents = pd.DataFrame({line["incident"]: line for line in lines if "change" in line}.values())
    for column in ("start", "detected", "last_seen"):
        incidents[column] = pd.to_datetime(incidents[column])
    return incidents


def beside(faults, incidents):
    """What was put in, and what was found of it: the incident of the sensor that has most in common with its time."""
    rows, used = [], set()
    for fault in faults.itertuples():
        shared = incidents["last_seen"].clip(upper=fault.end) - incidents["start"].clip(lower=fault.start)
        near = incidents[(incidents["sensor"] == fault.sensor) & (shared > -pd.Timedelta("1h"))]
        row = {"put in": fault.kind, "sensor": fault.sensor, "from": fault.start, "to": fault.end}
        if len(near):
            found = near.loc[shared[near.index].idxmax()]
            used.add(found.name)
            row |= {
                "found": found["kind"],
                "begins": found["start"],
                "ends": found["last_seen"],
                "noticed": found["detected"],
            }
        rows.append(row)
    return pd.DataFrame(rows), incidents.drop(index=list(used))


def stream():
    """An embedded stream with faults of all six kinds, and a NAB file where it is at hand."""
    data, faults = make_sensors(3000, 4, random_state=4)
    clean = len(data) // 3
    print("\nA stream of four sensors, each of six kinds of faults once, through `ssmts watch`\n")
    incidents = watch(data[:clean], data[clean:], "sensors")
    table, others = beside(faults, incidents)
    print(
        table.to_string(index=False, formatters=dict.fromkeys(("from", "to", "begins", "ends", "noticed"), short)), "\n"
    )
    right = int((table["put in"] == table["found"]).sum())
    print(f"  {right} of {len(table)} faults found and named, {len(others)} incident(s) besides\n")
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(data[:clean])
    save(detector.plot(data[clean:]), "sensors.png")
    save(detector.plot_attribution(data[clean:]), "sensors_blame.png")
    write_report(detector, data[clean:], OUT / "sensors.html", title="Four sensors, six faults")
    print(f"  wrote {OUT / 'sensors.html'}: open it in a browser\n")
    if os.environ.get("SSMTS_DATA"):
        value, card = load_nab("realKnownCause/ambient_temperature_system_failure")
        print("NAB ambient_temperature_system_failure: labelled windows\n")
        print(card.labels.to_string(index=False), "\n")
        told = watch(value[:1000].to_frame(), value[1000:].to_frame(), "nab")
        print(told[["start", "last_seen", "sensor", "kind", "severity", "p_value"]].to_string(index=False), "\n")


def short(time):
    """A stamp without what the table says anyway."""
    return "" if pd.isna(time) else f"{time:%d %b %H:%M}"


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    backtests()
    pictures()
    stream()
