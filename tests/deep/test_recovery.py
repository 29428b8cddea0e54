"""A companion layer expresses autoregressions, seasonal ones and exponential smoothing, and finds them in their series."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from ssmts import ARIMAForecaster
from ssmts.core.gaussian import filter as kalman
from ssmts.core.linalg.convolution import convolve
from ssmts.deep.layers import ClosedLoopCompanion
from ssmts.deep.linear import innovations_model


def simulated(ar, ma=(), n=2500, seed=1):
    noise = np.random.default_rng(seed).normal(size=n + 300)
    return lfilter(np.r_[1.0, ma], np.r_[1.0, -np.asarray(ar)], noise)[300:]


def seasonal(phi, Phi, season=12):
    """Coefficients of ``(1 - phi B)(1 - Phi B^s)``."""
    ar = np.zeros(season + 1)
    ar[0], ar[season - 1], ar[season] = phi, Phi, -phi * Phi
    return ar


def set_to(a, c):
    layer = ClosedLoopCompanion(1, len(a)).double()
    with torch.no_grad():
        layer.raw.copy_(torch.tensor(a)[None])
        layer.output.copy_(torch.tensor(c)[None])
    return layer


def learnt(y, order):
    """One layer that predicts the next row of a series, by least squares."""
    torch.manual_seed(0)
    u = torch.from_numpy(y / y.std())[None, None]
    layer = ClosedLoopCompanion(1, order).double()
    with torch.no_grad():
        layer.output.mul_(0.1)
    search = torch.optim.LBFGS([layer.raw, layer.output], max_iter=80, line_search_fn="strong_wolfe")

    def loss():
        search.zero_grad()
        error = (layer.convolve(u)[..., :-1] - u[..., 1:]).square().mean()
        error.backward()
        return error

    search.step(loss)
    return layer, loss().item() * y.var()


def weights(layer, n):
    """What a row adds to the prediction of each row after it: the pi-weights of the process."""
    return convolve(layer.response(n), layer.output.double())[0].detach().numpy()


@pytest.mark.parametrize(
    ("a", "c", "ar", "ma", "d"),
    [
        ([0.0] * 3, [0.5, -0.3, 0.4], [0.5, -0.3, 0.4], [], 0),  # AR(3): no recursion
        ([0.0] * 13, seasonal(0.6, 0.5), seasonal(0.6, 0.5), [], 0),
        ([0.6], [0.4], [], [-0.6], 1),  # simple exponential smoothing with alpha = 0.4
        ([-0.4, 0.0], [1.1, -0.3], [0.7, -0.3], [0.4], 0),  # ARMA(2, 1): a = -theta, c = phi + theta
    ],
)
def test_a_layer_set_by_hand_is_the_filter_of_the_process(a, c, ar, ma, d):
    y = simulated(ar, ma, 400)
    y = np.cumsum(y) if d else y
    layer = set_to(a, c)
    said = layer.convolve(torch.from_numpy(y)[None, None])[0, 0, :-1].detach().numpy()
    # by the difference equation of the process, which starts at rest: eps_t = y_t - phi(B) y_t - theta(B) eps
    whole = np.convolve(np.r_[1.0, -np.asarray(ar)], [1.0, -1.0] if d else [1.0])
    errors = lfilter(whole, np.r_[1.0, ma], y)
    np.testing.assert_allclose(said, (y - errors)[1:], atol=1e-6)
    innovations = kalman(innovations_model(layer, 1.0), y[:, None]).innovations[:, 0]
    np.testing.assert_allclose(innovations, errors, atol=1e-6)


@pytest.mark.parametrize("ar", [[1.2, -0.5], [0.5, -0.3, 0.4], [0.4, 0.2, -0.3, 0.3]])
def test_a_layer_finds_an_autoregression(ar):
    y = simulated(ar)
    layer, variance = learnt(y, len(ar))
    truth = np.r_[ar, np.zeros(12 - len(ar))]
    np.testing.assert_allclose(weights(layer, 12), truth, atol=0.07)
    assert variance == pytest.approx(1.0, abs=0.07)
    # a' = a + c: the recursion that the process itself follows, estimated by the other way as well
    assert np.abs(layer.coefficients.detach().numpy()).max() < 0.2
    peer = ARIMAForecaster((len(ar), 0, 0)).fit(y)
    estimated = [peer.params_[f"ar_{i + 1}"] for i in range(len(ar))]
    np.testing.assert_allclose(weights(layer, len(ar)), estimated, atol=0.07)


def test_a_layer_finds_a_seasonal_autoregression():
    ar = seasonal(0.6, 0.5)
    layer, variance = learnt(simulated(ar), 13)
    np.testing.assert_allclose(weights(layer, 13), ar, atol=0.1)
    assert variance == pytest.approx(1.0, abs=0.07)


def test_a_layer_finds_exponential_smoothing():
    y = np.cumsum(simulated([], [-0.6]))
    layer, variance = learnt(y, 1)
    assert layer.coefficients.item() == pytest.approx(0.6, abs=0.05)
    assert layer.output.item() == pytest.approx(0.4, abs=0.05)
    np.testing.assert_allclose(weights(layer, 8), 0.4 * 0.6 ** np.arange(8), atol=0.05)
    assert variance == pytest.approx(1.0, abs=0.07)
    peer = ARIMAForecaster((0, 1, 1)).fit(y)
    assert layer.coefficients.item() == pytest.approx(-peer.params_["ma_1"], abs=0.03)
