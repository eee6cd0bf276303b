# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need.
SHELL := /bin/bash
LAKE ?= ./lake
CONFIG ?=
PYTHON ?=
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
UV ?= $(BIN)/uv
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow real lint check durations grocery bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile
	@echo "settings: LAKE=$(LAKE) (the demo's lake), CONFIG=more-settings.yml (for the demo), PYTHON=/path/to/python3.11"

setup: ## Python environment from the lock, Java, Delta's JAR; does nothing when all is there
	@PYTHON="$(PYTHON)" bash deploy/setup.sh

demo: setup ## a small retailer through every job, with a summary at the end; again: nothing changes
	@$(BIN)/retail-spark demo $(if $(CONFIG),-c $(CONFIG)) --set lake.root=$(LAKE)

test: setup ## the tests, but for the slow ones (test-slow) and the benchmarks (bench)
	@$(PYTEST) -m "not slow and not real and not benchmark"

test-slow: setup ## the tests marked slow: whole runs, clusters, kills, samples of real data; part of check and of CI
	@$(PYTEST) -m "slow and not real and not benchmark"

real: setup ## whole real files through every job by its command, with a table of the published figures (CI: cuts)
	@rm -f .make/figures.tsv
	@$(PYTEST) -m real

lint: setup ## ruff, mypy, deptry, import-linter, and conf/base.yml as printed from the defaults
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/deptry .
	@mkdir -p .make; $(BIN)/lint-imports --no-cache >.make/walls.txt || { cat .make/walls.txt; exit 1; }
	@diff -u conf/base.yml <($(BIN)/retail-spark config --defaults) \
		|| { echo "conf/base.yml is stale: $(BIN)/retail-spark config --defaults > conf/base.yml"; exit 1; }

check: ## what CI runs: lint, test, test-slow, and the demo at its smallest, twice
	@bash .ci/run

durations: ## the seconds of every part of the last `make check`, and of every test file in the last runs of the tests
	@cat .make/seconds-*.tsv 2>/dev/null || echo "nothing was run yet: make test, make test-slow, make check"

grocery: ## a year of a grocer's data (31 MB package) through every job that it feeds
	@PYTHON="$(PYTHON)" bash deploy/setup.sh grocery
	@$(BIN)/retail-spark demo --grocery --set lake.root=$(LAKE)

bench: setup ## the benchmarks; they print what they measure
	@$(BIN)/python -m pytest -m benchmark -s tests/benchmarks

lock: ## pin all dependencies anew; names, versions and hashes, no addresses
	@mkdir -p .make
	awk '/^uv==/ {print $$1}' requirements-uv.lock > .make/uv.in
	$(LOCK) --no-annotate -o requirements-uv.lock .make/uv.in
	$(LOCK) --extra dev -o requirements.lock pyproject.toml
	printf 'setuptools>=80,<81\n' | $(LOCK) --no-annotate -o requirements-build.lock -
	$(LOCK) --extra grocery -c requirements.lock --no-annotate -o .make/grocery.lock pyproject.toml
	awk -F '==' 'NR == FNR {pinned[$$1]; next} /^[a-z]/ {added = !($$1 in pinned)} added' \
		requirements.lock .make/grocery.lock > requirements-grocery.lock

clean: ## removes the environment, build output and the demo's lake
	rm -rf .venv .make dist .pytest_cache .mypy_cache .ruff_cache .hypothesis spark-warehouse lake
