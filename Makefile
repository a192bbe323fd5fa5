# Every target sets up what it needs first; `make demo` works on a machine with only Python and make.
# The first of these that is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := schemas streams agents fluent bridge flashsale rehearsal benchmarks tests

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(STAMP) ## create .venv with everything, from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" \
		|| { echo "Python 3.11 or newer is needed; name one: make setup PYTHON=/path/to/python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## a whole flash sale on the embedded Kafka and the Fluent simulator
	$(BIN)/flashsale demo

test: setup ## every test, against a real broker
	$(BIN)/python -m pytest -q

check: setup ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(wildcard $(PACKAGES))

# The last commit of the former engine, which does the same work in the same run where Git has it.
FORMER := 7c4ba80

bench: setup ## throughput, latency and restore, beside the bare client and the former engine in the same run
	$(BIN)/python -m benchmarks \
		$(shell git cat-file -e '$(FORMER)^{commit}' 2>/dev/null && echo --against $(FORMER))

# Not part of setup: it asks the package index for what is new within pyproject.toml's bounds. pip-tools is
# installed for the occasion; the index's address stays out of the files.
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-options \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: setup ## resolve the locks again after a change of the dependencies
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-tools
	$(COMPILE) --extra rehearsal --extra dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --output-file requirements-runtime.lock pyproject.toml
	$(COMPILE) --output-file requirements-build.lock requirements-build.in

clean: ## remove what the targets made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
