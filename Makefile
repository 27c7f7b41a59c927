# make install   installs into .venv, with what verifies an export of the default format
# make demo   installs into .venv, with what verifies an export of the default format, and runs the quickstart study
# make test   installs into .venv and runs every check that takes seconds
# make test-more  installs every runtime, for a quarter of an hour the first time, and runs the rest; what is missing fails
# make fuzz   changes files at random for half an hour (MINUTES=30) and sees that each is read or refused in a sentence
# make soak   kills studies again and again, for about a quarter of an hour, and sees that nothing is lost
# make soak-cluster   takes nodes, workers, driver and head of a cluster on this machine away again and again (FAULTS=20, TRIALS=40, SEED=0)
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(name)),$(name))))
BIN := .venv/bin
STUDY := runs/quickstart
WHEELS ?= .wheels
MINUTES ?= 30
FAULTS ?= 20
TRIALS ?= 40
SEED ?= 0
LLAMA_CPP := $(WHEELS)/llama-cpp-python-$(shell sed -n 's/^llama_cpp_python==//p' constraints.txt)

.PHONY: demo install test test-more soak soak-cluster fuzz format lint types tests clean

demo: .venv/installed
	$(BIN)/archfront run studies/quickstart.yaml --directory $(STUDY)

install: .venv/installed

test: .venv/installed-tests format lint types tests

test-more: .venv/installed-more
	ARCHFRONT_REQUIRE_ALL=1 $(BIN)/pytest -m "more or needs" -n 2 -rs --durations=25

soak: .venv/installed-tests
	$(BIN)/python -m tests.soak --kills 30 --trials 40
	$(BIN)/python -m tests.soak --kills 6 --trials 12 --real

soak-cluster: .venv/installed-tests
	$(BIN)/python -m tests.soak_cluster --faults $(FAULTS) --trials $(TRIALS) --seed $(SEED) --real

fuzz: .venv/installed-tests
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

format:
	$(BIN)/ruff format --check .

lint:
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

tests:
	$(BIN)/pytest -m "not more" -n 2 --durations=25

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "archfront needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo 'installs into .venv; pip says nothing until it is done, minutes the first time'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[hf]'
	touch $@

.venv/installed-tests: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch .venv/installed $@

.venv/installed-more: .venv/installed-tests $(LLAMA_CPP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --find-links $(WHEELS) -e '.[test,evals,executorch,llama,serve,tune]'
	touch $@

# llama.cpp has no wheel; built for one machine's processor it may crash on another, and in some of its own kernels
$(LLAMA_CPP): | .venv/bin/python
	CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF" CMAKE_BUILD_PARALLEL_LEVEL=2 $(BIN)/pip wheel --quiet --disable-pip-version-check \
		--no-deps --no-binary llama-cpp-python -c constraints.txt --wheel-dir $(WHEELS) llama-cpp-python
	touch $@

# what lies in .wheels stays: it takes minutes to build
clean:
	rm -rf .venv runs .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
