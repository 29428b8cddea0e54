"""Seeded series with labels, scores and alarms, and what published packages give for them.

Origin of the volumes: `TSB_AD.evaluation.basic_metrics.basic_metricor().RangeAUC_volume_opt` of TSB-AD 1.5, with
scores of the opposite sign; of the windows: `find_length_rank(values, rank=1)` of the same. Origin of the affiliation
numbers: the authors' code, as carried by TSB-AD 1.5 (`pr_from_events`). Origin of the range-based numbers: `ts_recall` (with
alpha=.2) and `ts_precision` (with alpha=0) of prts 1.0.0.3.
"""

import numpy as np


def case(seed):
    """Labels, scores (higher is more normal, many of them equal), alarms and the window of one series."""
    rng = np.random.RandomState(seed)  # its stream is frozen
    n = rng.randint(120, 400)
    labels = np.zeros(n, dtype=int)
    for _ in range(rng.randint(2, 8)):
        start = rng.randint(0, n)
        labels[start : start + rng.randint(1, 25)] = 1
    labels[:3] = seed % 2  # segments at both ends of the series
    labels[-2:] = seed % 2
    noise = rng.normal(size=n)
    scores = -np.round(noise + 1.5 * np.convolve(labels, np.ones(9) / 9, "same"), 1)
    smooth = np.convolve(noise, np.ones(5) / 5, "same") + 0.5 * labels
    return labels, scores, (smooth > np.quantile(smooth, 0.7)).astype(int), (0, 61, 20, 7, 100, 33)[seed]


def walk(seed):
    """A noisy season on a random walk."""
    rng = np.random.RandomState(seed)
    period = (24, 7, 150, 60)[seed % 4]
    return np.sin(2 * np.pi * np.arange(3000) / period) + rng.normal(size=3000) + 0.02 * rng.normal(size=3000).cumsum()


VOLUMES = [  # VUS-PR, VUS-ROC of each case
    (0.4901320579, 0.7802575107),
    (0.7863068385, 0.9322251903),
    (0.7952567061, 0.9114877472),
    (0.421581642, 0.7453839857),
    (0.9224498828, 0.9564836371),
    (0.7337532409, 0.9076308041),
]
AFFILIATION = [  # precision, recall of each case
    (0.6742124869, 0.7784122679),
    (0.6955761316, 0.9899237121),
    (0.7582501734, 0.9926883413),
    (0.5274004858, 0.9130907329),
    (0.7285185737, 0.9694499994),
    (0.6964875762, 0.8585949376),
]
RANGES = {  # bias, cardinality: recall, precision of each case
    ("flat", "reciprocal"): [
        (0.4375531136, 0.2905982906),
        (0.6392857143, 0.3411764706),
        (0.65, 0.3822916667),
        (0.5238636364, 0.1304347826),
        (0.5214490969, 0.3739130435),
        (0.4247826087, 0.3504464286),
    ],
    ("flat", "one"): [
        (0.5715164835, 0.2905982906),
        (0.7869047619, 0.3411764706),
        (0.8452380952, 0.3822916667),
        (0.5238636364, 0.1304347826),
        (0.6447044335, 0.3739130435),
        (0.5687922705, 0.3504464286),
    ],
    ("front", "reciprocal"): [
        (0.4422564103, 0.2807692308),
        (0.675210084, 0.3274509804),
        (0.6720473644, 0.3854166667),
        (0.579456328, 0.1304347826),
        (0.5189326765, 0.3739130435),
        (0.4657188866, 0.3487394958),
    ],
    ("middle", "one"): [
        (0.525580705, 0.2965384615),
        (0.7912698413, 0.3464052288),
        (0.8799051117, 0.3828703704),
        (0.5472222222, 0.1304347826),
        (0.6832698413, 0.3831521739),
        (0.5551851852, 0.3551587302),
    ],
    ("back", "reciprocal"): [
        (0.4328498168, 0.3004273504),
        (0.6033613445, 0.3549019608),
        (0.6279526356, 0.3791666667),
        (0.4682709447, 0.1304347826),
        (0.5239655172, 0.3739130435),
        (0.3838463308, 0.3521533613),
    ],
}
WINDOWS = [48, 35, 125, 60, 24, 7, 149, 61]  # of each walk
