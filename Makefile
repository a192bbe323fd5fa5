# Every target sets up what it needs first; `make demo` works on a machine with only Python and make.
# The first of these that is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := PYTHONUNBUFFERED=1 $(BIN)/python -m pip --disable-pip-version-check
PACKAGES := schemas streams agents fluent bridge flashsale rehearsal benchmarks tests

# What pip says, in a few lines.
define PROGRESS
/^(Collecting|Requirement already)/ { if (++n % 20 == 0 || n == all) { print "  found " n " of " all " packages"; fflush() } }
/^Installing/ { print "  installing them"; fflush() }
endef
export PROGRESS

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast check format bench bench-growth prove mutants bench-peers peers soak audit lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

setup: $(STAMP) ## create .venv with everything, from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" \
		|| { echo "Python 3.11 or newer is needed; name one: make setup PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "Setting up $(VENV): about a minute and 480 MB. Kafka's own 38 MB come with its first start."
# Without the stamp an earlier setup was interrupted, and nobody knows what of it is whole: it begins anew.
	@if [ -e $@ ]; then rm $@; else $(PYTHON) -m venv --clear $(VENV); fi
	@{ $(PIP) install --progress-bar off --require-hashes -r requirements.lock; echo $$? > $(VENV)/.status; } \
		| awk -v all=$$(grep -c '^[a-zA-Z0-9]' requirements.lock) "$$PROGRESS"; exit $$(cat $(VENV)/.status)
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@
	@echo "Ready: . $(VENV)/bin/activate, then flashsale --help"

demo: setup ## a whole flash sale on the embedded Kafka and the Fluent simulator
	$(BIN)/flashsale demo

# Two processes, each with a broker of its own: a test waits more than it computes. A file's tests share fixtures.
PYTEST := $(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

test: setup ## every test, against a real broker
	$(PYTEST)

# EMBEDDED_KAFKA_JAVA names nothing, so a test that starts a broker and does not carry the marker fails here at once.
test-fast: setup ## every test that needs no broker and less than ten seconds
	EMBEDDED_KAFKA_JAVA=/none-in-test-fast $(PYTEST) -m "not kafka and not slow"

check: setup ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(wildcard $(PACKAGES))

format: setup ## put imports and layout in order, mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The last commit of the former engine, which does the same work in the same run where Git has it.
FORMER := 7c4ba80

bench: setup ## throughput, latency and restore, beside the bare client and the former engine in the same run
	$(BIN)/python -m benchmarks \
		$(shell git cat-file -e '$(FORMER)^{commit}' 2>/dev/null && echo --against $(FORMER))

bench-growth: setup ## what orders, queues and idle SKUs cost as a sale grows; WRITE=docs puts tables and plots there
	$(BIN)/python -m benchmarks.growth $(if $(WRITE),--write $(WRITE))

MINUTES ?= 30

soak: setup ## half load for MINUTES=30, in which memory, files, disk and lag must stay flat; WRITE=docs notes it
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) $(if $(RATE),--rate $(RATE)) $(if $(WRITE),--write $(WRITE))

PEERS := $(VENV)/peers

bench-peers: setup peers ## beside Kafka Streams, Quix, Faust, PostgreSQL, Redis; WRITE=docs puts tables and plots there
	$(BIN)/python -m benchmarks.peers $(if $(WRITE),--write $(WRITE))

peers: $(PEERS)/.installed ## what the peers in Python need, in an environment of its own

# One by one: what the index does not have is skipped, and the run says so.
$(PEERS)/.installed: benchmarks/peers/requirements.txt
	@$(PYTHON) -m venv --clear $(PEERS)
	@grep -v '^#' $< | { all=yes; while read -r package; do \
		$(PEERS)/bin/pip install --quiet --disable-pip-version-check "$$package" \
			|| { all=; echo "$$package could not be installed: what needs it is skipped." >&2; }; \
		done; test -z "$$all" || touch $@; }

# RUNS=50 SEEDS=100000 is a campaign: a night's work. What is known so far is in docs/proof.md.
prove: setup ## try to break it: simulated sales, planted bugs, sales on a real broker in bad weather
	$(BIN)/python -m tests.proof --seeds $(or $(SEEDS),2000) --whole $(or $(WHOLE),200) --runs $(or $(RUNS),6) \
		$(if $(LOG),--log $(LOG)) $(if $(PLOT),--plot $(PLOT))

mutants: setup ## changes to ledger and engine that no test notices, as many as MINUTES=30 allow
	$(BIN)/python -m tests.proof.mutants --minutes $(MINUTES)

# Not part of setup: it asks the package index for what is new within pyproject.toml's bounds. pip-tools is
# installed for the occasion; the index's address stays out of the files.
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-options \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# In an environment of its own, for the occasion. It needs an index to install pip-audit from, and advisories: those
# of PyPI itself, which a mirror may not have ("Dependency not found on PyPI"), or ADVISORIES=osv.
ADVISORIES := pypi

audit: setup ## look the locked packages up among the known vulnerabilities
	@test -x $(VENV)/audit/bin/pip-audit \
		|| { $(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/pip install --quiet --disable-pip-version-check pip-audit; }
	$(VENV)/audit/bin/pip-audit --strict --disable-pip --require-hashes --vulnerability-service $(ADVISORIES) \
		-r requirements.lock

lock: setup ## resolve the locks again after a change of the dependencies
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-tools
	$(COMPILE) --extra rehearsal --extra dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --output-file requirements-runtime.lock pyproject.toml
	$(COMPILE) --output-file requirements-build.lock requirements-build.in

clean: ## remove what the targets made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
