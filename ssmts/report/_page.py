"""The page of a report: everything in one file, and everything that came from outside escaped."""

from __future__ import annotations

import json
import math
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import pandas as pd

__all__ = ["page"]

COLUMNS = {  # heading and what it is sorted by
    "kind": "kind",
    "sensors": "sensor",
    "severity": "severity",
    "start": "start",
    "end": "end",
    "deviation": "deviation",
    "observed": "observed",
    "usual range": "expected",
    "p-value": "p_value",
    "most to blame": "blame",
}
SEVERITIES = ("minor", "major", "critical")


def page(title: str, facts: dict[str, str], incidents: pd.DataFrame, payload: dict[str, Any]) -> str:
    """Fill the template."""
    here = files(__package__)
    heads = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in COLUMNS)
    rows = "".join(_row(number, each) for number, each in enumerate(incidents.to_dict("records")))
    none = f'<tr><td colspan="{len(COLUMNS)}">no incidents</td></tr>'
    return Template(here.joinpath("page.html").read_text()).substitute(
        title=escape(title),
        facts="".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items()),
        heads=heads,
        rows=rows or none,
        style=here.joinpath("page.css").read_text(),
        script=here.joinpath("page.js").read_text(),
        data=_json(payload),
    )


def _json(payload: dict[str, Any]) -> str:
    """JSON that ends no script element, whatever a sensor is called."""
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _row(number: int, incident: dict[Any, Any]) -> str:
    kind = str(incident["kind"]).replace("_", " ")
    sensors = ", ".join(str(name) for name in incident["sensors"])
    blame = ", ".join(f"{name} {share:.0%}" for name, share in incident["contributors"])
    over = not _absent(incident["end"])
    cells = [
        (kind, f'<button type="button" class="show" data-incident="{number}">{escape(kind)}</button>'),
        (sensors, escape(sensors)),
        (SEVERITIES.index(incident["severity"]), f'<span class="{incident["severity"]}">{incident["severity"]}</span>'),
        (incident["start"], escape(_time(incident["start"]))),
        (incident["end"] if over else "~", escape(_time(incident["end"])) if over else incident["status"]),
        (incident["deviation"], _number(incident["deviation"], "+.1f", " σ")),
        (incident["observed"], _number(incident["observed"])),
        (incident["expected"], _range(incident)),
        (incident["p_value"], _number(incident["p_value"], ".2g")),
        (blame, escape(blame)),
    ]
    return f'<tr data-id="{incident["id"]}">' + "".join(_cell(value, html) for value, html in cells) + "</tr>"


def _cell(value: Any, html: str) -> str:
    """A cell of the table, with what it is sorted by."""
    number = isinstance(value, int | float)
    key = "" if _absent(value) else repr(float(value)) if number else str(value)
    return f'<td data-key="{escape(key)}"{" class=number" if isinstance(value, float) else ""}>{html}</td>'


def _absent(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)) or value is pd.NA


def _time(value: Any) -> str:
    return value.isoformat(" ", "seconds") if isinstance(value, pd.Timestamp) else str(value)


def _number(value: float, form: str = ".5g", unit: str = "") -> str:
    return "" if _absent(value) else f"{value:{form}}{unit}"


def _range(incident: dict[str, Any]) -> str:
    return "" if _absent(incident["lower"]) else f"{_number(incident['lower'])} to {_number(incident['upper'])}"
