"""Views of a sensor, against a slow obvious twin, the Kalman filter and the chi-squared distribution."""

import numpy as np
import pytest
from scipy.stats import chi2, norm

from ssmts.detection import extremes, profiles
from ssmts.detection.profiles import Views

GAIN, FIRST, N_BINS = [0.05, 0.001, 0.1], [0, 1, 2], [1, 1, 4]
VIEWS = Views(np.array(GAIN), np.array(FIRST), np.array(N_BINS), scatter=0, shift=1)


def hard(n=1500, seed=0):
    """Readings with spikes, holes, a shift and a cycle of four; bins, and steps of irregular stamps."""
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(n) + 3.0 * (np.arange(n) % 4 == 2)
    y[rng.random(n) < 0.01] += 30.0
    y[n // 2 :] += 8.0
    y[rng.random(n) < 0.1] = np.nan
    bins = np.zeros((n, 3), dtype=np.int64)
    bins[:, 2] = np.arange(n) % 4
    return y, bins, rng.choice([0.0, 1.0, 1.0, 1.0, 3.5], size=n)


class Slow:
    """One view of one sensor, written from the definition."""

    def __init__(self, gain, n_bins, level, sd, patience):
        self.gain, self.cyclic, self.patience = gain, n_bins > 1, patience
        self.level = [level] if n_bins == 1 else [None] * n_bins
        self.own, self.readings = [0.0] * n_bins, [1 if n_bins == 1 else 0] * n_bins
        self.variance, self.seen, self.rise, self.fall, self.wild = sd**2, 5, 0.0, 0.0, 0.0

    def follow(self, b, y, elapsed):
        c, g = self.readings[b], self.gain
        v = self.variance
        if self.cyclic:
            m = min(c, 1 / g)
            v = (10 * v + m * self.own[b]) / (10 + m)
        factor = 1 + 1 / c + (0 if self.cyclic else g**2 * (elapsed - 1))
        e = y - self.level[b]
        z = e / np.sqrt(factor * v)
        inside = e * min(1, 3 / abs(z))
        self.seen += 1
        self.variance += max(0.001, 1 / self.seen) * (inside**2 - self.variance)
        g = max(g, 1 / (c + 1))
        if not self.cyclic:
            g = (g + g**2 * (elapsed - 1)) / (1 + g**2 * (elapsed - 1))
        self.own[b] += g * (inside**2 - self.own[b])
        self.level[b] += g * inside
        self.readings[b] += 1
        self.release(b, y, e, z)
        return z

    def release(self, b, y, e, z):
        self.rise = max(0, self.rise + np.clip(z, -3, 3) - 1)
        self.fall = max(0, self.fall - np.clip(z, -3, 3) - 1)
        self.wild = max(0, self.wild + min(abs(z), 10) - 9)
        if self.wild >= 2 * self.patience:
            self.variance, self.seen, self.wild = (e / 3) ** 2, 5, 0.0
        if max(self.rise, self.fall) >= 2 * self.patience - 1e-9:
            self.rise = self.fall = 0.0
            move = y - self.level[b]
            self.level = [None if at is None else at + move for at in self.level]
            if not self.cyclic:
                self.readings[b] = 1


def slowly(y, bins, steps, patience):
    middle = np.nanmedian(y)
    away = np.abs(y - middle)
    sd = 1.4826 * np.nanmedian(away[away > 0])
    views = [Slow(g, n, middle, sd, patience) for g, n in zip(GAIN, N_BINS)]
    known = [extremes.start(1, 1) for _ in range(5)]
    mean, power, elapsed, out = 0.0, 1.0, 0.0, []
    for reading, place, step in zip(y, bins, steps):
        elapsed += step
        if np.isnan(reading):
            out.append(np.nan)
            continue
        z, opening = {}, reading
        for v, view in enumerate(views):
            if view.level[place[v]] is None:
                view.level[place[v]], view.readings[place[v]] = opening, 1
                continue
            before = view.level[place[v]]
            z[v] = view.follow(place[v], reading, elapsed)
            if v == 1:
                opening = before + (reading - before) * min(1, 10 / abs(z[v]))
        mean += 0.1 * (np.clip(z[1], -5, 5) - mean)
        power += 0.1 * (min(z[0] ** 2, 25) - power)
        z[3] = mean * np.sqrt(19)
        z[4] = (np.cbrt(power) - 1 + 2 / 171) / np.sqrt(2 / 171)
        log_p = 0.0
        for v, deviation in z.items():
            found, known[v] = extremes.run(known[v], np.array([-np.log(2) - norm.logsf(abs(deviation))]))
            log_p = min(log_p, found[0])
        out.append(min(log_p + np.log(3), 0.0))
        elapsed = 0.0
    return np.array(out)


@pytest.mark.parametrize("patience", [5, 50])
def test_equals_the_slow_twin(patience):
    y, bins, steps = hard()
    told, _ = profiles.run(VIEWS, profiles.start(VIEWS, y[:, None]), y[:, None], bins, steps, patience)
    np.testing.assert_allclose(told.log_p[:, 0], slowly(y, bins, steps, patience), rtol=1e-6, atol=1e-9)


def test_a_gap_is_what_the_kalman_filter_makes_of_it():
    """A local level in its steady state: gain K, innovation variance S, level variance K S after a row and K^2 S more a step."""
    K, S = 0.05, 2.0
    views = Views(np.array([K]), np.array([0]), np.array([1]), scatter=0, shift=0)
    state = profiles.start(views, np.array([[0.0], [1.0]]))
    state = state._replace(
        level=np.zeros((1, 1)), readings=np.full((1, 1), 1e12), variance=np.full((1, 1), S), seen=np.full((1, 1), 1e12)
    )
    for gap in (0.0, 1.0, 2.0, 30.0):
        ahead = K * S + K**2 * S * (gap - 1)
        total = ahead + (1 - K) * S
        told, after = profiles.run(
            views, state, np.array([[2.0]]), np.zeros((1, 1), dtype=np.int64), np.array([gap]), 50, -9.0
        )
        assert told.deviation[0, 0] == pytest.approx(2.0 / np.sqrt(total))
        assert after.level[0, 0] == pytest.approx(2.0 * ahead / total)


def test_scatter_is_charted_on_the_scale_of_a_normal():
    """The mean of nineteen squares, by the cube root of Wilson and Hilferty and exactly."""
    n, variance = profiles.CHART_ROWS, profiles.CUBE_ROOT
    for p in (1e-4, 1e-2, 0.5, 0.99, 0.9999):
        charted = (np.cbrt(chi2.ppf(p, n) / n) - 1 + variance) / np.sqrt(variance)
        assert charted == pytest.approx(norm.ppf(p), abs=0.1)


def test_what_is_explained_is_what_is_scored():
    """The range is where the level asked for is reached, as far as the reading alone decides it."""
    y, bins, steps = hard()
    state = profiles.start(VIEWS, y[:, None])
    plain, after = profiles.run(VIEWS, state, y[:, None], bins, steps, 50)
    level = -8.0
    told, same = profiles.run(VIEWS, state, y[:, None], bins, steps, 50, level)
    np.testing.assert_array_equal(plain.log_p, told.log_p)
    np.testing.assert_array_equal(after.level, same.level)
    outside = (y < told.lower[:, 0] - 1e-3) | (y > told.upper[:, 0] + 1e-3)
    alarm = told.log_p[:, 0] < level
    alone = told.window[:, 0] == 1
    assert outside.sum() > 5
    assert alarm[outside].all(), "outside of the range without an alarm"
    assert not (alarm & alone & ~outside & (np.abs(told.deviation[:, 0]) > 1)).any(), "an alarm of the reading inside"
    assert np.isfinite(told.expected).all()
