# The two commands for a new machine with Python 3.11 and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests start many programs: Python compiles the source once, not in each, whatever the machine says.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test check format bench bench-deps clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "flexpeer needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(VENV)/installed
	rm -rf out/demo
	$(BIN)/flexpeer demo --out out/demo

test: $(VENV)/installed
	$(BIN)/pytest

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-deps: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'

bench: $(VENV)/installed
	$(BIN)/flexpeer bench clearing
	$(BIN)/flexpeer bench market
	$(BIN)/flexpeer bench grid
	$(BIN)/python -m benchmarks.market_day

clean:
	rm -rf $(VENV) build out
