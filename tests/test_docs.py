"""The guides run as they stand, and give what they say."""

import re
from pathlib import Path

import numpy as np
import pytest

from ssmts import InnovationDetector
from ssmts.cli import parser
from ssmts.cli._watch_arguments import DETECTORS
from ssmts.stream import Arrange, Notes, Watch
from ssmts.stream.figures import figures


def ran(name):
    """Names of a page once its examples have run."""
    page = (Path(__file__).parents[1] / "docs" / name).read_text()
    names: dict = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), names)
    return names


def test_the_page_on_the_engine_runs():
    names = ran("engine.md")
    loglik = names["g"].loglik(names["nile"], names["y"], diffuse_constant=False)
    assert loglik == pytest.approx(-632.54, abs=0.01)  # KFAS
    assert names["found"].params["level"] == pytest.approx(1469, abs=1)
    assert names["found"].params["noise"] == pytest.approx(15099, abs=2)


def test_the_page_on_networks_runs():
    names = ran("networks.md")
    ahead = names["f"].predict(24).to_numpy().reshape(4, 24)
    hour = 600 + 3 * np.arange(4)[:, None] + np.arange(24)
    truth = 10 * np.arange(4)[:, None] + np.sin(2 * np.pi * hour / 24)
    assert np.abs(ahead - truth).mean() < 0.3
    assert (names["c"].predict(names["cases"][40:]) == names["label"][40:]).mean() > 0.7


def test_the_page_on_thresholds_runs():
    names = ran("thresholds.md")
    rates = names["rates"]
    assert rates.pop("nominal") > 10e-3
    assert all(rate < 2e-3 for rate in rates.values())
    for alarms in (names["never_ending"], names["soon_over"]):
        assert 1000 in alarms
    assert np.sum(names["never_ending"] > 4000) > 200
    assert np.sum(names["soon_over"] > 4000) < 20
    assert names["log_p"].shape == (2000, 1)


def test_the_page_on_detectors_runs():
    names = ran("detectors.md")
    assert names["alarms"].tolist() == [100, *range(300, 310)]
    assert names["scores"].shape == (48,)
    assert names["breaks"]["time"].astype(str).tolist() == ["1899"]


def test_the_page_on_incidents_runs():
    names = ran("incidents.md")
    table, calm = names["table"], names["calm"]
    assert list(zip(table["sensor"], table["kind"])) == list(zip(names["faults"]["sensor"], names["faults"]["kind"]))
    assert calm["kind"].tolist() == ["level_shift", "drift", "dropout"]
    assert [key for change, key in names["told"] if change == "opened"] == table.sort_values("detected")["id"].tolist()
    assert {key for change, key in names["told"] if change == "closed"} == set(table["id"])


def test_the_page_on_watching_runs():
    names = ran("watch.md")
    assert len(names["said"]) == 900 + len(names["news"])
    assert [(each["change"], each["sensor"], each["start"]) for each in names["news"][:1]] == [("opened", "flow", 700)]
    assert names["watch"].opened == sum(each["change"] == "opened" for each in names["news"])


def test_the_page_on_watching_names_what_there_is(capsys):
    page = (Path(__file__).parents[1] / "docs" / "watch.md").read_text()
    watch = Watch(InnovationDetector(), warmup=10)
    source = type("Source", (), {"lines": 0, "bad": 0})
    notes = Notes(print)
    for figure in figures(source, Arrange(notes), watch, notes, None):
        assert figure.name in page
    with pytest.raises(SystemExit):
        parser().parse_args(["watch", "--help"])
    help = capsys.readouterr().out
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)):
        assert option in help, option
    assert all(name in page for name in DETECTORS)
