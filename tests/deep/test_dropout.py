"""Dropout: how often, how much, and what its gradient is."""

import pytest
import torch

from ssmts.deep.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_numbers_are_dropped_as_often_as_asked(p):
    torch.manual_seed(0)
    y = Dropout(p)(torch.ones(400, 1001))
    dropped = y == 0
    assert dropped.float().mean().item() == pytest.approx(p, abs=4 * (p * (1 - p) / y.numel()) ** 0.5)
    assert y[~dropped].unique().numel() == 1
    assert y.max().item() == pytest.approx(1 / (1 - p), rel=1e-4)
    lanes = (
        dropped.flatten()[: y.numel() // 4 * 4].reshape(-1, 4).float()
    )  # decided by one draw, independent all the same
    assert (torch.corrcoef(lanes.T) - torch.eye(4)).abs().max() < 0.015


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3, 5), (0, 4)])
def test_shapes_gradients_and_evaluation(shape):
    torch.manual_seed(1)
    dropout, x = Dropout(0.5), torch.rand(shape, requires_grad=True)
    y = dropout(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(y, x * gradient)
    assert dropout.eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_a_seed_repeats_it():
    drawn = []
    for _ in range(2):
        torch.manual_seed(4)
        drawn.append(Dropout(0.3)(torch.ones(500)))
    assert torch.equal(*drawn)
