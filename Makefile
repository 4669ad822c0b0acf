# The whole face: make demo, make test, make check, make bench, make docs. A fresh machine needs Python 3.11+ and make.
# Each installs what it needs into .venv the first time, and again only when pyproject.toml or constraints.txt change.

SHELL := /bin/sh
VENV := .venv
RUN := $(VENV)/bin/python
FOR_USE := $(VENV)/installed-for-use
FOR_WORK := $(VENV)/installed-for-work
PIP := $(RUN) -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --editable
KERNEL_TESTS = $(wildcard tests/unit/kernels tests/unit/features tests/unit/models tests/unit/drift)
PAGES = $(wildcard README.md CONTRIBUTING.md docs/*.md docs/*/*.md)

.PHONY: demo test check bench docs
.DELETE_ON_ERROR:

# A year of flights through the whole pipeline; results in .demo.
demo: $(FOR_USE)
	$(RUN) -m examples.flights.demo

# Each mode has a cache of its own, since Numba's does not know which mode it was written in. The whole suite comes
# last, so that its count is the last line. HEADRACE_JIT lets a test prove that the mode is the one that was meant.
test: $(FOR_WORK)
	HEADRACE_JIT=off NUMBA_DISABLE_JIT=1 NUMBA_CACHE_DIR="$(CURDIR)/$(VENV)/cache/off" \
		$(RUN) -m pytest -q -n 2 $(KERNEL_TESTS)
	HEADRACE_JIT=checked NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR="$(CURDIR)/$(VENV)/cache/checked" \
		$(RUN) -m pytest -q -n 2 $(KERNEL_TESTS)
	HEADRACE_JIT=compiled $(RUN) -m pytest -q -n 2

# Lint, format, types (ours strictly, and the example as a user's checkers see it), import layers.
check: $(FOR_WORK)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy --strict src examples
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(RUN) -m pyright examples/flights/pipeline.py
	$(VENV)/bin/lint-imports --no-logo

# Every benchmark, and benchmarks/RESULTS.md written anew.
bench: $(FOR_WORK)
	$(RUN) -m benchmarks all --write

# The examples in the pages run.
docs: $(FOR_WORK)
	$(RUN) -m pytest -q $(PAGES)

$(FOR_USE): pyproject.toml constraints.txt | $(RUN)
	@echo "installing headrace and its example's data into $(VENV) ..."
	@$(PIP) '.[examples]'
	@touch $@

$(FOR_WORK): pyproject.toml constraints.txt | $(RUN)
	@echo "installing headrace and its tools into $(VENV) ..."
	@$(PIP) '.[examples,dev]'
	@touch $(FOR_USE) $@

$(RUN):
	@for python in python3 python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			$$python -m venv $(VENV) && exit; \
			rm -rf $(VENV); \
			echo "headrace: $$python cannot make a virtual environment (on Debian: apt-get install python3-venv)" >&2; exit 3; \
		fi; \
	done; \
	echo "headrace needs Python 3.11 or later: none of python3, python3.13, python3.12, python3.11 is" >&2; exit 3
