"""The NAB score against a loop over the definition, examples by hand, and the results NAB has published."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from ssmts.datasets import list_datasets, load_nab
from ssmts.evaluation.anomaly import nab_score, window_labels
from ssmts.exceptions import InputError

PROFILES = {"standard": (1, 1, 0.11), "reward_low_FP_rate": (1, 1, 0.22), "reward_low_FN_rate": (1, 2, 0.11)}


def sigmoid(p):
    return -1.0 if p >= 3 else 2 / (1 + math.exp(5 * p)) - 1


def row_by_row(corpus, threshold, found, missed, false):
    """Scaled score of a corpus of (labels, scores) by the definition: every window and every false alarm on its own."""
    total, n_windows = 0.0, 0
    for y, scores in corpus:
        n = len(y)
        windows, i = [], 0
        while i < n:
            if y[i]:
                start = i
                while i + 1 < n and y[i + 1]:
                    i += 1
                windows.append((start, i))
            i += 1
        hit = [s >= threshold and i >= min(math.floor(0.15 * n), 0.15 * 5000) for i, s in enumerate(scores)]
        for start, end in windows:
            width = end - start + 1
            worth = [found * sigmoid(-(end - i + 1) / width) / sigmoid(-1) for i in range(start, end + 1) if hit[i]]
            total += max(worth) if worth else -missed
            n_windows += 1
        for i in range(n):
            if hit[i] and not y[i]:
                before = [(start, end) for start, end in windows if end < i]
                p = 3.0 if not before else (i - before[-1][1]) / (before[-1][1] - before[-1][0])
                total += false * sigmoid(p)
    return 100 * (total + missed * n_windows) / ((found + missed) * n_windows)


def some_corpus(seed, n_series=3):
    rng = np.random.default_rng(seed)
    corpus = []
    for _ in range(n_series):
        n = int(rng.integers(60, 120))
        y = np.zeros(n, dtype=int)
        for start in rng.choice(np.arange(20, n - 12, 13), 2, replace=False):
            y[start : start + int(rng.integers(2, 9))] = 1
        scores = np.round(rng.uniform(size=n) * rng.uniform(size=n) + 0.2 * y * rng.uniform(size=n), 2)  # with ties
        corpus.append((y, scores))
    return corpus


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", range(6))
def test_equals_a_loop_over_every_threshold(seed, profile):
    corpus = some_corpus(seed)
    y, scores = [each[0] for each in corpus], [-each[1] for each in corpus]
    thresholds = np.unique(np.concatenate([each[1] for each in corpus]))
    by_loop = np.array([row_by_row(corpus, threshold, *PROFILES[profile]) for threshold in thresholds])
    for threshold, expected in zip(thresholds[::7], by_loop[::7]):
        result = nab_score(y, scores, profile=profile, threshold=1e-9 - threshold)
        assert result.score == pytest.approx(expected, abs=1e-9)
    result = nab_score(y, scores, profile=profile)
    assert result.score == pytest.approx(max(0, by_loop.max()), abs=1e-9)
    if by_loop.max() > 0:
        fewest = thresholds[by_loop > by_loop.max() - 1e-7].max()
        assert result.threshold == np.nextafter(-fewest, np.inf)
    assert nab_score(y, scores, profile=profile, threshold=result.threshold) == result


def test_perfect_silent_and_late():
    y = np.zeros(200)
    y[100:110] = y[150:160] = 1
    first, silent = np.zeros(200), np.zeros(200)
    first[[100, 150]] = 1
    assert nab_score(y, -first) == (100.0, np.nextafter(-1, 0), {0: pytest.approx(2.0)})
    for profile, (_, missed, _) in PROFILES.items():
        # One constant score, alarms everywhere or nowhere: nowhere is better.
        assert nab_score(y, silent, profile=profile) == (0.0, -np.inf, {0: -2.0 * missed})
    late = np.zeros(200)
    late[[109, 150]] = 1  # the last row of a window of 10: p = -1/10
    assert nab_score(y, np.where(first, -np.inf, -first)).score == 100
    assert nab_score(y, -late).score == pytest.approx(100 * (2 + 1 + sigmoid(-0.1) / sigmoid(-1)) / 4)
    wrong = first.copy()
    wrong[60] = wrong[10] = 1  # row 60 costs .11 of 4; the first 30 rows are not judged
    assert nab_score(y, -wrong).score == pytest.approx(100 - 100 * 0.11 / 4)
    twice = first.copy()
    twice[101:110] = 1  # further detections in a window change nothing
    assert nab_score(y, -twice).score == pytest.approx(100)


def test_windows_of_one_row_and_windows_not_judged():
    y, scores = np.zeros(100), np.zeros(100)
    y[50] = 1
    scores[[50, 51]] = 1
    assert nab_score(y, -scores).score == pytest.approx(100 * (2 - 0.11) / 2)  # a false alarm after it costs all of .11
    y[5:10] = 1  # over before row 15, the first one judged
    assert nab_score(y, -scores).by_series == {0: pytest.approx(1 - 0.11)}
    y[:] = 0
    y[5:20] = y[60:65] = 1  # of the first window five rows are judged
    scores[[10, 17, 62]] = 1
    expected = row_by_row([(y, scores)], 1, 1, 1, 0.11)
    assert nab_score(y, -scores, threshold=-0.5).score == pytest.approx(expected)


def test_containers_give_the_same():
    corpus = some_corpus(0)
    y, scores = [list(each) for each in zip(*corpus)]
    names = ["a", "b", "c"]
    stamps = [pd.date_range("2024-01-01", periods=len(each)) for each in y]
    expected = nab_score(y, scores)
    for true, values in [
        (dict(zip(names, y)), dict(zip(names, scores))),
        (dict(zip(names, y)), dict(zip(names[::-1], scores[::-1]))),
        (
            {name: pd.Series(each, at) for name, each, at in zip(names, y, stamps)},
            {name: pd.Series(each, at) for name, each, at in zip(names, scores, stamps)},
        ),
    ]:
        result = nab_score(true, values)
        assert result[:2] == expected[:2]
        assert list(result.by_series) == names
        assert list(result.by_series.values()) == list(expected.by_series.values())
    assert nab_score(y[0].tolist(), scores[0].tolist()) == nab_score(y[:1], scores[:1])


def test_bad_input_is_refused():
    y, scores = np.zeros(40), np.zeros(40)
    y[20:25] = 1
    stamps = pd.date_range("2024-01-01", periods=40)
    for true, values, options, what in [
        (y, scores[:-1], {}, "scores of series 0 has 39 rows, labels of series 0 has 40"),
        (y, np.where(np.arange(40) == 3, np.nan, scores), {}, "nan in row 3"),
        (y, np.where(np.arange(40) == 3, np.inf, scores), {}, "inf in row 3"),
        (y - 1, scores, {}, "has -1.0 in row 0"),
        ({"a": y, "b": y + 0.5}, {"a": scores, "b": scores}, {}, "labels of series 'b' has 0.5"),
        (np.zeros(40), scores, {}, "no window in the rows judged"),
        (np.arange(40) < 3, scores, {}, "no window in the rows judged"),
        ({"a": y}, {"b": scores}, {}, "in one of them only"),
        ([y, y], [scores], {}, "in one of them only"),
        (y, scores[:, None], {}, r"shape \(40, 1\)"),
        (pd.Series(y, stamps), pd.Series(scores, stamps[::-1]), {}, "different indexes"),
        (y, scores, {"profile": "low"}, "'reward_low_FP_rate'"),
        (y, scores, {"threshold": np.nan}, "threshold is NaN"),
    ]:
        with pytest.raises(InputError, match=what):
            nab_score(true, values, **options)


def test_labels_of_windows():
    stamps = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-05", "2024-01-04"])
    windows = pd.DataFrame({"start": ["2024-01-02"], "end": ["2024-01-04"]})
    labels = window_labels(stamps, windows)
    assert labels.tolist() == [0, 1, 1, 0, 1]
    assert labels.index is stamps
    assert window_labels(stamps, []).sum() == 0
    assert window_labels(pd.RangeIndex(4), [(1, 2)]).tolist() == [0, 1, 1, 0]
    with pytest.raises(InputError, match="No row lies in the window from 2025-01-01"):
        window_labels(stamps, [("2025-01-01", "2025-01-02")])


def windowed_gaussian(y, size=6400, step=100):
    """One minus the tail probability of each value under mean and deviation of the rows before, to NAB's 12 digits.

    Until `size` rows have passed the window grows row by row, then it moves `step` rows at a time.
    """
    scores, window, waiting = np.zeros(len(y)), y[:1], 0
    moments = y[0], 1e-6
    for i in range(1, len(y)):
        mean, deviation = moments
        scores[i] = 1 - 0.5 * special.erfc(abs(y[i] - mean) / deviation / math.sqrt(2))
        if i < size:
            window = y[: i + 1]
        else:
            waiting += 1
            if waiting < step:
                continue
            waiting, window = 0, y[i + 1 - size : i + 1]
        moments = window.mean(), window.std() or 1e-6
    return scores.round(12)


def relative_entropy(y, n_bins=5, size=52, level=0.01):
    """1 where the histogram of the last rows agrees with none of those seen before (Wang et al. 2011), else 0.

    Two agree if twice the relative entropy of the counts is below the quantile of chi-squared.
    """
    scores, width = np.zeros(len(y)), (y.max() - y.min()) / n_bins
    if width == 0:
        return scores
    bins = np.minimum([math.ceil((value - y.min()) / width) for value in y], n_bins - 1)
    bound, seen, hypotheses = stats.chi2.isf(level, n_bins - 1), set(), np.empty((0, n_bins))
    for i in range(size - 1, len(y)):
        counts = tuple(np.bincount(bins[i + 1 - size : i + 1], minlength=n_bins).tolist())
        if counts in seen:  # it was accepted, or became a hypothesis
            continue
        seen.add(counts)
        share = np.array(counts) / size
        if not (2 * size * special.rel_entr(share, hypotheses).sum(axis=1) < bound).any():
            scores[i] = len(hypotheses) > 0
            hypotheses = np.vstack([hypotheses, share])
    return scores


@pytest.fixture(scope="module")
def corpus():
    names = list_datasets("nab").index.get_level_values("name")
    sets = {name: load_nab(name) for name in names}
    labels = {name: window_labels(data.index, card.labels) for name, (data, card) in sets.items()}
    return labels, {name: data.to_numpy() for name, (data, _) in sets.items()}


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "detector"),
    [
        ("null", lambda y: np.full(len(y), 0.5)),
        ("relativeEntropy", relative_entropy),
        ("windowedGaussian", windowed_gaussian),
    ],
)
def test_the_results_nab_has_published(corpus, data_folder, name, detector):
    published = json.loads((data_folder / "nab" / "final_results.json").read_text())[name]
    labels, values = corpus
    scores = {series: -detector(y) for series, y in values.items()}
    for profile, expected in published.items():
        assert nab_score(labels, scores, profile=profile).score == pytest.approx(expected, abs=1e-6)


@pytest.mark.data
def test_each_file_scores_what_nab_has_published(corpus):
    """Some rows of NAB's results/relativeEntropy/relativeEntropy_standard_scores.csv."""
    labels, values = corpus
    result = nab_score(labels, {series: -relative_entropy(y) for series, y in values.items()}, threshold=-0.5)
    by_file = {series.rsplit("/")[-1]: score for series, score in result.by_series.items()}
    for name, expected in {
        "nyc_taxi": 3.83335967699,
        "machine_temperature_system_failure": -0.916101489945,  # its stamps go back once
        "ambient_temperature_system_failure": -1.39979253026,
        "exchange-2_cpc_results": -0.525094509197,
        "speed_7578": 3.34891620107,
        "art_daily_small_noise": -0.55,
        "art_flatline": 0.0,
        "Twitter_volume_UPS": 1.42984898725,
        "rogue_agent_key_hold": -1.51582076131,
    }.items():
        assert by_file[name] == pytest.approx(expected, abs=1e-9)
    assert sum(by_file.values()) == pytest.approx(10.7711775285, abs=1e-9)
