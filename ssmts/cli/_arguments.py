"""The arguments of every command, and nothing that takes long to import."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any

from ._types import TABLES, alarm_rate, count, level, page, picture, rate, season, table, writable
from ._watch_arguments import DETECTORS, WATCH, WATCH_NOTES, add_watch_arguments

__all__ = ["add_backtest", "add_detect", "add_forecast", "add_report", "add_watch"]

FALSE_ALARM_RATE = 1e-3
MODELS = ("structural", "seasonal_naive", "naive")

COLUMNS = """\
columns:
  The file is CSV (comma, semicolon, tab or bar; .gz and the like are unpacked) or Parquet; - reads CSV
  from standard input, with a header line. Empty fields are missing values; where commas separate no fields
  they may be decimal ones.
  Stamps are the column given by --time, else the one named ds, time, timestamp, date or datetime, else
  the only column of text that reads as dates. Without one, rows are numbered, as by --time none.
  In 1.2.2024 the day stands first; 1/2/2024 is read so that the stamps are regular, and refused if both are.
"""
TARGET = """\
  Stamps increase, on a regular grid from which rows may be absent.
  A column unique_id, or the one given by --id, tells several series apart. What is forecast is the column
  given by --target, else y or value, else the only column of numbers; other columns are not used.
"""
SENSORS = """\
  Stamps may be irregular or twice the same, but do not decrease.
  Every other column of numbers is a sensor, unless --sensors names them.
  A file with one value a row names the sensor in a column sensor (sensor_id, unique_id) and has its value in
  value (y), or in those that --long names. Values with the same stamp make a row, whatever their order.
"""

FORECAST = """\
Forecast the rows after the last one of each series: mean and central intervals, as CSV on standard
output or as the file that --output names.
"""
BACKTEST = """\
Forecast from many cutoffs in the past, set the forecasts against what came, and print one table: errors
(MASE is relative to the seasonal naive error in the training rows; MAE; sMAPE; CRPS), the share of values
inside each interval in per cent, and seconds.
"""
WINDOWS = """\
windows:
  Windows of --horizon rows start every --step rows, and the last one ends at the last row. Models are
  fitted once, on the rows before the first window, and then only take up new rows; --refit fits again in
  every window. Unless --windows says how many there are:
  - a data set with published train and test rows is fitted on the train rows, takes up those between, and
    is scored on every window of the test rows (with --refit, or of many series, as below);
  - of anything else, as many windows as fit into the last fifth of the rows, 100 at most.
"""
DETECT = """\
Score the rows of a file, one after the other, and say which are in alarm: CSV on standard output, or the
file that --output names. Its columns are score (the logarithm of p_value), p_value, alert, sensor (the one
that adds most), and the observed, expected, lower and upper value of that sensor.
"""
REPORT = """\
Write one HTML page about the rows of a file, readable without a network: a table of incidents (one row for
one fault, with a guess at its kind), the readings of every sensor with expected range and incidents, to be
zoomed, and a heat map of who is to blame.
"""
TRAINING = """\
training:
  With --train ROWS the first rows are training rows and are scored too. With --train FILE the rows of FILE
  go on after those of the training file, at their stamps if these are later, else one usual step later.

"""


def add_forecast(commands: Any) -> None:
    """Add ``ssmts forecast``."""
    command = _add(commands, "forecast", "forecast a file", FORECAST, COLUMNS + TARGET)
    command.add_argument("file", metavar="FILE", help="CSV or Parquet; - for CSV on standard input")
    command.add_argument("--horizon", "-H", type=count, required=True, help="rows to forecast")
    _add_season(command, "rows in a season, several for several seasons; none unless given")
    command.add_argument(
        "--model",
        choices=MODELS,
        default="structural",
        help="default: structural; seasonal_naive takes the first season, in whole rows",
    )
    _add_series(command)
    _add_levels(command)
    _add_files(command, "the table, instead of CSV on standard output")
    command.add_argument("--save", type=writable, metavar="FILE", help="save the fitted model, for ssmts.load")


def add_backtest(commands: Any) -> None:
    """Add ``ssmts backtest``."""
    command = _add(commands, "backtest", "compare forecasters on the past", BACKTEST, WINDOWS + "\n" + COLUMNS + TARGET)
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("file", metavar="FILE", nargs="?", help="CSV or Parquet; - for CSV on standard input")
    source.add_argument(
        "--dataset", metavar="NAME", help="a data set of ssmts.datasets, such as elnino, ETTh1, nab/nyc_taxi"
    )
    command.add_argument("--horizon", "-H", type=count, help="rows in a window; that of the data set unless given")
    _add_season(command, "rows in a season, several for several seasons; that of the data set unless given")
    command.add_argument(
        "--models",
        nargs="+",
        choices=MODELS,
        metavar="MODEL",
        help=f"of {', '.join(MODELS)}; default: structural, and seasonal_naive if there is a season, else naive",
    )
    command.add_argument("--windows", type=count, metavar="N", help="number of windows, see below")
    command.add_argument("--step", type=count, help="rows from one window to the next; the horizon unless given")
    command.add_argument("--refit", action="store_true", help="fit again in every window")
    _add_series(command)
    _add_levels(command)
    _add_files(command, "every forecast beside what came, of all models", "the first model's forecasts")


def add_detect(commands: Any) -> None:
    """Add ``ssmts detect``."""
    command = _add(commands, "detect", "find anomalies in a file", DETECT, TRAINING + COLUMNS + SENSORS)
    command.add_argument("file", metavar="FILE", help="CSV or Parquet; - for CSV on standard input")
    command.add_argument(
        "--train",
        metavar="ROWS|FILE",
        help="learn from the first ROWS rows, or from another file; from all rows unless given",
    )
    _add_detector(command)
    _add_alarm(command)
    command.add_argument("--time", metavar="COLUMN", help="column of stamps, or none")
    command.add_argument("--sensors", nargs="+", metavar="COLUMN", help="columns to watch")
    command.add_argument("--long", nargs=2, metavar=("SENSOR", "VALUE"), help="columns of a file with one value a row")
    _add_files(command, "the table, instead of CSV on standard output")
    command.add_argument("--save", type=writable, metavar="FILE", help="save the detector, for watch --model")


def add_report(commands: Any) -> None:
    """Add ``ssmts report``."""
    command = _add(
        commands, "report", "write a page about the incidents in a file", REPORT, TRAINING + COLUMNS + SENSORS
    )
    command.add_argument("file", metavar="FILE", help="CSV or Parquet; - for CSV on standard input")
    command.add_argument("--html", type=page, required=True, metavar="FILE", help="the page to write: .html")
    known = command.add_mutually_exclusive_group()
    known.add_argument(
        "--train",
        metavar="ROWS|FILE",
        help="learn from the first ROWS rows, or from another file; from all rows unless given",
    )
    known.add_argument("--model", metavar="FILE", help="a detector that --save or ssmts.save has written")
    _add_detector(command)
    _add_alarm(command)
    command.add_argument("--time", metavar="COLUMN", help="column of stamps, or none")
    command.add_argument("--sensors", nargs="+", metavar="COLUMN", help="columns to watch")
    command.add_argument("--long", nargs=2, metavar=("SENSOR", "VALUE"), help="columns of a file with one value a row")
    command.add_argument("--title", help="heading of the page; the name of the file unless given")


def add_watch(commands: Any) -> None:
    """Add ``ssmts watch``."""
    command = _add(commands, "watch", "watch a stream of readings", WATCH, WATCH_NOTES)
    add_watch_arguments(command, _add_alarm)


def _add(commands: Any, name: str, help: str, description: str, epilog: str) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=description, epilog=epilog, formatter_class=raw
    )
    command.set_defaults(run=_later(name), refuse_usage=command.error)
    return command


def _later(name: str) -> Callable[[argparse.Namespace], int]:
    """Run a command whose module is imported only then."""

    def run(options: argparse.Namespace) -> int:
        code: int = importlib.import_module(f"ssmts.cli._{name}").run(options)
        return code

    return run


def _add_season(command: argparse.ArgumentParser, help: str) -> None:
    command.add_argument("--season", "-S", type=season, nargs="+", metavar="S", help=help)


def _add_series(command: argparse.ArgumentParser) -> None:
    command.add_argument("--target", metavar="COLUMN", help="column to forecast")
    command.add_argument("--time", metavar="COLUMN", help="column of stamps, or none")
    command.add_argument("--id", metavar="COLUMN", help="column that names the series")
    command.add_argument(
        "--freq", help="frequency of the rows, as pandas writes it; found from the stamps unless given"
    )


def _add_levels(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--level", type=level, nargs="+", default=[80.0, 95.0], metavar="PERCENT", help="intervals; default: 80 95"
    )


def _add_detector(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--detector", choices=tuple(DETECTORS), default="innovation", help="what is fitted; default: innovation"
    )


def _add_alarm(command: argparse.ArgumentParser) -> None:
    level_by = command.add_mutually_exclusive_group()
    help = f"share of normal rows that may alarm, or a budget such as 1/week; default: {FALSE_ALARM_RATE:g}"
    level_by.add_argument("--false-alarm-rate", type=alarm_rate, metavar="RATE", help=help)
    level_by.add_argument(
        "--contamination", type=rate, metavar="SHARE", help="share of the training rows that are anomalies"
    )


def _add_files(command: argparse.ArgumentParser, output: str, drawn: str = "it") -> None:
    command.add_argument(
        "--plot", type=picture, metavar="FILE", help=f"draw {drawn}: .png, .svg or .pdf (needs matplotlib)"
    )
    command.add_argument("--output", "-o", type=table, metavar="FILE", help=f"write {output}: {', '.join(TABLES)}")
