"""Public data sets with their cards, and a generator of sensor streams with known faults.

A loader takes a file from the folder that the environment variable ``SSMTS_DATA`` names, else from the cache
(``SSMTS_CACHE``, by default the platform's), else from its public origin, checked against the SHA-256 of the published
bytes.
"""

from ._asd import load_asd
from ._card import Card, Dataset
from ._classic import load_classic
from ._ett import load_ett
from ._monash import load_monash, read_tsf
from ._nab import load_nab
from ._sensors import Sensors, make_sensors
from ._skab import load_skab
from ._table import list_datasets, load_dataset

__all__ = [
    "Card",
    "Dataset",
    "Sensors",
    "list_datasets",
    "load_asd",
    "load_classic",
    "load_dataset",
    "load_ett",
    "load_monash",
    "load_nab",
    "load_skab",
    "make_sensors",
    "read_tsf",
]
