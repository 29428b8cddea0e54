"""All data sets in one table, and one loader for every name."""

from __future__ import annotations

import pandas as pd

from ._asd import load_asd
from ._card import Dataset
from ._catalogue import entries, file_of, match
from ._classic import load_classic
from ._ett import load_ett
from ._files import on_disk
from ._monash import load_monash
from ._nab import load_nab
from ._skab import load_skab

LOADERS = {
    "asd": load_asd,
    "classic": load_classic,
    "ett": load_ett,
    "monash": load_monash,
    "nab": load_nab,
    "skab": load_skab,
}
SHOWN = ["n_series", "freq", "season_length", "horizon", "description"]


def list_datasets(family: str | None = None) -> pd.DataFrame:
    """List every data set that can be loaded.

    Parameters
    ----------
    family : {"asd", "classic", "ett", "monash", "nab", "skab"} or None, default None
        List one family only.

    Returns
    -------
    DataFrame
        Index (family, name). ``on_disk`` says that no download is needed; the other columns are those of `Card`,
        missing where only the file itself can tell.

    Examples
    --------
    >>> from ssmts.datasets import list_datasets
    >>> list_datasets("classic").loc[("classic", "co2"), "freq"]
    'W-SAT'
    """
    families = LOADERS if family is None else [match(family, LOADERS, "family of data sets")]
    rows = {(kind, name): entry for kind in families for name, entry in entries()[kind].items()}
    paths = {key: file_of(*key) for key in rows}
    table = pd.DataFrame.from_dict({key: {"n_series": 1, **rows[key]} for key in rows}, orient="index")
    table.index = pd.MultiIndex.from_tuples(list(rows), names=["family", "name"])
    table.insert(0, "on_disk", [path is None or on_disk(path) is not None for path in paths.values()])
    return table.reindex(columns=["on_disk", *SHOWN])


def load_dataset(name: str, *, progress: bool = False) -> Dataset:
    """Load a data set of any family by its name.

    Parameters
    ----------
    name : str
        As the family's own loader takes it, or with the family before it: ``"ETTh1"``, ``"nab/nyc_taxi"``, ``"nile"``.
    progress : bool, default False
        Show a bar if a file has to be downloaded.

    Returns
    -------
    Dataset
        Data and card.

    Raises
    ------
    InputError
        No data set has this name.
    DataUnavailableError
        The file is neither on disk nor could it be downloaded.

    Examples
    --------
    >>> from ssmts.datasets import load_dataset
    >>> load_dataset("nile").card.family
    'classic'
    """
    family, _, rest = str(name).partition("/")
    if family.lower() in LOADERS:
        return LOADERS[family.lower()](rest, progress=progress)
    homes = {known: kind for kind in LOADERS for known in entries()[kind]}
    found = match(name, homes, "data set")
    return LOADERS[homes[found]](found, progress=progress)
