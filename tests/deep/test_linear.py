"""A linear network is a linear Gaussian model: the Kalman filter says what the network says, and goes on through missing rows."""

import numpy as np
import pandas as pd
import pytest
import torch

from ssmts import KalmanFilter, SpaceTimeForecaster
from ssmts.core.gaussian import filter as kalman
from ssmts.core.gaussian import forecast
from ssmts.deep.layers import ClosedLoopCompanion, Companion
from ssmts.deep.linear import innovations_model
from ssmts.exceptions import InputError

LINEAR = {
    "context_length": 24,
    "horizon": 2,
    "n_layers": 0,
    "width": 1,
    "state_size": 6,
    "normalization": "none",
    "loss": "mse",
    "loss_weights": (0.0, 1.0, 0.0),
    "dropout": 0.0,
    "learning_rate": 0.02,
    "max_epochs": 3,
    "batches_per_epoch": 20,
    "random_state": 0,
    "n_threads": 1,
}


def autoregression(n=400, seed=0):
    """AR(2) about 50."""
    rng, y = np.random.default_rng(seed), np.zeros(n)
    for t in range(2, n):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + rng.normal()
    return 50 + 3 * y


def spoken(f, y, series=0):
    """What the network says of each row given those before, from its zero state."""
    z = torch.from_numpy(((y - f.centre_[series]) / f.spread_[series]).astype(np.float32).T.copy())[None]
    with torch.no_grad():
        features = f.network_.decoder.convolve(f.network_.embedded(z, torch.ones_like(z), None))
        said = f.network_._said(features, None)[0, 0].numpy().T
    return said * f.spread_[series] + f.centre_[series]


@pytest.mark.parametrize("loss", ["mse", "gaussian"])
@pytest.mark.parametrize("columns", [1, 2])
def test_the_filter_says_what_the_network_says(loss, columns):
    y = np.column_stack([autoregression(seed=i) * (1 + i) for i in range(columns)])
    f = SpaceTimeForecaster(**{**LINEAR, "loss": loss, "width": 3}).fit(y)
    seen = kalman(f.to_state_space(), y)
    np.testing.assert_allclose((y - seen.innovations)[1:], spoken(f, y)[:-1], rtol=1e-5)
    ahead = forecast(f.to_state_space(), seen.state, 1).mean.ravel()
    np.testing.assert_allclose(ahead, spoken(f, y)[-1], rtol=1e-5)


def test_its_noise_is_what_the_network_leaves_and_missing_rows_widen_it():
    y = autoregression(900)
    f = SpaceTimeForecaster(**{**LINEAR, "max_epochs": 20}).fit(y[:800])
    model = f.to_state_space()
    seen = kalman(model, y[:, None])
    left = seen.innovations[100:].std()
    assert left == pytest.approx(3, rel=0.1)  # as the process itself
    assert np.sqrt(seen.innovation_cov[-1, 0, 0]) == pytest.approx(left, rel=0.25)  # from the 80 rows of validation
    holes = y.copy()
    holes[400:405] = np.nan
    widths = kalman(model, holes[:, None]).innovation_cov[399:406, 0, 0]
    assert (np.diff(widths[1:6]) > 0).all()
    # of an AR(2), by hand: 1 + 1.2^2 + (1.2^2 - 0.5)^2
    assert widths[3] / widths[1] == pytest.approx(1 + 1.44 + 0.94**2, rel=0.15)


def test_a_kalman_filter_forecasts_with_it():
    y = pd.Series(autoregression(), pd.date_range("2024-01-01", periods=400, freq="h"), name="load")
    f = SpaceTimeForecaster(**{**LINEAR, "max_epochs": 20}).fit(y)
    y.iloc[350:356] = np.nan
    frame = KalmanFilter(f.to_state_space()).fit(y).forecast(30).to_frame()
    width = (frame["hi-80"] - frame["lo-80"]).to_numpy()
    assert width[0] < width[3] < 2 * width[-1]
    assert frame["mean"].iloc[-1] == pytest.approx(y.mean(), abs=3)
    assert width[-1] / 2.563 == pytest.approx(y.std(), rel=0.3)


def test_a_panel_has_a_model_for_each_series():
    panel = [pd.Series(autoregression(200, seed) + 100 * seed) for seed in range(2)]
    frame = pd.concat(panel, keys=["a", "b"], names=["series", "time"]).rename("y").to_frame()
    f = SpaceTimeForecaster(**LINEAR).fit(frame)
    models = f.to_state_space()
    for i, (model, y) in enumerate(zip(models, panel)):
        y = y.to_numpy()[:, None]
        np.testing.assert_allclose((y - kalman(model, y).innovations)[1:], spoken(f, y, i)[:-1], rtol=1e-5)


@pytest.mark.parametrize("kind", [Companion, ClosedLoopCompanion])
def test_a_layer_is_a_model_of_one_series_for_each_channel(kind):
    torch.manual_seed(0)
    layer = kind(4, 5, n_kernels=2).double()
    with torch.no_grad():
        layer.raw.copy_(torch.randn(2, 5))
        layer.output.mul_(0.2)
    y = np.random.default_rng(0).normal(size=(60, 4))
    seen = kalman(innovations_model(layer, 2.0), y)
    said = layer.convolve(torch.from_numpy(y.T.copy())[None])[0].detach().numpy().T
    np.testing.assert_allclose((y - seen.innovations)[1:], said[:-1], atol=1e-10)
    np.testing.assert_allclose(seen.innovation_cov, 2 * np.eye(4) + np.zeros((60, 1, 1)), atol=1e-10)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("n_layers", 1), ("preprocess", True), ("normalization", "last"), ("loss", "quantile")],
)
def test_what_is_not_linear_says_which_argument_makes_it_so(argument, value):
    f = SpaceTimeForecaster(**{**LINEAR, "max_epochs": 1, "width": 2, argument: value}).fit(autoregression())
    with pytest.raises(InputError, match=f"pass {argument}="):
        f.to_state_space()


def test_a_file_from_before_the_noise_was_kept_says_what_to_do():
    f = SpaceTimeForecaster(**{**LINEAR, "max_epochs": 1}).fit(autoregression())
    f.calibration_ = f.calibration_._replace(one_step=None)
    with pytest.raises(InputError, match=r"no error one row ahead.*Fit again"):
        f.to_state_space()
    assert np.isfinite(f.predict(3)).all()


def test_covariates_and_shapes_that_do_not_fit_are_refused():
    y = autoregression()
    f = SpaceTimeForecaster(**{**LINEAR, "max_epochs": 1}).fit(np.arange(400.0)[:, None], y)
    with pytest.raises(InputError, match="without X"):
        f.to_state_space()
    layer = ClosedLoopCompanion(2, 3)
    with pytest.raises(InputError, match="read_in and read_out"):
        innovations_model(layer, 1.0, read_in=np.ones((2, 1)))
    with pytest.raises(InputError, match="read_in must be"):
        innovations_model(layer, 1.0, read_in=np.ones((1, 2)), read_out=np.ones((1, 2)))
    with pytest.raises(InputError, match="noise_cov must be"):
        innovations_model(layer, np.eye(3))
