"""The network: what it says is causal, its states say the same as its windows, and horizons are prefixes of each other."""

import pytest
import torch

from ssmts.deep.losses import head, window_loss
from ssmts.deep.network import SpaceTimeNetwork
from ssmts.deep.scaling import normalise

C, F, L, HORIZON = 2, 3, 24, 9


def network(n_covariates=F, preprocess=True, n_layers=2, seed=0):
    torch.manual_seed(seed)
    made = SpaceTimeNetwork(
        C,
        n_covariates,
        2,
        context_length=L,
        n_layers=n_layers,
        width=6,
        state_size=5,
        dropout=0.5,
        preprocess=preprocess,
    )
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return made.double().eval()


def window(n_covariates=F, seed=1):
    g = torch.Generator().manual_seed(seed)
    values = torch.randn(4, C, L, generator=g, dtype=torch.float64)
    observed = (torch.rand(4, C, L, generator=g) < 0.8).double()
    covariates = torch.randn(4, F, L + HORIZON, generator=g, dtype=torch.float64) if n_covariates else None
    return values, observed, covariates


@pytest.mark.parametrize("n_covariates", [0, F])
def test_shapes_and_prefixes(n_covariates):
    made, (values, observed, covariates) = network(n_covariates), window(n_covariates)
    found = made(values, observed, covariates, HORIZON)
    assert found.ahead.shape == (4, 2, C, HORIZON)
    assert found.fitted.shape == (4, 2, C, L)
    cut = None if covariates is None else covariates[..., : L + 4]
    torch.testing.assert_close(made(values, observed, cut, 4).ahead, found.ahead[..., :4])
    torch.testing.assert_close(found.ahead[..., 0], made(values, observed, covariates, HORIZON).ahead[..., 0])


@pytest.mark.parametrize("n_covariates", [0, F])
def test_the_last_fitted_row_is_the_first_row_ahead(n_covariates):
    found = network(n_covariates)(*window(n_covariates), HORIZON)
    torch.testing.assert_close(found.fitted[..., -1], found.ahead[..., 0])


@pytest.mark.parametrize("n_covariates", [0, F])
@pytest.mark.parametrize("preprocess", [False, True])
def test_states_say_what_windows_say(n_covariates, preprocess):
    made, (values, observed, covariates) = network(n_covariates, preprocess), window(n_covariates)
    want = made(values, observed, covariates, HORIZON)
    for cuts in ((0, L), (0, 1, L), (0, 7, 8, 20, L), range(L + 1)):
        state = made.zero_state(4)
        for a, b in zip(list(cuts), list(cuts)[1:]):
            known = None if covariates is None else covariates[..., a:b]
            state = made.scan(values[..., a:b], observed[..., a:b], known, state)[1]
        following = None if covariates is None else covariates[..., L:]
        torch.testing.assert_close(made.ahead(state, HORIZON, following), want.ahead, atol=1e-10, rtol=1e-9)


def test_nothing_looks_ahead():
    made, (values, observed, covariates) = network(), window()
    before = made(values, observed, covariates, HORIZON)
    values, covariates = values.clone(), covariates.clone()
    values[..., 15:] += 5
    covariates[..., L + 5 :] += 5
    after = made(values, observed, covariates, HORIZON)
    torch.testing.assert_close(after.fitted[..., :15], before.fitted[..., :15])
    assert (after.fitted[..., 15] - before.fitted[..., 15]).abs().max() > 1e-3
    covariates[..., L + 5 :] -= 10
    torch.testing.assert_close(made(values, observed, covariates, HORIZON).ahead[..., :5], after.ahead[..., :5])
    assert (made(values, observed, covariates, HORIZON).ahead[..., 5] - after.ahead[..., 5]).abs().max() > 1e-3


def test_covariates_of_the_horizon_act_at_once_and_later():
    made, (values, observed, covariates) = network(), window()
    before = made(values, observed, covariates, HORIZON).ahead
    covariates[..., L + 2] += 1
    change = (made(values, observed, covariates, HORIZON).ahead - before).abs().amax((0, 1, 2))
    assert (change[:2] < 1e-12).all()
    assert (change[2:] > 1e-9).all()


def test_all_parameters_learn():
    made = network().train()
    values, observed, covariates = window()
    target = torch.randn(4, C, HORIZON, dtype=torch.float64)
    context = torch.where(observed > 0, values, torch.nan)
    scaled = normalise(context, "last")
    output = made(scaled.values, scaled.observed, covariates, HORIZON)
    window_loss(head("gaussian"), output, scaled, target, (1.0, 1.0, 1.0), 3).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in made.parameters())
    groups = made.parameter_groups(1e-3, 0.1)
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(p.numel() for p in made.parameters())
    decayed = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    assert id(made.decoder.raw) not in decayed
    assert id(made.head.weight) in decayed


def test_terms_of_the_loss_one_by_one():
    made, (values, observed, covariates) = network(), window()
    target = torch.randn(4, C, HORIZON, dtype=torch.float64)
    scaled = normalise(torch.where(observed > 0, values, torch.nan), "standardize")
    output, loss = made(scaled.values, scaled.observed, covariates, HORIZON), head("mse")
    want = (output.ahead[:, 0] - (target - scaled.location) / scaled.scale).square().mean()
    torch.testing.assert_close(window_loss(loss, output, scaled, target, (1.0, 0.0, 0.0), 2), want)
    seen = scaled.observed[..., 3:] > 0
    want = (output.fitted[:, 0, :, 2:-1] - scaled.values[..., 3:])[seen].square().mean()
    torch.testing.assert_close(window_loss(loss, output, scaled, target, (0.0, 1.0, 0.0), 2), want)
    predicted, true = (each[..., 2:] for each in output.hidden)
    ratio = (predicted - true).square().mean((0, 2)) / true.square().mean((0, 2))
    torch.testing.assert_close(window_loss(loss, output, scaled, target, (0.0, 0.0, 1.0), 2), ratio.mean())
