# Needs make and Python 3.11 or later with venv (Debian: apt install make python3-venv); nothing else.
# Everything is installed into .venv, from pinned versions with hashes.

PYTHON ?= python3
ARGS ?=
ROWS ?= 1000000
RUNS ?= 3
ENGINES ?= duckdb postgresql
CORES ?=
UV = uv==0.13.9

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCK = $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run cluster test test-faults fix bench bench-json sample docs pictures lock audit clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## load the configured sources (the samples, if none are); ARGS="--dry-run"
	@$(BIN)/python main.py $(ARGS)

cluster: $(VENV)/.installed-dask ## load the samples by a Dask cluster on this machine, into data/cluster; stops it again
	@$(BIN)/python -m tools.local_cluster $(ARGS)

test: $(VENV)/.installed-dev ## format check, lint, types and all tests
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy .
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

test-faults: $(VENV)/.installed-dev ## kill and cut at every single point; prints the figures; takes many minutes
	$(BIN)/python -m pytest -n 3 --dist worksteal -m faults -rP $(ARGS)

fix: $(VENV)/.installed-dev ## format the code, and correct what ruff can correct
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: $(VENV)/.installed-dev ## measure both engines beside their baselines; ROWS=10000000 RUNS=3 CORES="1 2 4"
	@$(BIN)/python -m benchmarks --rows $(ROWS) --runs $(RUNS) $(if $(CORES),--cores "$(CORES)") $(ENGINES)

bench-json: $(VENV)/.installed-dev ## measure JSON documents of 100 MB and 1 GB, and rows that are elements of lists; ARGS="--runs 1"
	@$(BIN)/python -m benchmarks.json_documents $(ARGS)

sample: $(VENV)/.installed ## make the samples in data/ again
	@$(BIN)/python -m tools.sample_data

docs: $(VENV)/.installed ## bring .env.example and the generated parts of README.md and docs/ up to date
	@$(BIN)/python -m tools.generate_docs

pictures: $(VENV)/.installed-dev ## make the pictures of README.md and docs/ from the samples; ARGS="console.svg"
	@$(BIN)/python -m tools.pictures $(ARGS)

lock: $(VENV)/lock/bin/uv ## pin requirements*.txt from requirements*.in; UPGRADE=1 takes newer versions
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(LOCK) requirements.in --output-file requirements.txt
	for part in $(patsubst requirements-%.in,%,$(wildcard requirements-*.in)); do \
		UV_CUSTOM_COMPILE_COMMAND="make lock" \
		$(LOCK) requirements-$$part.in --output-file requirements-$$part.txt || exit 1; \
	done

audit: $(VENV)/.installed-dev ## look for known vulnerabilities in the pinned versions (needs the network)
	$(BIN)/python -m pip_audit --require-hashes --disable-pip --requirement requirements-dev.txt

clean: ## remove .venv and caches; data, logs and .env stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than what it was installed from, so that an unchanged run costs no time.
$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is missing or older than 3.11; name another: make PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv" >&2; \
		exit 1; }
	@echo "installing pinned requirements into $(VENV) (once)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --requirement requirements.txt >&2
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "installing what the tests need into $(VENV) (once)" >&2
	@$(PIP) install --require-hashes --requirement requirements-dev.txt >&2
	@touch $@

$(VENV)/.installed-dask: requirements-dask.txt $(VENV)/.installed
	@echo "installing Dask into $(VENV) (once)" >&2
	@$(PIP) install --require-hashes --requirement requirements-dask.txt >&2
	@touch $@

$(VENV)/lock/bin/uv:
	@$(PYTHON) -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip --disable-pip-version-check -qq install $(UV)
