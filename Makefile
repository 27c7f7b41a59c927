# make demo   installs into .venv and runs the quickstart study
# make test   installs into .venv and runs every check
# make soak   kills studies again and again, for about a quarter of an hour, and sees that nothing is lost
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(name)),$(name))))
BIN := .venv/bin
STUDY := runs/quickstart

.PHONY: demo test soak format lint types tests clean

demo: .venv/installed
	$(BIN)/archfront run studies/quickstart.yaml --directory $(STUDY)

test: .venv/installed-tests format lint types tests

soak: .venv/installed-tests
	$(BIN)/python -m tests.soak --kills 30 --trials 40
	$(BIN)/python -m tests.soak --kills 6 --trials 12 --real

format:
	$(BIN)/ruff format --check .

lint:
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

tests:
	$(BIN)/pytest --durations=15

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "archfront needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed-tests: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch .venv/installed $@

clean:
	rm -rf .venv runs .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
