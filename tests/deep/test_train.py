"""The training loop: it finds a known optimum, repeats itself, goes on after a kill, and says what is wrong."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

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

    def parameter_groups(self, learning_rate, weight_decay):
        return [{"params": list(self.parameters()), "lr": learning_rate, "weight_decay": weight_decay}]


def square(network, batch):
    return (network(batch.context) - batch.target).square().mean()


def rows(n=300, seed=0):
    rng = np.random.default_rng(seed)
    y = np.zeros(n)
    for t in range(2, n):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + rng.normal()
    return y[:, None]


def windows_of(y, first=(3,), last=None):
    return Windows([y], None, 3, 1, first=first, last=last)


OPTIONS = TrainOptions(learning_rate=0.05, weight_decay=0.0, batch_size=32, max_epochs=4, n_threads=1)


def line(dropout=0.0):
    torch.manual_seed(5)
    return Line(3, dropout)


def weights(network):
    return torch.cat([p.detach().ravel() for p in network.parameters()])


def fitted(options=OPTIONS, dropout=0.3, **more):
    network = line(dropout)
    y = rows()
    windows = windows_of(y, last=[240])
    history = train(network, square, windows, windows_of(y, first=[241]), options, **more)
    return network, history


def test_least_squares_are_found():
    y = rows()
    windows = windows_of(y)
    network = line()
    train(network, square, windows, None, replace(OPTIONS, max_epochs=60, batch_size=len(windows)))
    batch = windows.batch(np.arange(len(windows)))
    want = np.linalg.lstsq(batch.context[:, 0].numpy(), batch.target[:, 0, 0].numpy(), rcond=None)[0]
    np.testing.assert_allclose(weights(network), want, atol=2e-3)


def test_runs_repeat_themselves_and_leave_the_global_generator_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    one, history = fitted()
    torch.manual_seed(2)
    two, again = fitted()
    assert torch.equal(weights(one), weights(two))
    assert history.train == again.train
    other, _ = fitted(replace(OPTIONS, seed=1))
    assert not torch.equal(weights(one), weights(other))
    torch.random.set_rng_state(before)
    fresh = torch.rand(1)
    torch.random.set_rng_state(before)
    train(Line(3), square, windows_of(rows()), None, replace(OPTIONS, max_epochs=1))
    torch.random.set_rng_state(before)
    assert torch.rand(1) == fresh
    assert torch.get_num_threads() == threads
    assert not one.training


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_best_epoch_is_kept_and_patience_ends(average):
    options = replace(OPTIONS, max_epochs=30, patience=3, learning_rate=0.3, average=average)
    network, history = fitted(options)
    assert history.stopped_early
    assert len(history.validation) == history.best_epoch + 4
    assert min(history.validation) == history.validation[history.best_epoch]
    y = rows()
    validation = windows_of(y, first=[241])
    found = mean_loss(network, square, validation, torch.device("cpu"))
    assert found == pytest.approx(history.validation[history.best_epoch], rel=1e-6)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_run_goes_on_where_it_stopped(tmp_path, average):
    options = replace(OPTIONS, average=average)
    whole, history = fitted(options)

    class Cut(Exception):
        pass

    calls = 0

    def cut(network, batch):
        nonlocal calls
        calls += 1
        if calls == 20:  # in the third epoch
            raise Cut
        return square(network, batch)

    y, path = rows(), tmp_path / "run.safetensors"
    ranges = windows_of(y, last=[240]), windows_of(y, first=[241])
    with pytest.raises(Cut):
        train(line(0.3), cut, *ranges, options, checkpoint=path)
    resumed = line(0.3)
    again = train(resumed, square, *ranges, options, checkpoint=path)
    assert torch.equal(weights(resumed), weights(whole))
    assert again.train == history.train
    assert again.validation == history.validation
    assert os.listdir(tmp_path) == ["run.safetensors"]
    with pytest.raises(PersistError, match=r"its data.* differ"):
        train(line(), square, windows_of(y + 1, last=[240]), ranges[1], options, checkpoint=path)
    with pytest.raises(PersistError, match="its options differ"):
        train(line(), square, *ranges, replace(options, seed=9), checkpoint=path)
    path.write_bytes(b"something else")
    with pytest.raises(PersistError, match="no checkpoint"):
        train(line(), square, *ranges, options, checkpoint=path)


def test_a_run_that_was_killed_goes_on_to_the_same_weights(tmp_path):
    whole, _ = fitted(replace(OPTIONS, max_epochs=12))
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path.insert(0, {os.path.dirname(__file__)!r})
            import test_train
            slow = test_train.square
            def square(network, batch):
                time.sleep(0.02)
                return slow(network, batch)
            test_train.square = square
            test_train.fitted(test_train.replace(test_train.OPTIONS, max_epochs=12), checkpoint=sys.argv[1])
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
    resumed, _ = fitted(replace(OPTIONS, max_epochs=12), checkpoint=path)
    assert torch.equal(weights(resumed), weights(whole))


def test_what_cannot_be_trained_is_said():
    y = rows()
    with pytest.raises(InputError, match="no window"):
        train(line(), square, windows_of(np.full((9, 1), np.nan)), None, OPTIONS)
    with pytest.raises(NumericalError, match="step 1 of epoch 1"):
        train(line(), lambda n, b: square(n, b) * torch.inf, windows_of(y), None, OPTIONS)

    def full(network, batch):
        raise torch.OutOfMemoryError("8 GiB")

    with pytest.raises(InputError, match="Lower batch_size"):
        train(line(), full, windows_of(y), None, OPTIONS)
    with pytest.raises(InputError, match="'auto', 'cpu'"):
        device_of("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA"):
            device_of("cuda")
    assert device_of("cpu") == torch.device("cpu")
