"""Measures of change points: examples of their authors, extremes, and bad input."""

import json

import pytest

from ssmts.evaluation.anomaly import change_point_f1, segment_covering
from ssmts.exceptions import InputError

# Examples in the evaluation code of the Turing change point benchmark (van den Burg and Williams 2020),
# github.com/alan-turing-institute/TCPDBench, analysis/scripts/metrics.py.
COVERINGS = [
    ([[10, 20], [10], [0, 5]], [10, 20], 0.7962962962962963),
    ([[], [10], [40]], [10], 0.7954144620811286),
    ([[], [10], [40]], [], 0.8189300411522634),
]
F1S = [
    ([[10, 20], [11, 20], [10], [0, 5]], [10, 20], 1.0),
    ([[], [10], [50]], [10], 0.9090909090909091),
    ([[], [10], [50]], [], 0.8),
]
# And its published scores of the method that finds nothing: covering, F1.
NOTHING = {
    "nile": (0.75808, 0.8235294117647058),
    "well_log": (0.22457547325102878, 0.23702252693437809),
    "brent_spot": (0.2658176, 0.3146067415730337),
    "quality_control_5": (1.0, 1.0),
    "us_population": (0.8033761053440983, 0.888888888888889),
}


@pytest.mark.parametrize("marks, found, published", COVERINGS)
def test_coverings_of_the_authors(marks, found, published):
    assert segment_covering(marks, found, 45) == pytest.approx(published, rel=1e-12)


@pytest.mark.parametrize("marks, found, published", F1S)
def test_f1s_of_the_authors(marks, found, published):
    assert change_point_f1(marks, found) == pytest.approx(published, rel=1e-12)


@pytest.mark.data
@pytest.mark.parametrize("name", NOTHING)
def test_published_scores_of_finding_nothing(data_folder, name):
    folder = data_folder / "tcpd"
    marks = list(json.loads((folder / "annotations.json").read_text())[name].values())
    n = json.loads((folder / f"{name}.json").read_text())["n_obs"]
    assert segment_covering(marks, [], n) == pytest.approx(NOTHING[name][0], rel=1e-12)
    assert change_point_f1(marks, []) == pytest.approx(NOTHING[name][1], rel=1e-12)


def test_a_change_serves_for_one_mark():
    assert change_point_f1([[10, 12]], [11]) == pytest.approx(2 * 1.0 * (2 / 3) / (1.0 + 2 / 3))
    assert change_point_f1([[10]], [9, 11]) == pytest.approx(2 * 1.0 * (2 / 3) / (1.0 + 2 / 3))


def test_a_perfect_answer_scores_one_and_a_margin_is_respected():
    assert segment_covering([[3, 7], [3, 7]], [3, 7], 12) == 1.0
    assert change_point_f1([[30, 70]], [35, 65]) == 1.0
    assert change_point_f1([[30, 70]], [35, 65], margin=4) == pytest.approx(1 / 3)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="one list of rows for each person"):
        segment_covering([10, 20], [10], 45)
    with pytest.raises(InputError, match="one list of rows for each person"):
        change_point_f1([], [10])
    with pytest.raises(InputError, match=r"found has rows from 10 to 45, but the series has rows 0..44"):
        segment_covering([[10]], [10, 45], 45)
    with pytest.raises(InputError, match="marks has rows from -1"):
        change_point_f1([[-1]], [10])
    with pytest.raises(InputError, match="margin is -1"):
        change_point_f1([[1]], [10], margin=-1)
