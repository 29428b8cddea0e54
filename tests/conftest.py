"""Shared fixtures, and the rule for tests that need real data: skipped by name without it, failing where it must be there."""

import hashlib
import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# numba does not notice a change in a function imported from another file, so the cache is keyed on all kernels.
if "NUMBA_CACHE_DIR" not in os.environ:
    sources = (path.read_bytes() for path in sorted((ROOT / "ssmts").rglob("*.py")))
    key = hashlib.sha256(b"".join(text for text in sources if b"numba" in text)).hexdigest()[:16]
    os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".numba_cache" / key)

# Networks of the tests are small and workers many: threads of torch would wait for each other, ten times as long as they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A run in the background of a shell inherits an ignored SIGINT, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = os.environ.get("SSMTS_DATA")


def pytest_collection_modifyitems(items):
    if DATA and Path(DATA).is_dir():
        return
    if os.environ.get("SSMTS_REQUIRE_DATA"):
        raise pytest.UsageError(f"SSMTS_REQUIRE_DATA is set but SSMTS_DATA={DATA!r} is no folder")
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason="needs the real data sets: set SSMTS_DATA to their folder"))


@pytest.fixture(scope="session")
def data_folder():
    """The folder that SSMTS_DATA names; use it in tests marked `data`."""
    assert DATA, "a test that asks for data_folder must carry the marker `data`"
    return Path(DATA)
