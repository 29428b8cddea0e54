"""The names that can be loaded, and their entries in ``cards.toml``."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from ..exceptions import InputError
from ._files import on_disk, origins

ENDINGS = {"nab": ("nab/data/", ".csv"), "skab": ("skab/data/", ".csv")}


@cache
def entries() -> dict[str, dict[str, dict[str, Any]]]:
    """Every data set: family, then name, then what is known of it without opening a file."""
    known: dict[str, Any] = tomllib.loads(Path(__file__).with_name("cards.toml").read_text(encoding="utf-8"))
    for family, (folder, ending) in ENDINGS.items():
        paths = (path for path in origins() if path.startswith(folder) and path.endswith(ending))
        names = [path.removeprefix(folder).removesuffix(ending) for path in paths]
        groups = known[family]["groups"]
        known[family] = {name: {"description": groups[name.partition("/")[0]]} for name in names}
    return known


def file_of(family: str, name: str) -> str | None:
    """Path of a data set's file under the data folder; None for one that comes with statsmodels."""
    entry = entries()[family][name]
    if family == "classic":
        return f"classics/{entry['file']}" if "file" in entry else None
    if family == "monash":
        return f"monash/{entry.get('file', f'{name}_dataset.tsf')}"
    if family == "asd":
        return "asd/asd.npz" if on_disk("asd/asd.npz") is not None else f"asd/processed/{name}_train.pkl"
    folder, ending = ENDINGS.get(family, (f"{family}/", ".csv"))
    return f"{folder}{name}{ending}"


def match(name: str, known: Iterable[str], kind: str) -> str:
    """The known name that equals ``name``, or its last part where only one name ends so; capitals aside."""
    names = {full.lower(): full for full in known}
    low = str(name).lower()
    ends = [full for key, full in names.items() if key.rpartition("/")[2] == low]
    if low in names:
        return names[low]
    if len(ends) == 1:
        return ends[0]
    close = ends or [names[key] for key in difflib.get_close_matches(low, names, n=3)] or list(names.values())
    raise InputError(
        f"There is no {kind} named {name!r}. Pass one of {', '.join(close)}; list_datasets() has all names."
    )
