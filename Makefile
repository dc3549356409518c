# Sentinel. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help setup dev run test lint fmt bench bench-api bench-bci chaos fuzz dashboards golden lock clean distclean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
CODE := sentinel schemas connectors streams detectors bci api
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url --no-emit-find-links
COMPILED := $(shell grep -rlE "njit|^@kernel" --include=*.py bci detectors schemas)
DATA := $(or $(SENTINEL_HOME),.sentinel)
N ?= 20
SEARCH ?=
SEED ?=
ARGS ?=

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make .venv, install what is pinned, fetch Kafka, compile the models

run: setup ## Start everything, stream the sample, show alerts (SEARCH=1: with Elasticsearch)
	$(BIN)/sentinel run $(if $(SEARCH),--search) $(ARGS)

# First all but the tests of the whole platform and those that break it, on all cores; then these,
# one by one. Status 5 of pytest is "none of these": well, where the other half had some.
test: setup dev ## Run every test (ARGS="-k name" for some)
	@$(BIN)/python -m pytest -n auto -m "not e2e" $(ARGS); alone=$$?; \
	$(BIN)/python -m pytest -m e2e $(ARGS); parts=$$?; \
	case "$$alone $$parts" in "0 0" | "0 5" | "5 0") ;; *) exit 1 ;; esac

lint: dev ## ruff, mypy --strict, import directions, dead code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@echo "$(BIN)/vulture (functions, methods, classes)"
	@! $(BIN)/vulture | grep -E "unused (function|method|class|property)|unreachable"

fmt: dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup dev ## Measure: one table, each figure beside orjson.loads on the same events
	$(BIN)/sentinel bench $(ARGS)

bench-api: setup dev ## Measure the API with 150 users on 5 million events (ARGS="--events 100000" for less)
	$(BIN)/sentinel bench api --events 5000000 $(ARGS)

bench-bci: setup dev ## The neural engine: speed, a minute through Kafka, latency, closed loop, quality
	$(BIN)/sentinel bench bci bci_wide neural_live closed_loop bci_quality bci_artefacts $(ARGS)

chaos: setup dev ## Faults at random points under load, N=20 of them (SEED= repeats a run)
	$(BIN)/python -m bench.chaos -n $(N) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: setup dev ## Throw N=10000 cases made of its OpenAPI at the API: no 5xx, no breach of schema
	$(BIN)/python -m tests.api.identity.fuzz -n $(if $(filter 20,$(N)),10000,$(N)) $(ARGS)

dashboards: dev ## Write the dashboards of Grafana anew
	$(BIN)/python -m infra.grafana.boards

golden: setup ## Write the golden files anew; read the difference before you commit it
	$(BIN)/python -m connectors golden

lock: dev ## Pin the newest versions that pyproject.toml allows, of packages and Kafka
	echo "setuptools>=77" | $(UV) --upgrade pyproject.toml - -o requirements.txt
	echo "setuptools>=77" | $(UV) --upgrade pyproject.toml - --group dev \
		-c requirements.txt -o requirements-dev.txt
	$(BIN)/python -m sentinel.local.artifacts

clean: ## Stop a running stack, remove its data and every cache
	@if [ -x $(BIN)/sentinel ]; then $(BIN)/sentinel down; fi
	@if [ -f "$(DATA)/identity.json" ]; then rm -rf "$(DATA)"; fi
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis .coverage
	find . -path "./$(VENV)*" -prune -o -name __pycache__ -type d -exec rm -rf {} +
	rm -f $(VENV)/.ready # compiled models were among the caches

distclean: clean ## Remove .venv too
	rm -rf $(VENV) .venv-bench

dev: $(VENV)/.dev

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "expected Python 3.11 or newer as python3, found none:" \
		"install it, or say where it is: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "== making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "cannot make $(VENV): on Debian" \
		"and Ubuntu install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: requirements.txt pyproject.toml | $(BIN)/python
	@echo "== installing packages, each pinned by version and hash"
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "== installing what tests and checks need"
	$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

# numba notices that a function's own file changed, but not what it calls in another file.
# Bytecode too, or each process compiles all it imports where PYTHONDONTWRITEBYTECODE is set.
$(VENV)/.ready: $(VENV)/.runtime sentinel/local/kafka.lock $(COMPILED)
	@find $(CODE) -name '*.nb[ic]' -delete
	@echo "== fetching Kafka (once for all clones) and compiling the models"
	@$(BIN)/python -m compileall -q $(CODE)
	$(BIN)/python -m sentinel.cli._warm
	@touch $@
