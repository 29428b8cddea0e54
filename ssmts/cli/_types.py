"""Texts on the command line, checked: counts, shares, lengths of time, file names."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = [
    "PAGES",
    "PICTURES",
    "TABLES",
    "count",
    "length",
    "level",
    "page",
    "picture",
    "port",
    "rate",
    "season",
    "table",
    "writable",
]

TABLES = (".csv", ".parquet", ".json")
PICTURES = (".png", ".svg", ".pdf")
PAGES = (".html", ".htm")


def count(text: str) -> int:
    """A whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def season(text: str) -> float:
    """Rows in a season."""
    number = _number(text)
    if not 1 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"a season has more than 1 row, not {text}")
    return int(number) if number == int(number) else number


def level(text: str) -> float:
    """A level of an interval in per cent."""
    number = _number(text)
    if not 1 <= number < 100:
        raise argparse.ArgumentTypeError(f"a level is a per cent from 1 to below 100 (80, not 0.8), not {text}")
    return number


def rate(text: str) -> float:
    """A share."""
    number = _number(text)
    if not 0 < number <= 0.5:
        raise argparse.ArgumentTypeError(f"a share is above 0 and at most 0.5, not {text}")
    return number


def alarm_rate(text: str) -> float | str:
    """A share, or a budget of false alarms such as "1/week", which stamps turn into a share."""
    if not any(each.isalpha() for each in text.lower().replace("e", "")):
        return rate(text)
    from .._budget import alarm_share
    from ..exceptions import InputError

    try:
        alarm_share(text, interval=1e-9)
    except InputError:
        raise argparse.ArgumentTypeError(f"neither a share nor a budget such as 1/week: {text}") from None
    return text


def length(text: str) -> float:
    """Seconds of a length of time."""
    from ..stream.clock import seconds_of

    try:
        return seconds_of(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time such as 60s, 500ms, 5m or 1h") from None


def port(text: str) -> int:
    """A port; 0 is any that is free."""
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to 65535")
    return int(text)


def writable(text: str) -> str:
    """A file name in a folder that is there, so that nothing is computed in vain."""
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(Path(text).parent)!r}")
    if Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; name a file in it")
    return text


def table(text: str) -> str:
    """The name of a table that can be written."""
    return _of_kind(text, TABLES)


def picture(text: str) -> str:
    """The name of a picture that can be written."""
    return _of_kind(text, PICTURES)


def page(text: str) -> str:
    """The name of a page that can be written."""
    return _of_kind(text, PAGES)


def _of_kind(text: str, endings: tuple[str, ...]) -> str:
    if Path(text).suffix.lower() not in endings:
        raise argparse.ArgumentTypeError(f"{text!r} must end in {', '.join(endings)}, which says the kind of file")
    return writable(text)
