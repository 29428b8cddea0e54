"""SpaceTime in files: seeds, saved models, checkpoints of fits that were cut off."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open

import ssmts
from ssmts import SpaceTimeForecaster
from ssmts.deep import _checkpoint, forecaster, losses
from ssmts.deep.losses import window_loss
from ssmts.exceptions import PersistError

from .test_spacetime import SMALL, same, small, wave


def test_the_same_seed_gives_the_same_network_and_another_another():
    y = wave()
    same(small().fit(y), small().fit(y), 1e-12)
    assert not np.allclose(small().fit(y).predict(4), small(random_state=1).fit(y).predict(4))


def test_saved_models_forecast_the_same_in_a_fresh_process(tmp_path):
    paths, expected = [], []
    for normalization in ("standardize", "none"):
        f = small(normalization=normalization, loss="student_t").fit(wave())
        paths.append(str(tmp_path / normalization))
        expected.append(f.predict(7))
        ssmts.save(f, paths[-1])
    code = f"import ssmts; [print(*map(repr, ssmts.load(path).predict(7).tolist())) for path in {paths}]"
    as_here = {**os.environ, "OMP_NUM_THREADS": "1"}  # the last bit of a sum depends on the number of threads
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=as_here).stdout
    for line, one in zip(out.splitlines(), expected, strict=True):
        np.testing.assert_array_equal([float(v) for v in line.split()], one)


def test_a_fit_goes_on_from_its_checkpoint(tmp_path):
    y, path = wave(), tmp_path / "run.safetensors"
    whole = small(max_epochs=4).fit(y)
    small(max_epochs=4, checkpoint=path).fit(y)
    assert path.exists()
    same(small(max_epochs=4, checkpoint=path).fit(y), whole, 1e-12)


class Cut(Exception):
    pass


def cut_after(monkeypatch, steps):
    """Let training stop in its midst."""
    calls = itertools.count(1)

    def cut(*args):
        if next(calls) > steps:
            raise Cut
        return window_loss(*args)

    monkeypatch.setattr(losses, "window_loss", cut)


@pytest.mark.parametrize(("steps", "written_at"), [(None, 10), (2, 14)])
def test_a_fit_without_a_random_state_that_was_cut_off_goes_on(tmp_path, monkeypatch, steps, written_at):
    y, path = wave(), tmp_path / "run.safetensors"
    batches = {"max_epochs": 4, "batch_size": 16}
    arguments = {**batches, "random_state": None, "checkpoint": path, "checkpoint_steps": steps}
    with monkeypatch.context() as patch:
        cut_after(patch, 18)  # an epoch has five steps and two batches of validation
        with pytest.raises(Cut):
            small(**arguments).fit(y)
    written = json.loads(safe_open(path, "pt").metadata()["ssmts"])
    assert written["progress"]["step"] == written_at
    with monkeypatch.context() as patch:
        cut_after(patch, 20 - written_at + 4)  # it does not start anew
        resumed = small(**arguments).fit(y)
    same(resumed, small(**arguments).fit(y), 1e-12)
    path.unlink()
    assert not np.allclose(resumed.predict(4), small(**arguments).fit(y).predict(4))
    monkeypatch.setattr(_checkpoint, "seed_of", lambda *_: written["identity"]["options"]["seed"])
    same(resumed, small(**batches).fit(y), 1e-12)


def test_a_checkpoint_of_another_objective_is_refused_though_the_network_is_the_same(tmp_path):
    y, path = wave(60), tmp_path / "run.safetensors"
    f = small(loss="mse", checkpoint=path).fit(y)
    expected = f.predict(3)
    for changed, said in (
        ({"loss": "mae"}, "loss 'mse' there, 'mae' here"),
        ({"loss_weights": (1.0, 0.0, 0.0)}, r"loss_weights \[1.0, 0.3, 0.0\] there"),
        ({"normalization": "last"}, "normalization 'standardize' there, 'last' here"),
        ({"width": 7}, r"other network \(width 6 there, 7 here"),
    ):
        with pytest.raises(PersistError, match=said):
            f.set_params(**changed).fit(y)
        f.set_params(**{name: {**SMALL, **SpaceTimeForecaster().get_params(), "loss": "mse"}[name] for name in changed})
        f.set_params(width=SMALL["width"])
    np.testing.assert_array_equal(f.fit(y).predict(3), expected)


def test_where_no_checkpoint_can_be_written_is_said_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(forecaster, "train", None)
    for checkpoint, said in (
        (tmp_path / "absent" / "run.safetensors", "there is no folder"),
        (tmp_path, "is a folder"),
        (5, "5 is no path"),
        ("", "'' is no path"),
    ):
        with pytest.raises(PersistError, match=said):
            small(checkpoint=checkpoint).fit(wave(60))


def test_a_file_that_is_no_checkpoint_is_refused_before_a_seed_is_taken_from_it(tmp_path):
    y, path = wave(60), tmp_path / "run.safetensors"
    f = small().fit(y)
    expected = f.predict(3)
    path.write_bytes(b"something else")
    for random_state in (None, 0):
        with pytest.raises(PersistError, match="no checkpoint of a training"):
            f.set_params(checkpoint=path, random_state=random_state).fit(y)
    np.testing.assert_array_equal(f.predict(3), expected)
