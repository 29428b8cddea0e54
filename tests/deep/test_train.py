"""The training loop: it finds a known optimum, repeats itself, goes on after a kill, and says what is wrong."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ssmts.deep import _machine
from ssmts.deep._optimiser import parameter_groups, rate_factor
from ssmts.deep._randomness import Randomness, seeded
from ssmts.deep.train import TrainOptions, device_of, mean_loss, train
from ssmts.deep.windows import Windows
from ssmts.exceptions import InputError, NumericalError, PersistError


class Line(nn.Module):
    """The next row as a linear map of the last ones."""

    def __init__(self, rows, dropout=0.0):
        super().__init__()
        self.line, self.dropout = nn.Linear(rows, 1, bias=False), nn.Dropout(dropout)

    def forward(self, context):
        return self.line(self.dropout(context))


def square(network, batch):
    return (network(batch.context) - batch.target).square().mean()


def rows(n=300, seed=0):
    rng = np.random.default_rng(seed)
    y = np.zeros(n)
    for t in range(2, n):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + rng.normal()
    return y[:, None]


def windows_of(y, first=3, last=None):
    return Windows([y], None, 3, 1, first=first, last=last)


OPTIONS = TrainOptions(learning_rate=0.05, weight_decay=0.0, batch_size=32, max_epochs=4, n_threads=1)


def line(dropout=0.0):
    with seeded(5):
        return Line(3, dropout)


def weights(network):
    return torch.cat([p.detach().ravel() for p in network.parameters()])


def fitted(options=OPTIONS, dropout=0.3, **more):
    network = line(dropout)
    y = rows()
    history = train(network, square, windows_of(y, last=240), windows_of(y, first=241), options, **more)
    return network, history


# what is found --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_least_squares_are_found(average):
    y = rows()
    windows = windows_of(y)
    network = line()
    train(network, square, windows, None, replace(OPTIONS, max_epochs=400, batch_size=len(windows), average=average))
    batch = windows.batch(np.arange(len(windows)))
    want = np.linalg.lstsq(batch.context[:, 0].numpy(), batch.target[:, 0, 0].numpy(), rcond=None)[0]
    np.testing.assert_allclose(weights(network), want, atol=1e-3 if average else 1e-4)


def test_losses_of_an_epoch_are_those_of_all_its_windows():
    y = rows(76)
    windows = windows_of(y)  # 73 windows in three steps of unequal size
    network = line()
    start = mean_loss(network, square, windows, torch.device("cpu"))
    history = train(network, square, windows, None, replace(OPTIONS, learning_rate=1e-12, max_epochs=1))
    assert history.train[0] == pytest.approx(start, rel=1e-5)
    assert history.validation == ()


def test_decay_and_rates_go_to_their_parameters():
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.matrix = nn.Parameter(torch.ones(2, 2))
            self.bias = nn.Parameter(torch.ones(2))
            self.poles = nn.Parameter(torch.ones(2, 2))
            self.poles._no_decay, self.poles._lr = True, 0.5

    network = Parts()
    groups = {id(p): (g["lr"], g["weight_decay"]) for g in parameter_groups(network, 0.1, 0.01) for p in g["params"]}
    assert groups[id(network.matrix)] == (0.1, 0.01)
    assert groups[id(network.bias)] == (0.1, 0.0)
    assert groups[id(network.poles)] == (0.5, 0.0)
    network.parameter_groups = lambda lr, decay: [{"params": [network.matrix], "lr": lr, "weight_decay": decay}]
    assert len(parameter_groups(network, 0.1, 0.01)) == 1


def test_the_rate_rises_then_falls():
    factors = [rate_factor(step, 200) for step in range(200)]
    np.testing.assert_allclose(factors[:20], np.arange(1, 21) / 20)
    assert np.all(np.diff(factors[20:]) < 0)
    assert factors[110] == pytest.approx(0.505)
    assert factors[-1] == pytest.approx(0.01, abs=1e-3)
    assert rate_factor(0, 1) == 1


def test_the_gradient_is_cut():
    """One step without momentum behind it moves by the rate whatever the gradient; two show by how much it was cut."""
    moved = []
    for clip in (math.inf, 1e-9):
        network = line()
        before = weights(network)
        train(network, square, windows_of(rows()), None, replace(OPTIONS, max_epochs=1, gradient_clip=clip))
        moved.append((weights(network) - before).abs().max())
    assert moved[1] < 0.2 * moved[0]  # 1e-9 is below the epsilon of Adam


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_best_epoch_is_kept_and_patience_ends(average):
    options = replace(OPTIONS, max_epochs=30, patience=3, learning_rate=0.3, average=average)
    network, history = fitted(options)
    assert history.stopped_early
    assert len(history.validation) == history.best_epoch + 4
    assert min(history.validation) == history.validation[history.best_epoch]
    found = mean_loss(network, square, windows_of(rows(), first=241), torch.device("cpu"))
    assert found == pytest.approx(history.validation[history.best_epoch], rel=1e-6)


# the same again -------------------------------------------------------------------------------------------------


def test_runs_repeat_themselves_and_leave_the_global_generator_alone():
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    one, history = fitted()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not one.training
    with torch.random.fork_rng():
        torch.manual_seed(2)
        two, again = fitted()
    assert torch.equal(weights(one), weights(two))
    assert history.train == again.train
    other, _ = fitted(replace(OPTIONS, seed=1))
    assert not torch.equal(weights(one), weights(other))


def test_a_training_that_fails_leaves_generator_and_threads_alone():
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        train(line(), lambda n, b: 1 / 0, windows_of(rows()), None, replace(OPTIONS, n_threads=threads + 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_threads_and_forks_train():
    alone, _ = fitted()
    before, found = torch.random.get_rng_state(), {}
    workers = [threading.Thread(target=lambda i=i: found.update({i: fitted()[0]})) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert all(torch.equal(weights(found[i]), weights(alone)) for i in range(3))
    assert torch.equal(torch.random.get_rng_state(), before)
    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()
    child = fork.Process(target=lambda: queue.put(weights(fitted(replace(OPTIONS, n_threads=None))[0]).tolist()))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.get() == weights(alone).tolist()
    assert not _machine._forked


def test_dropout_is_that_of_torch_but_for_its_generator():
    layer = nn.Dropout(0.3)
    x = torch.randn(200, 500).requires_grad_()
    random = Randomness(torch.device("cpu"), 0)
    with random.within(layer):
        random.set(5)
        first = layer(x)
        random.set(6)
        assert not torch.equal(layer(x), first)
        random.set(5)
        assert torch.equal(layer(x), first)
        layer.eval()
        assert layer(x) is x
    kept = first != 0
    assert torch.allclose(first[kept], x[kept] / 0.7)
    assert abs(kept.float().mean() - 0.7) < 0.01
    assert torch.equal(torch.autograd.grad(first.sum(), x)[0] != 0, kept)
    assert "forward" not in vars(layer)
    with random.within(whole := nn.Dropout(1.0)):
        assert not whole(x).any()


def test_what_else_is_random_repeats_too():
    def noisy(network, batch):
        return square(network, batch._replace(context=batch.context + torch.randn_like(batch.context)))

    found = []
    for seed in (1, 2):
        network = line()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            train(network, noisy, windows_of(rows()), None, OPTIONS)
        found.append(weights(network))
    assert torch.equal(*found)


# going on -------------------------------------------------------------------------------------------------------


class Cut(Exception):
    pass


def cut_at(call):
    """The loss, until it was asked for so many times."""
    calls = 0

    def loss(network, batch):
        nonlocal calls
        calls += 1
        if calls == call:
            raise Cut
        return square(network, batch)

    return loss


# an epoch has eight steps of training and two batches of validation
@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("call", [3, 9, 25, 38])
@pytest.mark.parametrize("sampling", ["windows", "series"])
def test_a_run_goes_on_where_it_stopped(tmp_path, average, call, sampling):
    options = replace(OPTIONS, average=average, sampling=sampling)
    whole, history = fitted(options)
    y, path = rows(), tmp_path / "run.safetensors"
    ranges = windows_of(y, last=240), windows_of(y, first=241)
    more = {"checkpoint": path, "checkpoint_steps": 3}
    with pytest.raises(Cut):
        train(line(0.3), cut_at(call), *ranges, options, **more)
    resumed = line(0.3)
    again = train(resumed, square, *ranges, options, **more)
    assert torch.equal(weights(resumed), weights(whole))
    assert again[:3] == history[:3]
    assert os.listdir(tmp_path) == ["run.safetensors"]
    ended = line(0.3)
    done = train(ended, cut_at(1), *ranges, options, **more)  # a run that has ended is not run again
    assert torch.equal(weights(ended), weights(whole))
    assert done[:3] == history[:3]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    y, path = rows(), tmp_path / "run.safetensors"
    ranges = windows_of(y, last=240), windows_of(y, first=241)
    train(line(), square, *ranges, OPTIONS, checkpoint=path)
    content = path.read_bytes()
    changed = y.copy()
    changed[5] += 1e-6
    with pytest.raises(PersistError, match="of other data"):
        train(line(), square, windows_of(changed, last=240), ranges[1], OPTIONS, checkpoint=path)
    with pytest.raises(PersistError, match="of other data"):
        train(line(), square, windows_of(y, last=239), ranges[1], OPTIONS, checkpoint=path)
    with pytest.raises(PersistError, match=r"of other options \(seed 0 there, 9 here\)"):
        train(line(), square, *ranges, replace(OPTIONS, seed=9), checkpoint=path)
    with pytest.raises(PersistError, match=r"of other network \(class 'Line' there, 'Linear' here"):
        train(nn.Linear(3, 1), square, *ranges, OPTIONS, checkpoint=path)
    with pytest.raises(PersistError, match=r"of other objective \(power None there, 3 here\)"):
        train(line(), square, *ranges, OPTIONS, checkpoint=path, objective={"power": 3})
    train(line(), square, *ranges, replace(OPTIONS, n_threads=2, device="cpu"), checkpoint=path)
    for damaged in (b"something else", content[:-200], content[:100], b""):
        path.write_bytes(damaged)
        with pytest.raises(PersistError, match=r"no checkpoint of a training.*Pass another path"):
            train(line(), square, *ranges, OPTIONS, checkpoint=path)


def test_a_run_that_was_killed_goes_on_to_the_same_weights(tmp_path):
    options = replace(OPTIONS, max_epochs=12)
    whole, _ = fitted(options)
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path.insert(0, {os.path.dirname(__file__)!r})
            import test_train
            quick = test_train.square
            def slow(network, batch):
                time.sleep(0.02)
                return quick(network, batch)
            test_train.square = slow
            options = test_train.replace(test_train.OPTIONS, max_epochs=12)
            test_train.fitted(options, checkpoint=sys.argv[1], checkpoint_steps=3)
            """
        )
    )
    path = tmp_path / "run.safetensors"
    process = subprocess.Popen([sys.executable, str(script), str(path)])
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert path.exists()
    calls = []
    resumed = line(0.3)
    y = rows()

    def counted(network, batch):
        calls.append(1)
        return square(network, batch)

    train(resumed, counted, windows_of(y, last=240), windows_of(y, first=241), options, checkpoint=path)
    assert len(calls) < 12 * 10  # it did not start anew
    assert torch.equal(weights(resumed), weights(whole))


# what is said ---------------------------------------------------------------------------------------------------


def test_losses_that_are_not_finite_are_reported_with_their_step():
    windows = windows_of(rows())
    with pytest.raises(NumericalError, match=r"training loss is inf at step 1 of epoch 1\. Lower learning_rate"):
        train(line(), lambda n, b: square(n, b) * torch.inf, windows, None, OPTIONS)
    calls = 0

    def late(network, batch):
        nonlocal calls
        calls += 1
        return square(network, batch) * (math.nan if calls == 14 else 1)

    with pytest.raises(NumericalError, match=r"is nan at step 4 of epoch 2\."):
        train(line(), late, windows, None, OPTIONS)

    def steep(network, batch):
        return (network.line.weight - network.line.weight.detach()).abs().sum().sqrt()  # 0, of an infinite slope

    with pytest.raises(NumericalError, match="norm of the gradient is nan at step 1 of epoch 1"):
        train(line(), steep, windows, None, OPTIONS)
    worse = windows_of(rows(), first=241)
    with pytest.raises(NumericalError, match="validation loss is nan after epoch 1"):
        train(line(), lambda n, b: square(n, b) / float(n.training or math.nan), windows, worse, OPTIONS)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("8 GiB"),
        MemoryError("8 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 GiB"),
    ],
)
def test_memory_that_runs_out_names_the_knob(error):
    def full(network, batch):
        raise error

    with pytest.raises(InputError, match=r"batch_size=32 and a context of 3 rows. Lower batch_size.*8 GiB"):
        train(line(), full, windows_of(rows()), None, OPTIONS)


def test_what_cannot_be_allocated_on_the_cpu_is_recognised():
    with pytest.raises(InputError, match="Lower batch_size"):
        train(line(), lambda n, b: torch.empty(2**55), windows_of(rows()), None, OPTIONS)


def test_other_errors_pass():
    def wrong(network, batch):
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        train(line(), wrong, windows_of(rows()), None, OPTIONS)


def test_what_cannot_be_trained_is_said():
    with pytest.raises(InputError, match="no window"):
        train(line(), square, windows_of(np.full((9, 1), np.nan)), None, OPTIONS)
    with pytest.raises(InputError, match="'auto', 'cpu'"):
        device_of("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA"):
            device_of("cuda")
    assert device_of("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="'auto', 'cpu'"):
        device_of("meta")


def test_a_card_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match=r"'cuda:2', and torch finds 2 CUDA device\(s\)"):
        device_of("cuda:2")


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"max_epochs": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"gradient_clip": -1.0},
        {"average": 1.0},
        {"weight_decay": -1.0},
        {"sampling": "rows"},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        TrainOptions(**wrong)


def test_a_bar_is_shown_on_request(capsys):
    fitted()
    assert capsys.readouterr() == ("", "")
    fitted(replace(OPTIONS, progress=True))
    assert "validation=" in capsys.readouterr().err
