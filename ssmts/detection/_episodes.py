"""The quick part of incident tracking: one pass over rows that keeps an episode of every sensor, and stops where something happens.

`scan` goes through readings in order and returns at the first thing that an incident is made of, with its place; called again
it goes on from there. What it knows is one row of numbers a sensor, whose columns are named below, so that memory is constant
and a stream that is cut into blocks tells the same story.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..core.types import Array
from .robust import kernel
from .usual import follow

__all__ = ["FIELDS", "Rules", "scan"]

FIELDS = (
    "centre",  # by how much the slow centre has moved since training
    "scale_var",  # of readings from centre and cycle
    "noise_var",  # of what is new in a reading
    "seen",  # time of the last reading
    "value",  # the last reading
    "residual",  # its distance from centre and cycle
    "short",  # short mean of the residuals
    "left",  # time at which the short mean went further than one of its standard deviations
    "outside",  # readings since then; 0 within
    "widened",  # share by which the bound of the short mean is wider than after training
    "run",  # equal readings up to the last one
    "run_start",  # time of the first of them
    "grace",  # readings still to come that open nothing
    "breaches",  # consecutive ones
    "quiet_until",  # end of the refractory time
    "open",  # 1 while there is an episode
    "silent",  # 1 while data are missing, 2 for the gap after that
    "back",  # time at which they came again
    "start",  # of the episode
    "cause",  # one of those below
    "last",  # time of its last reading that was off
    "last_breach",
    "clears",  # consecutive ones after that
    "before",  # short mean before the episode
    "off_since",  # time at which the short mean went off before
    "speed",  # at which the short mean has gone away since then, a reading
    "n",  # readings of the episode
    "n_kept",  # of them up to the last one that was off
    "n_off",  # of them further from what was before than `FAR` standard deviations of noise
    "n_jumps",  # of them as far from the reading before
    "signs",  # sum of the signs of those that are off
    "n_first",  # of the first `FIRST` readings
    "first",  # their sum
    "moved",  # largest distance of the short mean from what it was before
    "log_p",  # least one
    "peak",  # largest distance from the slow range, in standard deviations
    "peak_value",
    "peak_expected",
    "peak_scale",
    "check",  # number of readings at which to look again
)
(
    CENTRE, SCALE_VAR, NOISE_VAR, SEEN, VALUE, RESIDUAL, SHORT, LEFT, OUTSIDE, WIDENED, RUN, RUN_START, GRACE, BREACHES,
    QUIET_UNTIL, OPEN, SILENT, BACK_AT, START, CAUSE, LAST, LAST_BREACH, CLEARS, BEFORE, OFF_SINCE, SPEED, N, N_KEPT,
    N_OFF, N_JUMPS, SIGNS, N_FIRST, FIRST_SUM, MOVED, LOG_P, PEAK, PEAK_VALUE, PEAK_EXPECTED, PEAK_SCALE, CHECK,
) = range(len(FIELDS))  # fmt: skip

ALARM, SLOW, STUCK = 1.0, 2.0, 3.0  # causes: rows in alarm, the short mean outside the slow range, equal readings
NOTHING, OPENED, CHECKED, CLOSED, MISSING, COMPLETE = range(6)  # what happened

FAR = 3.0  # standard deviations of noise
FIRST = 5  # readings whose mean is compared with what was before
HELD = 0.5  # share of the largest distance at which a sensor still counts as moved
LEAST_HELD = 2.0  # standard deviations of noise that it must be off for that
WIDER, WIDEST = (
    0.5,
    100.0,
)  # share by which a sensor that has left its slow range may wander further before it does so again, and most
CLIP = 2.0  # standard deviations up to which a reading moves the baseline
CLIPPED_VAR = 0.9205369  # E[min(z^2, 4)] of a normal z


class Rules(NamedTuple):
    """The options of a tracker as numbers; times in the unit of the rows' times.

    Attributes
    ----------
    raise_at, clear_at : log p-values below which a row breaches, and from which on it is clear.
    breaches, clears : consecutive ones that open and close.
    gap, refractory, release : times, see `IncidentTracker`.
    grace : readings after a silence that open nothing.
    pace : weight of a reading in the baseline.
    """

    raise_at: float
    clear_at: float
    breaches: float
    clears: float
    gap: float
    refractory: float
    release: float
    grace: float
    pace: float


@kernel
def scan(
    S: Array, coef: Array, pulse: float, limits: Array, mutes: Array, rules: Rules,
    log_p: Array, share: Array, log_p_sensor: Array, expected: Array, y: Array, times: Array, t: int, i: int,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Go on from sensor i of row t to the next thing that happens: row, sensor to go on with, sensor that it happened to, and what.

    `S` (n_sensors, n_fields) is moved on. `limits` (n_sensors, 5) are floor, longest silence, longest run of equal readings, and the
    short mean's bound and standard deviation. `mutes` (n, 3) are start, end and sensor (-1: all) of the suppressed stretches.
    """
    d = y.shape[1]
    while t < y.shape[0]:
        blamed = _blamed(log_p[t], share, t, rules.raise_at)
        c, s = math.cos(pulse * times[t]), math.sin(pulse * times[t])
        while i < d:
            cycle = coef[i, 0]
            if pulse != 0.0:
                cycle += coef[i, 1] * c + coef[i, 2] * s + coef[i, 3] * (c * c - s * s) + coef[i, 4] * (2.0 * s * c)
            muted = _muted(mutes, times[t], i)
            happened = _silence(S[i], limits[i], y[t, i], times[t], muted, rules)
            if happened != NOTHING:
                return t, (i + 1 if math.isnan(y[t, i]) else i), i, happened
            if not math.isnan(y[t, i]):
                own = log_p_sensor[t, i]
                breach = log_p[t] < rules.raise_at and (i == blamed or own < rules.raise_at)
                clear = log_p[t] >= rules.clear_at or (i != blamed and own >= rules.clear_at)
                happened = _reading(
                    S[i], limits[i], y[t, i], cycle, expected[t, i], times[t], log_p[t], breach, clear, muted, rules
                )
            i += 1
            if happened != NOTHING:
                return t, i, i - 1, happened
        t, i = t + 1, 0
    return t, i, -1, NOTHING


@kernel
def _blamed(log_p: float, share: Array, t: int, raise_at: float) -> int:
    """The sensor with the largest share of a row in alarm, -1 without an alarm."""
    best = -1
    if log_p < raise_at:
        for j in range(share.shape[1]):
            if not math.isnan(share[t, j]) and (best < 0 or share[t, j] > share[t, best]):
                best = j
    return best


@kernel
def _muted(mutes: Array, now: float, i: int) -> bool:
    inside = False
    for k in range(mutes.shape[0]):
        inside = inside or (mutes[k, 0] <= now <= mutes[k, 1] and (mutes[k, 2] < 0 or mutes[k, 2] == i))
    return inside


@kernel
def _silence(s: Array, limits: Array, y: float, now: float, muted: bool, rules: Rules) -> int:
    """Whether data begin to be missing, or have been complete again for long enough.

    A silence that shows only when it is over, because no rows came, has both one after the other.
    """
    if math.isnan(s[SEEN]):
        s[SEEN] = now
    if s[SILENT] != 1.0 and now - s[SEEN] > limits[1] and not muted:
        merged = s[SILENT] == 2.0
        s[SILENT] = 1.0
        if not merged:
            return MISSING
    if s[SILENT] == 1.0 and not math.isnan(y):
        s[SILENT], s[BACK_AT], s[SEEN], s[GRACE] = 2.0, now, now, rules.grace
    if s[SILENT] == 2.0 and now - s[BACK_AT] >= rules.gap:
        s[SILENT] = 0.0
        return COMPLETE
    return NOTHING


@kernel
def _reading(
    s: Array, limits: Array, y: float, cycle: float, expected: float, now: float, log_p: float,
    breach: bool, clear: bool, muted: bool, rules: Rules,
) -> int:  # fmt: skip
    """One reading of one sensor: opens, goes on with or closes its episode, or moves the baseline."""
    r = y - cycle - s[CENTRE]
    noise = math.sqrt(s[NOISE_VAR])
    if y == s[VALUE]:
        s[RUN] += 1.0
    else:
        s[RUN], s[RUN_START] = 1.0, now
    jump = 0.0 if math.isnan(s[RESIDUAL]) else r - s[RESIDUAL]
    before = r if math.isnan(s[SHORT]) else s[SHORT]
    if now - s[SEEN] > limits[1]:  # suppressed, or it would have been noticed
        s[GRACE] = rules.grace
    s[SHORT] = follow(before, r, noise)
    off = max(abs(r), 0.0 if math.isnan(expected) else abs(y - expected))
    breach = breach and off >= limits[0] and s[GRACE] == 0.0
    w = abs(s[SHORT]) / (limits[4] * (1.0 + s[WIDENED]))
    s[OUTSIDE] = 0.0 if w < 1.0 else s[OUTSIDE] + 1.0
    if s[OUTSIDE] == 1.0:
        s[LEFT] = now
    slow = w >= limits[3] and abs(s[SHORT]) >= limits[0] and s[GRACE] == 0.0
    s[SEEN], s[VALUE], s[RESIDUAL] = now, y, r
    s[GRACE] = max(s[GRACE] - 1.0, 0.0)
    stuck = s[RUN] >= limits[2]
    if s[OPEN] == 1.0:
        happened: int = _going_on(s, limits, r, y, jump, noise, now, log_p, breach, slow, stuck, clear, rules)
        return happened
    awake = not muted and now >= s[QUIET_UNTIL]
    if breach and awake:
        if s[BREACHES] == 0.0:
            _begin(s, ALARM, now, before)
        s[BREACHES] += 1.0
        _gather(s, r, y, jump, noise, log_p, True)
        if s[BREACHES] < rules.breaches:
            return NOTHING
    elif (slow or stuck) and awake:
        _begin(s, STUCK if stuck else SLOW, s[RUN_START] if stuck else s[LEFT], r if stuck else 0.0)
        _gather(s, r, y, jump, noise, log_p, False)
    else:
        s[BREACHES] = 0.0
        if not muted and not breach:
            _adapt(s, r, jump, rules.pace)
        return NOTHING
    s[OPEN], s[LAST], s[LAST_BREACH], s[N_KEPT] = 1.0, now, now, s[N]
    return OPENED


@kernel
def _begin(s: Array, cause: float, start: float, before: float) -> None:
    """A new episode, without a reading yet."""
    for k in range(START, CHECK):
        s[k] = 0.0
    s[CAUSE], s[START], s[BEFORE], s[CHECK] = cause, start, before, 4.0
    s[OFF_SINCE], s[SPEED] = s[LEFT] if s[OUTSIDE] > 0.0 else start, abs(s[SHORT]) / max(s[OUTSIDE], 1.0)


@kernel
def _gather(s: Array, r: float, y: float, jump: float, noise: float, log_p: float, breach: bool) -> None:
    """Count a reading in its episode."""
    s[N] += 1.0
    away = r - s[BEFORE]
    if abs(away) > FAR * noise:
        s[N_OFF] += 1.0
        s[SIGNS] += 1.0 if away > 0.0 else -1.0
    if abs(jump) > FAR * math.sqrt(2.0) * noise:
        s[N_JUMPS] += 1.0
    if s[N_FIRST] < FIRST:
        s[N_FIRST] += 1.0
        s[FIRST_SUM] += away
    if abs(s[SHORT] - s[BEFORE]) > abs(s[MOVED]):
        s[MOVED] = s[SHORT] - s[BEFORE]
    if breach:
        s[LOG_P] = min(s[LOG_P], log_p)
    scale = math.sqrt(s[SCALE_VAR])
    if abs(r) / scale > abs(s[PEAK]) or s[N] == 1.0:
        s[PEAK], s[PEAK_VALUE], s[PEAK_EXPECTED], s[PEAK_SCALE] = r / scale, y, y - r, scale


@kernel
def _going_on(
    s: Array, limits: Array, r: float, y: float, jump: float, noise: float, now: float, log_p: float,
    breach: bool, slow: bool, stuck: bool, clear: bool, rules: Rules,
) -> int:  # fmt: skip
    """A reading of an open episode."""
    _gather(s, r, y, jump, noise, log_p, breach)
    if stuck:
        s[CAUSE] = STUCK
    if breach or stuck:
        s[LAST_BREACH] = now
    away = s[SHORT] - s[BEFORE]
    least = max(HELD * abs(s[MOVED]), LEAST_HELD * max(noise, limits[4]))
    # Back towards the slow range is an end and no shift.
    held = abs(away) >= least and away * s[MOVED] > 0.0 and abs(s[SHORT]) > abs(s[BEFORE])
    if breach or slow or stuck or held:
        s[LAST], s[N_KEPT], s[CLEARS] = now, s[N], 0.0
    elif clear:
        s[CLEARS] += 1.0
    released = now - s[LAST_BREACH] >= rules.release
    if released or (s[CLEARS] >= rules.clears and now - s[LAST] >= rules.gap):
        if released and (slow or held):  # what has lasted so long is the new normal
            s[CENTRE] += s[SHORT]
            s[RESIDUAL] -= s[SHORT]
            s[SHORT], s[OUTSIDE] = 0.0, 0.0
        if s[CAUSE] == SLOW:
            s[WIDENED] = min((1.0 + WIDER) * (1.0 + s[WIDENED]) - 1.0, WIDEST)
        if s[OUTSIDE] > 0.0:
            s[LEFT] = now  # what is still away belongs to the next episode from here on, so that no two begin together
        s[OPEN], s[BREACHES], s[QUIET_UNTIL] = 0.0, 0.0, s[LAST] + rules.refractory
        return CLOSED
    if s[N] >= s[CHECK]:
        s[CHECK] = 2.0 * s[N]
        return CHECKED
    return NOTHING


@kernel
def _adapt(s: Array, r: float, jump: float, pace: float) -> None:
    """Let a reading move the slow centre, its range and the noise a little, by no more than `CLIP` standard deviations."""
    scale = math.sqrt(s[SCALE_VAR])
    move = pace * min(max(r, -CLIP * scale), CLIP * scale)
    s[CENTRE] += move
    s[RESIDUAL] -= move
    s[SHORT] -= move
    s[WIDENED] -= pace * s[WIDENED]
    s[SCALE_VAR] += pace * (min(r * r, CLIP * CLIP * s[SCALE_VAR]) / CLIPPED_VAR - s[SCALE_VAR])
    if jump != 0.0:
        s[NOISE_VAR] += pace * (min(0.5 * jump * jump, CLIP * CLIP * s[NOISE_VAR]) / CLIPPED_VAR - s[NOISE_VAR])
