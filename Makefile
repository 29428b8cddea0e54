# Each target sets up what it needs: `make demo` and `make test` work on a machine with only Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_FLAGS := --quiet --disable-pip-version-check
# numba does not notice a change in a function imported from another file, so the development cache is keyed on the kernels.
export NUMBA_CACHE_DIR := $(CURDIR)/.numba_cache/$(shell grep -rl --include='*.py' numba ssmts | LC_ALL=C sort | xargs cat | cksum | cut -d' ' -f1)
export MPLBACKEND := Agg

.PHONY: demo test test-slow test-pandas2 lint format docs clean

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ssmts needs Python >= 3.11: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev,plot,stream,deep]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/python examples/demo.py

# As many workers as cores: threads of their own would only wait for each other.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/.ready
	$(BIN)/python -m pytest -n auto -m 'not slow' --cov --cov-report=term $(ARGS)

test-slow: $(VENV)/.ready
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The same tests on the oldest supported pandas.
.venv-pandas2/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-pandas2
	sed -e 's/^pandas==.*/pandas==2.2.3/' -e '/^pandas-stubs/d' constraints.txt > .venv-pandas2/constraints.txt
	.venv-pandas2/bin/python -m pip install $(PIP_FLAGS) -c .venv-pandas2/constraints.txt -e '.[dev,plot,stream,deep]'
	touch $@

test-pandas2: export OMP_NUM_THREADS := 1
test-pandas2: .venv-pandas2/.ready
	.venv-pandas2/bin/python -m pytest -n auto -m 'not slow' $(ARGS)

docs: $(VENV)/.ready
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[docs]'
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html

clean:
	rm -rf $(VENV) .venv-pandas2 .numba_cache .pytest_cache .mypy_cache .ruff_cache .coverage* build dist docs/_build docs/api docs/gallery docs/sg_execution_times.rst demo_output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
