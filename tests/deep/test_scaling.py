"""Normalisation of windows against pandas, and what it must not change."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.deep.scaling import NORMALIZATIONS, normalise
from ssmts.exceptions import InputError


def window(seed, missing=0.3, shape=(3, 2, 12)):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * 3 + 5
    x[rng.random(shape) < missing] = np.nan
    return torch.from_numpy(x)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.9])
def test_every_kind_against_pandas(kind, missing):
    x = window(3, missing)
    found = normalise(x, kind)
    for b in range(3):
        for c in range(2):
            row = pd.Series(x[b, c].numpy())
            last = row.ffill().iloc[-1]
            known = row.notna().any()
            location = (
                {"last": last, "mean": row.mean(), "standardize": row.mean(), "none": 0.0}[kind] if known else 0.0
            )
            scale = max(row.std(ddof=0), 0.01) if kind == "standardize" and row.count() > 1 else 1.0
            assert found.location[b, c].item() == pytest.approx(location)
            assert found.scale[b, c].item() == pytest.approx(scale)
            want = ((row.ffill() - location) / scale).fillna(0.0)
            np.testing.assert_allclose(found.values[b, c], want, atol=1e-12)
            np.testing.assert_array_equal(found.observed[b, c], row.notna())


@settings(deadline=None)
@given(seed=st.integers(0, 50), shift=st.floats(-100, 100), factor=st.floats(0.1, 10))
def test_windows_at_another_height_look_the_same(seed, shift, factor):
    x = window(seed)
    for kind in ("last", "mean"):
        torch.testing.assert_close(normalise(x + shift, kind).values, normalise(x, kind).values)
    moved = normalise(factor * x + shift, "standardize")
    torch.testing.assert_close(moved.values, normalise(x, "standardize").values, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_a_window_without_values_and_one_that_is_flat(kind):
    empty = normalise(torch.full((1, 1, 5), torch.nan), kind)
    assert not empty.values.any()
    assert not empty.observed.any()
    assert empty.location.item() == 0
    assert empty.scale.item() == 1
    flat = normalise(torch.full((1, 1, 5), 2.0), kind)
    assert torch.isfinite(flat.values).all()
    assert flat.location.item() == (0 if kind == "none" else 2)


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(InputError, match="'last', 'mean', 'standardize', 'none'"):
        normalise(torch.zeros(1, 1, 3), "minmax")
