"""The guide runs as it stands, and gives what it says."""

import re
from pathlib import Path

import pytest


def test_the_page_on_the_engine_runs():
    page = (Path(__file__).parents[1] / "docs" / "engine.md").read_text()
    names: dict = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), names)
    loglik = names["g"].loglik(names["nile"], names["y"], diffuse_constant=False)
    assert loglik == pytest.approx(-632.54, abs=0.01)  # KFAS
    assert names["found"].params["level"] == pytest.approx(1469, abs=1)
    assert names["found"].params["noise"] == pytest.approx(15099, abs=2)
