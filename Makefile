SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up down status test test-fast test-long coverage lint format docs bench web example
.NOTPARALLEL:
# Some shells forbid Python to keep what it compiled: each of the test's many processes would compile all of it anew.
export PYTHONDONTWRITEBYTECODE =

help: ## Explain the targets (this)
	@echo 'utcloud: make TARGET'
	@echo
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1|\2/p' Makefile | while IFS='|' read -r name what; do printf '  %-10s %s\n' "$$name" "$$what"; done
	@echo
	@echo 'Settings are variables UTCLOUD_*: UTCLOUD_PORT=9000 make up, UTCLOUD_HOME=/somewhere make up'

up: ## Install what is missing, start utcloud, print its addresses. DETACH=1 returns; ARGS="--simulate-chips BM1684X:3"
	@scripts/system-packages up && scripts/python-env up && scripts/web build
	@exec .venv/bin/utcloud up $(if $(filter-out 0 no,$(DETACH)),--detach) $(ARGS)

down: ## Stop utcloud; leaves nothing running and keeps all data
	@if [ -x .venv/bin/utcloud ]; then exec .venv/bin/utcloud down; else echo 'utcloud is not installed here, so nothing runs.'; fi

status: ## Say what runs
	@if [ -x .venv/bin/utcloud ]; then .venv/bin/utcloud status || true; else echo 'utcloud is not installed here, so nothing runs.'; fi

test-fast: ## Run the tests that need no container and no browser, on SQLite, in two minutes. ARGS as below
	@scripts/python-env test
	.venv/bin/python -m pytest --lane fast -n auto $(ARGS)

test: test-setup ## Run the tests, with real containers, a real browser and PostgreSQL. ARGS="tests/billing -k meter" for a part
	.venv/bin/python -m pytest -n auto $(ARGS)

test-long: test-setup ## Run everything at full counts: hours, not minutes
	.venv/bin/python -m pytest --lane long -n auto $(ARGS)

coverage: ## Say which lines the tests of make test-fast reach; whole in build/coverage/index.html
	@scripts/python-env test
	.venv/bin/python -m pytest --lane fast -n auto --cov=utcloud --cov-report=term:skip-covered --cov-report=html:build/coverage $(ARGS)

.PHONY: test-setup
test-setup:
	@scripts/system-packages test && scripts/python-env test && scripts/web build && scripts/web test
	@scripts/example-model

lint: ## Check style, types and the layers of the code
	@scripts/python-env test && scripts/lint

format: ## Put the code into its style
	@scripts/python-env test
	.venv/bin/ruff check --fix-only --quiet && .venv/bin/ruff format && npm --prefix web run --silent format

docs: ## Build the documentation into build/docs
	@scripts/python-env docs
	.venv/bin/mkdocs build --strict --site-dir build/docs

bench: ## Measure; ONLY=name for one figure
	@scripts/system-packages test && scripts/python-env test && scripts/web build && scripts/example-model
	.venv/bin/python -m tests.bench $(ONLY)

web: ## Build the pages into web/dist, if anything changed
	@scripts/web build && echo 'The pages are in web/dist.'

example: ## Make the example algorithm of the tour: build/example
	@scripts/example-model && echo 'The example algorithm is in build/example: upload that folder.'
