# Every target works from a fresh clone; `make` alone lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check
STAMP  := $(VENV)/.set-up

.DEFAULT_GOAL := help
.PHONY: help setup serve demo check format test audit lock

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## install the pinned packages and the broker into .venv

$(STAMP): constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r constraints.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

serve: setup ## run the broker (configuration: mwl.yaml, or built-in defaults)
	@$(BIN)/mwl serve

demo: setup ## show an order's way from HL7 to the worklist and back
	@$(BIN)/mwl demo

check: setup ## lint, formatting, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the source into its one form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: setup check ## everything `check` does, then all tests
	$(BIN)/pytest -n 2 -ra

audit: ## look for known vulnerabilities in the pinned packages (needs a network, else it is skipped)
	@$(PYTHON) .ci/audit.py

lock: ## write constraints.txt anew, from the newest versions pyproject.toml allows (needs uv)
	@echo "# Names, versions and hashes for CPython 3.11; written by 'make lock'." > constraints.new
	@uv pip compile pyproject.toml --extra postgres --extra dev --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet >> constraints.new
	@mv constraints.new constraints.txt
