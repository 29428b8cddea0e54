"""The house keeps its rules: layers, light imports, documented public names."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ssmts"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# What each room may import of the library besides itself; the exceptions are open to all.
CONTRACT = {
    "base",
    "base_detector",
    "_budget",
    "_sensor_rows",
    "panel",
    "_containers",
    "_form",
    "_grid",
    "_known",
    "timeindex",
    "_timeaxis",
    "_stampaxis",
    "_calendar",
    "target",
    "distributions",
    "forecasts",
}
MAY_IMPORT = {
    "core": set(),
    "components": {"core"},
    "estimation": {"core", "components"},
    "forecasting": {"core", "components", "estimation", "plotting"} | CONTRACT,
    "filtering": {"core", "components", "estimation", "forecasting", "plotting"} | CONTRACT,
    "detection": {"core", "components", "forecasting", "plotting"} | CONTRACT,
    "evaluation": {"through", "plotting"} | CONTRACT,
    "deep": {"core", "components", "plotting", "_files"} | CONTRACT,
    "preprocessing": CONTRACT,
    "report": {"detection", "_files", "__version__"} | CONTRACT,
    "datasets": set(),
    "stream": {"detection", "base_detector", "_containers", "persist", "_files"},
    "base": CONTRACT,
    "panel": CONTRACT,
    "_form": CONTRACT,
    "_grid": CONTRACT,
    "timeindex": CONTRACT,
    "forecasts": CONTRACT | {"plotting"},
}


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    """Rooms of the library that a file imports, inside functions too."""
    package = ("ssmts", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            full = (*base, *(node.module or "").split(".")) if node.module else base
            if full[:1] == ("ssmts",):
                yield from ([full[1]] if len(full) > 1 else [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ssmts."))


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if room(p) in MAY_IMPORT], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_arrows_point_down(path):
    allowed = MAY_IMPORT[room(path)] | {room(path), "exceptions"}
    assert set(imports_of(path)) <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_torch_is_imported_where_the_name_says_so(path):
    if room(path) in {"deep", "latent"} or path.stem.endswith("_torch"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert "torch" not in {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_public_names_have_docstrings(path):
    missing = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            members = node.body if isinstance(node, ast.ClassDef) else []
            inherited = (
                isinstance(node, ast.ClassDef) and node.bases
            )  # an override keeps the words of what it overrides
            for item in [node, *members]:
                if isinstance(item, ast.FunctionDef | ast.ClassDef) and not item.name.startswith("_"):
                    if not ast.get_docstring(item) and not (inherited and item is not node):
                        missing.append(f"{item.name}, line {item.lineno}")
    assert not missing


def loaded_after(statement):
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_the_ladder_loads_no_torch_unless_it_scans():
    assert "torch" not in loaded_after(
        "from ssmts.core import gaussian; from ssmts.core.gaussian._ladder import rung; rung('scan')"
    )


@pytest.mark.parametrize("absent", ["safetensors", None])
def test_a_star_import_needs_no_extra(absent):
    hide = "" if absent is None else f"import sys; sys.modules[{absent!r}] = None; "
    code = f"{hide}from ssmts import *; print('InnovationDetector' in dir(), 'SpaceTimeForecaster' in dir())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    extra = absent is None and all(importlib.util.find_spec(name) for name in ("torch", "safetensors"))
    assert run.stdout.split() == ["True", str(extra)]


def test_importing_the_package_loads_nothing_else():
    assert not loaded_after("import ssmts") & {"numpy", "pandas", "sklearn", "numba", "scipy"}


@pytest.mark.parametrize(
    "name", ["StructuralForecaster", "InnovationDetector", "Naive", "backtest", "KalmanImputer", "VARForecaster"]
)
def test_models_load_no_heavy_neighbour(name):
    heavy = {"torch", "statsmodels", "matplotlib", "polars", "skops"}
    assert not loaded_after(f"from ssmts import {name}") & heavy
