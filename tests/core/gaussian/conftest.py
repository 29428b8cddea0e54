import pytest
import statsmodels.api as sm


@pytest.fixture
def nile():
    """Flow of the Nile at Aswan 1871-1970, one column."""
    return sm.datasets.nile.load_pandas().data["volume"].to_numpy(dtype=float)[:, None].copy()
