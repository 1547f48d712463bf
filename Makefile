# The commands of the project; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo browser test check bench docs lock format
python := .venv/bin/python
SHELL := /bin/bash

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12

setup: ## install Python packages and PostGIS where they are missing
	@infra/setup/python.sh
	@infra/setup/postgis.sh

demo: setup ## start the lab, run the main job on simulated scenes, print the links
	@.venv/bin/terralab demo

browser: ## build STAC Browser from npm, for /browser
	@infra/setup/stac_browser.sh

test: setup ## run all tests
	@infra/setup/browser.sh
	$(python) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: setup ## lint, formatting, types and import rules
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	.venv/bin/mypy
	$(python) -m pytest -q tests/test_architecture.py tests/test_packaging.py

# The catalog's benchmark: `make bench BENCH_ITEMS="100000 1000000" BENCH_ROUNDS=5 BENCH_SECONDS=5` for figures to publish.
BENCH_ITEMS ?= 2000
BENCH_ROUNDS ?= 2
BENCH_SECONDS ?= 1

bench: setup ## run the benchmarks, small; reports in build/benchmarks
	@infra/setup/wrk.sh
	$(python) -m tests.benchmarks.catalog --items $(BENCH_ITEMS) --rounds $(BENCH_ROUNDS) --seconds $(BENCH_SECONDS)
	$(python) tests/benchmarks/bench_chips.py
	$(python) -m tests.benchmarks.datasets.bench_training --out build/benchmarks/datasets --chips 64 --rounds 1
	$(python) tests/benchmarks/bench_inference.py
	$(python) -m pytest -q -s tests/benchmarks/bench_tiles.py

docs: setup ## build the documentation into site/
	$(python) -m typer terralab.infra.cli.app utils docs --name terralab --title "Command line" --output docs/cli.md
	$(python) -m terralab.infra.settings_reference > docs/settings.md
	$(python) -m terralab.infra.rules_reference > docs/validation.md
	.venv/bin/mkdocs build --strict

format: setup ## format the code
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

lock: setup ## resolve requirements/lock.txt anew from pyproject.toml
	.venv/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --output-file requirements/lock.txt
