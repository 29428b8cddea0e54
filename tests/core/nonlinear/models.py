"""Models of the tests: linear ones written as functions, and nonlinear ones from the literature."""

import numpy as np
from oracles import dense_gaussian as dense

from ssmts.core.nonlinear import NonlinearGaussianSSM
from ssmts.core.types import TimeVarying

# Arnaud Doucet's favourite, from Kitagawa (1987) and Gordon et al. (1993), with a series of 50 rows whose log-likelihood is
# -135.8225958730 and whose filtered means at rows 10 and 49 are 0.4749665123 and 2.1198520412, by quadrature on a grid.
KITAGAWA = np.array(
    [
        1.24,
        3.76,
        0.84,
        12.0,
        3.95,
        -0.16,
        10.89,
        -1.31,
        1.0,
        5.29,
        2.37,
        21.16,
        9.22,
        1.17,
        -0.29,
        0.4,
        1.37,
        15.31,
        20.47,
    ]
    + [
        13.71,
        3.43,
        0.13,
        17.05,
        0.58,
        2.39,
        0.37,
        7.19,
        16.56,
        0.63,
        -0.18,
        -0.68,
        17.75,
        17.66,
        1.18,
        0.33,
        0.68,
        17.48,
    ]
    + [14.61, 14.62, 0.49, 0.15, 11.14, 33.34, 4.69, 0.29, 0.59, 7.54, 14.45, 7.76, 0.44]
)[:, None]
ONE = np.eye(1)


def growth(x, t):
    return 0.5 * x + 25 * x / (1 + x**2) + 8 * np.cos(1.2 * (t + 1))


def kitagawa():
    return NonlinearGaussianSSM(growth, lambda x, t: x**2 / 20, 10 * ONE, ONE, np.zeros(1), 2 * ONE)


def gentle():
    """A model that bends so little that Gaussian moments almost suffice."""
    move, show = (lambda x, t: 0.9 * x + 0.3 * np.sin(x)), (lambda x, t: x + 0.05 * x**2)
    return NonlinearGaussianSSM(move, show, 0.1 * ONE, 0.2 * ONE, np.zeros(1), ONE)


def at(field, t):
    return field.values[t] if isinstance(field, TimeVarying) else field


def as_functions(lin):
    """A linear model as a nonlinear one."""
    G, Q = lin.process_loading, lin.process_cov
    if isinstance(Q, TimeVarying):
        Q = TimeVarying(G.values @ Q.values @ G.values.swapaxes(1, 2))
    elif G is not None:
        Q = G @ Q @ G.T

    def shift(field, t):
        return 0.0 if field is None else at(field, t)

    return NonlinearGaussianSSM(
        lambda x, t: x @ at(lin.transition, t).T + shift(lin.state_offset, t),
        lambda x, t: x @ at(lin.observation, t).T + shift(lin.obs_offset, t),
        Q,
        lin.obs_cov,
        lin.initial_mean,
        lin.initial_cov,
    )


def linear(seed, n=12, **options):
    """A random linear model, the same by functions, and a series with holes."""
    rng = np.random.default_rng(seed)
    lin = dense.random_model(rng, n, **({"dx": 3, "dy": 2, "diffuse": 0} | options))
    return lin, as_functions(lin), dense.random_series(rng, n, options.get("dy", 2))


def simulated(ssm, n, rng):
    """States and observations of a nonlinear model."""
    x = rng.multivariate_normal(ssm.initial_mean, ssm.initial_cov)
    states, y = [], []
    for t in range(n):
        states.append(x)
        shown = ssm.observation(x, t)
        y.append(shown + rng.multivariate_normal(np.zeros(len(shown)), ssm.obs_cov))
        x = ssm.transition(x, t) + rng.multivariate_normal(np.zeros(len(x)), ssm.process_cov)
    return np.array(states), np.array(y)


def pendulum(dt=0.0125):
    """Angle and speed of a pendulum whose horizontal place is seen, as in Särkkä and Svensson (2023), example 7.6."""

    def move(x, t):
        return np.stack([x[..., 0] + dt * x[..., 1], x[..., 1] - 9.8 * dt * np.sin(x[..., 0])], axis=-1)

    noise = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]) * 0.1
    show, start = (lambda x, t: np.sin(x[..., :1])), np.array([1.5, 0.0])
    return NonlinearGaussianSSM(move, show, noise, 0.1 * ONE, start, 0.1 * np.eye(2))


def bearings():
    """A ship that moves with almost constant speed, of which two lighthouses see the directions."""
    F = np.eye(4) + np.diag([1.0, 1.0], 2)
    places = np.array([[-20.0, -20.0], [20.0, -20.0]])

    def show(x, t):
        away = x[..., None, :2] - places
        return np.arctan2(away[..., 1], away[..., 0])

    noise = 0.01 * np.diag([0.3, 0.3, 1.0, 1.0])
    start = np.array([0.0, 0.0, 0.3, 0.3])
    return NonlinearGaussianSSM(
        lambda x, t: x @ F.T, show, noise, 0.02**2 * np.eye(2), start, np.diag([4, 4, 0.1, 0.1])
    )


def lorenz96(n_states=40, dt=0.05, forcing=8.0):
    """The chaotic circle of Lorenz (1996), seen at every place with unit noise."""

    def slope(x):
        return (np.roll(x, -1, -1) - np.roll(x, 2, -1)) * np.roll(x, 1, -1) - x + forcing

    def move(x, t):
        a = slope(x)
        b = slope(x + dt / 2 * a)
        c = slope(x + dt / 2 * b)
        return x + dt / 6 * (a + 2 * b + 2 * c + slope(x + dt * c))

    unit = np.eye(n_states)
    start = np.full(n_states, forcing) + 0.01 * (np.arange(n_states) == 0)
    return NonlinearGaussianSSM(move, lambda x, t: x, 0 * unit, unit, start, unit)
