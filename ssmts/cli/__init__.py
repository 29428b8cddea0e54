"""The command ``ssmts``: arguments in, files, tables and exit codes out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .. import __version__
from . import _arguments as arguments

__all__ = ["main"]

REFUSED, USAGE, INTERRUPTED, NO_READER = 1, 2, 130, 141

DESCRIPTION = "Forecast time series, backtest forecasters, and watch sensors for anomalies, with state-space models."
EPILOG = """\
examples:
  ssmts forecast sales.csv --horizon 12 --season 12 --plot sales.png
  ssmts backtest --dataset elnino
  ssmts detect machine.csv --train 1000 --output alerts.csv
  ssmts report machine.csv --train 1000 --html machine.html
  tail -f readings.ndjson | ssmts watch --fit normal.csv

exit codes:
  0    done; a watch also ends so on SIGTERM
  1    the data, a file or the model was refused; the reason stands on standard error
  2    wrong usage
  130  interrupted from the keyboard
  141  who read the output has gone (as in `ssmts ... | head`)
"""


def main(argv: Sequence[str] | None = None) -> int:
    r"""Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the name of the program; those of the process unless given.

    Returns
    -------
    int
        0 done, 1 data, file or model refused, 130 interrupted, 141 output not read to its end. Wrong usage leaves with
        ``SystemExit(2)``, as argparse does.

    Examples
    --------
    >>> import os, tempfile
    >>> from ssmts.cli import main
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "sales.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("month,sales\n2024-01,6\n2024-02,6\n2024-03,6\n")
    ...     main(["forecast", path, "--time", "month", "--horizon", "1", "--model", "naive", "--level", "80"])
    month,mean,lo-80,hi-80
    2024-04-01,6.0,6.0,6.0
    0
    """
    options = parser().parse_args(argv)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        forget_stdout()
        return NO_READER
    except Exception as error:
        if not _is_refusal(error):
            raise
        print(f"ssmts {options.command}: {_message(error)}", file=sys.stderr)
        return REFUSED


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    raw = argparse.RawDescriptionHelpFormatter
    whole = argparse.ArgumentParser("ssmts", description=DESCRIPTION, epilog=EPILOG, formatter_class=raw)
    whole.add_argument("--version", action="version", version=f"ssmts {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    for add in (
        arguments.add_forecast,
        arguments.add_backtest,
        arguments.add_detect,
        arguments.add_report,
        arguments.add_watch,
    ):
        add(commands)
    return whole


def forget_stdout() -> None:
    """Let what is still buffered for a reader that has gone go nowhere, so that the interpreter ends quietly."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # no real file
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _is_refusal(error: Exception) -> bool:
    """Whether an error is about what was handed in, and not about this library."""
    if isinstance(error, OSError):
        return True
    if isinstance(error, ImportError):  # an extra is not installed
        return not (error.name or "").startswith("ssmts")
    from sklearn.exceptions import NotFittedError

    from ..exceptions import SsmtsError

    return isinstance(error, SsmtsError | NotFittedError)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
