"""The target transformation: direction, infinities, NaN, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import inv_boxcox
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, PowerTransformer, StandardScaler

from ssmts import Naive
from ssmts.exceptions import InputError, InputTypeError
from ssmts.target import TargetMap

LOG = FunctionTransformer(np.log, np.exp)


def y(n=30, columns=2):
    values = np.random.default_rng(0).lognormal(size=(n, columns))
    values[3, 0] = np.nan
    return values


@pytest.mark.parametrize(
    "transformer",
    [LOG, StandardScaler(), MinMaxScaler(), PowerTransformer(method="box-cox"), PowerTransformer()],
    ids=repr,
)
def test_there_and_back(transformer):
    values = y()
    fitted = TargetMap.fit(transformer, values)
    assert fitted.increasing.all()
    np.testing.assert_allclose(fitted.inverse(fitted.forward(values)), values, rtol=1e-9)
    ends = fitted.inverse(np.array([[np.inf, -np.inf], [np.nan, 0.0]]))
    assert np.isnan(ends[1, 0])
    assert ends[0, 1] < ends[1, 1]


def test_infinities_go_where_the_map_sends_them():
    np.testing.assert_array_equal(TargetMap.fit(LOG, y()).inverse(np.array([[-np.inf, np.inf]])), [[0.0, np.inf]])
    np.testing.assert_array_equal(
        TargetMap.fit(StandardScaler(), y()).inverse(np.array([[-np.inf, np.inf]])), [[-np.inf, np.inf]]
    )
    reciprocal = TargetMap.fit(FunctionTransformer(np.negative, np.negative), y())
    assert not reciprocal.increasing.any()
    np.testing.assert_array_equal(reciprocal.inverse(np.array([[-np.inf, np.inf]])), [[np.inf, -np.inf]])


def test_box_cox_is_fitted_for_each_series_and_inverted_as_scipy_does():
    values = y(200, 1)
    fitted = TargetMap.fit(PowerTransformer(method="box-cox", standardize=False), values)
    z = np.linspace(-0.5, 0.5, 5)[:, None]
    np.testing.assert_allclose(fitted.inverse(z), inv_boxcox(z, fitted.transformer.lambdas_[0]))


@pytest.mark.parametrize("wrong", ["log", np.log, Naive()])
def test_what_has_no_inverse_is_refused_with_an_example(wrong):
    with pytest.raises(InputTypeError, match=r"FunctionTransformer\(np.log, np.exp\); received"):
        Naive(target_transform=wrong).fit(np.array([1.0, 2.0, 3.0]))


def test_refusals():
    with pytest.raises(InputError, match="not monotone"):
        TargetMap.fit(FunctionTransformer(np.sin, np.arcsin, check_inverse=False), np.linspace(0, 6, 20)[:, None])
    with pytest.raises(InputError, match=r"row 2"):
        TargetMap.fit(LOG, np.array([[1.0], [2.0], [-1.0]]))
    with pytest.raises(InputError, match="column by column"):
        TargetMap.fit(FunctionTransformer(lambda v: v[:, :1]), y())
    f = Naive(target_transform=LOG).fit(np.array([1.0, 2.0, 3.0]))
    with pytest.raises(InputError, match="target_transform"):
        f.update(np.array([-1.0]))
    assert f.predict(1)[0] > 3


def test_refusals_name_the_stamp():
    values = pd.Series([1.0, 2, 3, 4, -5, 6], pd.date_range("2024-01-01", periods=6)).drop(pd.Timestamp("2024-01-03"))
    with pytest.raises(InputError, match="2024-01-05"):
        Naive(target_transform=LOG).fit(values)
    with pytest.raises(InputError, match=r"series 'p' \(2024-01-05\)"):
        Naive(target_transform=LOG).fit(pd.concat({"p": values[:3]})).update(pd.concat({"p": values[3:]}))
    with pytest.raises(InputError, match="row 2"):
        Naive(target_transform=LOG).fit(np.array([1.0, 2.0])).update(np.array([-1.0]))


def test_nan_stay_nan_or_are_refused():
    """A transformer that fills them does not invent readings; one that cannot bear them is named."""
    values = np.array([1.0, np.nan, 3.0, np.nan])
    filling = FunctionTransformer(np.nan_to_num, np.positive, check_inverse=False)
    f = Naive(target_transform=filling).fit(values)
    assert f.predict(1)[0] == pytest.approx(3.0, rel=1e-12)
    picky = FunctionTransformer(np.positive, np.positive, validate=True, check_inverse=False)
    with pytest.raises(InputError, match="refuses y: Input X contains NaN"):
        Naive(target_transform=picky).fit(values)
