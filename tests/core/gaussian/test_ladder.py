"""Every rung agrees with the sequential one on whatever it claims, and the sequential one with the joint Gaussian written out."""

from pathlib import Path

import numpy as np
import pytest
from oracles import dense_gaussian as dense

from ssmts.components import Autoregression, Composition, Cycle, DampedTrend, DummySeason, Level, Trend
from ssmts.components import TrigonometricSeason as Trigonometric
from ssmts.core import gaussian
from ssmts.core.gaussian._ladder import ORDER, RUNGS, Job, page, rung
from ssmts.core.types import LinearGaussianSSM, TimeVarying
from ssmts.exceptions import InputError

from .cases import close

TASKS = ("loglik", "filter", "smooth", "score")
SCORES = (
    ("process_cov", "obs_cov"),
    ("process_cov", "obs_cov", "transition", "initial_cov"),
    ("transition", "process_cov", "observation", "obs_cov", "initial_mean", "initial_cov"),
)


TOLERANCES = {"square_root_single": 1e-4}


def structural(components, n=40, holes=0.0, seed=0):
    """A model made of components with a series drawn at random, which is what it is for a likelihood."""
    rng = np.random.default_rng(seed)
    model = Composition(components)
    values = model.start * np.where(model.is_variance, rng.uniform(0.5, 2.0, model.start.size), 1.0)
    y = np.cumsum(rng.normal(size=(n, 1)), axis=0)
    y[rng.random(n) < holes] = np.nan
    return model.build(values), y


def drawn(n=12, missing=0.3, seed=0, **options):
    rng = np.random.default_rng(seed)
    return dense.random_model(rng, n, **options), dense.random_series(rng, n, options.get("dy", 2), missing)


def many(pair, n_series=5, own_holes=False):
    """The same model with a batch of series."""
    ssm, y = pair
    rng = np.random.default_rng(9)
    batch = y + rng.normal(size=(n_series, *y.shape))
    if own_holes:
        batch[rng.random(batch.shape) < 0.2] = np.nan
    return ssm, batch


def twins(n=15):
    """Two sensors that see the same without noise: a singular innovation covariance."""
    ssm, y = structural([Trend()], n)
    twice = ssm._replace(observation=np.vstack([ssm.observation] * 2), obs_cov=np.zeros((2, 2)))
    return twice, np.hstack([y, y])


CLASSES = {
    "level": lambda: structural([Level()]),
    "trend": lambda: structural([Trend()]),
    "damped trend": lambda: structural([DampedTrend()]),
    "trend and dummy season": lambda: structural([Trend(), DummySeason(12)], 60),
    "trend and trigonometric season": lambda: structural([Trend(), Trigonometric(12, (1, 2, 3, 4, 5, 6))], 60),
    "trend, season, holes": lambda: structural([Trend(), DummySeason(4)], 40, 0.2),
    "trend, long season": lambda: structural([Trend(), DummySeason(24)], 80, 0.1),
    "level and cycle": lambda: structural([Level(), Cycle(3.0, 12.0)], 60),
    "level and autoregression": lambda: structural([Level(), Autoregression(2)], 60),
    "a long level": lambda: structural([Level()], 400),
    "a long trend with a hole": lambda: structural([Trend()], 300, 0.01),
    "one row": lambda: structural([Level()], 1),
    "as many rows as diffuse states": lambda: structural([Trend()], 2),
    "time-varying, one series": lambda: drawn(dy=1, dx=3, diffuse=2),
    "time-varying, three series": lambda: drawn(dy=3, dx=4, diffuse=3),
    "time-varying, twelve series": lambda: drawn(n=8, dy=12, dx=3, diffuse=2),
    "constant, three series": lambda: drawn(dy=3, dx=4, diffuse=2, varying=False),
    "constant, three series, proper": lambda: drawn(dy=3, dx=3, diffuse=0, varying=False),
    "constant, complete": lambda: drawn(n=30, dy=2, dx=2, diffuse=1, varying=False, missing=0.0),
    "regular noise": lambda: drawn(dy=2, dx=2, dw=2, diffuse=1, singular=False),
    "twin sensors": twins,
    "tall": lambda: drawn(n=10, dy=12, dx=2, diffuse=1, full=True),
    "batch, structural": lambda: many(structural([Trend(), DummySeason(4)], 30)),
    "batch, same holes": lambda: many(drawn(dy=2, dx=3, diffuse=2)),
    "batch, own holes": lambda: many(drawn(dy=2, dx=3, diffuse=2, missing=0.0), own_holes=True),
}


def jobs(method):
    """Whatever a rung claims of the classes, task by task."""
    for name, make in CLASSES.items():
        ssm, y = make()
        packed = gaussian.pack(ssm, y.shape[-2])
        for task in TASKS:
            for names in SCORES if task == "score" else ((),):
                if getattr(rung(method), task) and not rung(method).refuses(Job(task, packed, y, None, None, names)):
                    yield name, task, names, packed, y


def run(task, names, packed, y, method):
    if task == "score":
        return gaussian.score(packed, y, names, method=method)
    return getattr(gaussian, task)(packed, y, method=method)


def same(got, want, tolerance):
    """Compare results field by field; what has no meaning (means of what is unknown) is left out."""
    if got is None or isinstance(got, int | np.integer):
        assert got == want
    elif isinstance(got, TimeVarying):
        close(got.values, want.values, tolerance)
    elif isinstance(got, tuple):
        for part, other in zip(got, want, strict=True):
            same(part, other, tolerance)
    else:
        got, want = np.asarray(got, float), np.asarray(want, float)
        infinite = np.isinf(want)
        np.testing.assert_array_equal(got[infinite], want[infinite])
        close(np.where(infinite, 0.0, got), np.where(infinite, 0.0, want), tolerance)


@pytest.mark.parametrize("method", [name for name in RUNGS if name != "sequential"])
def test_every_rung_agrees_with_the_sequential_one(method):
    served = set()
    for name, task, names, packed, y in jobs(method):
        got, want = run(task, names, packed, y, method), run(task, names, packed, y, "sequential")
        try:
            if task in ("filter", "smooth"):
                got, want = settled(got, want)
            if method == "square_root_single" and task == "smooth":  # residuals divide by what may be rounding
                got, want = got[:-2], want[:-2]
            same(got, want, TOLERANCES.get(method, 1e-7 if task == "score" else 1e-9))
        except AssertionError as error:
            raise AssertionError(f"{method}, {task} {names} of {name!r}: {error}") from error
        served.add(task)
    assert served == {task for task in TASKS if getattr(rung(method), task) is not None}


def settled(got, want):
    """Results without the means of rows and states whose variance is infinite, which have no meaning."""
    out = []
    for result in (got, want):
        fields = result._asdict()
        for mean in [k for k in fields if k.endswith("_mean")]:
            cov = np.asarray(want._asdict()[mean.removesuffix("_mean") + "_cov"])
            known = np.isfinite(np.diagonal(cov, axis1=-2, axis2=-1))
            fields[mean] = np.where(known, fields[mean], 0.0)
        if "innovations" in fields:
            known = np.isfinite(np.diagonal(np.asarray(want.innovation_cov), axis1=-2, axis2=-1))
            fields["innovations"] = np.where(known, fields["innovations"], 0.0)
        if "state" in fields:  # a mean that is still open, and a factor that is known up to a rotation only
            del fields["state"]
        out.append(tuple(fields.values()))
    return out


@pytest.mark.parametrize("name", [n for n in CLASSES if not n.startswith("batch")])
def test_the_sequential_rung_agrees_with_the_joint_gaussian(name):
    ssm, y = CLASSES[name]()
    if len(y) > 100:  # a matrix of the size of the whole series
        y = y[:60]
    twin = dense.joint(ssm, len(y))
    X = twin.observations.X[~np.isnan(y.ravel())]
    if np.linalg.matrix_rank(X) == X.shape[1] and name != "twin sensors":
        close(gaussian.loglik(ssm, y, method="sequential"), dense.loglik(ssm, y))


@pytest.mark.parametrize("name", CLASSES)
def test_the_ladder_chooses_a_rung_that_agrees(name):
    ssm, y = CLASSES[name]()
    close(gaussian.loglik(ssm, y), gaussian.loglik(ssm, y, method="sequential"))


def test_rungs_are_found_by_name_and_refusals_say_why():
    ssm, y = structural([Level()], 10)
    assert set(ORDER) <= set(RUNGS)
    with pytest.raises(InputError, match="method is 'fastest': choose one of"):
        gaussian.loglik(ssm, y, method="fastest")
    for name in RUNGS:
        assert rung(name).name == name
        assert rung(name).cost
        assert rung(name).claims


def test_a_forced_rung_that_does_not_claim_the_job_is_refused_in_words():
    ssm, y = drawn(dy=2, dx=3, diffuse=2)
    assert isinstance(ssm, LinearGaussianSSM)
    for name in RUNGS:
        named = rung(name)
        why = named.refuses(Job("loglik", gaussian.pack(ssm), y, None, None, ()))
        if why and named.loglik is not None:
            with pytest.raises(InputError, match="cannot be used here"):
                gaussian.loglik(ssm, y, method=name)


def test_the_table_of_claims_is_up_to_date():
    """Written by ``python -c "from ssmts.core.gaussian._ladder import page; print(page(), end='')" > docs/ladder.md``."""
    assert (Path(__file__).parents[3] / "docs" / "ladder.md").read_text() == page()
