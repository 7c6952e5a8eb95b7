# memgate: `make train` does everything, set-up included; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# With PYTHONDONTWRITEBYTECODE every start compiles torch and MLflow anew: 17 to 19 s instead of 5.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# With real data more is tested than without.
TESTED := .venv/.tested$(if $(MEMGATE_DATA),-data)

CELL ?=
DATA ?=
SIZE ?= small
SEED ?= 0
MODEL ?=
# Items of another seed than the training's, and real text: with MEMGATE_DATA its, else Wikipedia's.
FILE ?= data/synthetic.jsonl $(if $(MEMGATE_DATA),$(MEMGATE_DATA)/linzen/linzen_wiki_test.jsonl.gz $(MEMGATE_DATA)/ud/*_test.jsonl.gz,$(wildcard data/wikipedia/test.jsonl))
OUT ?= out/evaluate
DEVICE ?= cpu
STUDY ?= configs/study/cells.yaml
PORT ?= 5000
PYTEST := $(BIN)/pytest --numprocesses logical --maxprocesses 8

.PHONY: help setup train play ui evaluate study linzen answer test check check-page bench bench-growth soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
	@echo
	@echo "make train CELL=gru DATA=synthetic SEED=3     one cell, one kind of data (synthetic|english|wikipedia|corpus), one seed"
	@echo "make train SIZE=large                         larger networks of English, a few minutes each"
	@echo "make evaluate MODEL=models:/memgate-gru-synthetic@champion FILE=items.jsonl OUT=out/mine"
	@echo "MEMGATE_DATA=/path/to/corpora make train      more real text, instead of Wikipedia articles"

# The scripts in .venv hold the path of this folder; where it was moved or copied from, they are of no use.
$(shell test ! -s $(READY) || test "$$(cat $(READY))" = "$(CURDIR)" || rm -rf .venv)

setup: $(READY) ## make .venv with the pinned dependencies

# uv takes 15 s where pip takes 2 minutes; pip does it where uv can't be had. uv reads no PIP_FIND_LINKS.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "memgate needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another with PYTHON=")'
	$(PYTHON) -m venv .venv
	@if $(BIN)/pip install --quiet --disable-pip-version-check uv 2>/dev/null \
	  && UV_FIND_LINKS="$$PIP_FIND_LINKS" $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'; \
	then echo "installed with uv"; \
	else echo "installing with pip, about two minutes"; $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'; \
	fi
	@echo "$(CURDIR)" > $@

train: $(READY) ## train RNN, GRU and LSTM, track, register and score them
	@$(BIN)/memgate train $(if $(CELL),--cell $(CELL)) $(if $(DATA),--data $(DATA)) --size $(SIZE) --seed $(SEED)

play: $(READY) ## open the live page of the trained networks
	@$(BIN)/memgate play

ui: $(READY) ## open the MLflow UI on the runs and models
	@$(BIN)/memgate ui --port $(PORT)

evaluate: $(READY) $(filter data/synthetic.jsonl,$(FILE)) ## score MODEL (default: all champions) on FILE (default: the test files there are)
	@$(BIN)/memgate evaluate $(MODEL) --data $(FILE) --out $(OUT)

study: $(READY) ## run the study STUDY (a file; default: the three cells on the grammar), and report it
	@$(BIN)/memgate study $(STUDY)
	@$(BIN)/memgate report $(basename $(notdir $(STUDY))) --out out/study/$(basename $(notdir $(STUDY)))

linzen: $(READY) ## the setting of Linzen et al. (2016) with three cells; needs MEMGATE_DATA
	@$(MAKE) --no-print-directory study STUDY=configs/study/linzen2016.yaml

answer: $(READY) ## train 150 networks (an hour or two), write docs/answer and docs/how-the-gate-decides.md
	@$(BIN)/python -m experiments.gate_decides

data/synthetic.jsonl: $(READY)
	@$(BIN)/memgate generate --out $@ --items 10000 --seed 1

test: $(READY) ## run the tests, all but those that start processes (5 minutes on 2 cores)
	@$(PYTEST) --dist worksteal -m "not processes"
	@touch $(TESTED)

check: $(READY) ## run what CI runs: format, lint, types, import contracts, all tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory check-page
	@$(MAKE) --no-print-directory $(TESTED)
	$(PYTEST) --dist loadfile -m processes

check-page: ## format, lint and types of the live page's scripts, where there is node
	@if command -v npx >/dev/null; \
	then npx --yes @biomejs/biome@2.6.8 check && npx --yes --package typescript@7.0.2 tsc --project tsconfig.json; \
	else echo "no node here: the live page's scripts are not checked"; \
	fi

# check runs the tests of `make test` unless they passed since the last change of any file.
$(TESTED): $(READY) $(shell find src tests experiments benchmarks configs docs *.md Makefile pyproject.toml -type f -not -path '*/__pycache__/*')
	@$(MAKE) --no-print-directory test

bench: $(READY) ## measure the speed on DEVICE (cpu|cuda) in 5 minutes, into out/bench and docs/performance.md
	@$(BIN)/python -m benchmarks --device $(DEVICE) --docs docs/performance.md

soak: $(READY) ## try what must hold however often: kills, bad inputs, generated files, stores in use (30 minutes)
	@$(BIN)/python -m benchmarks.soak

bench-growth: $(READY) ## measure how time and memory grow (7 minutes), into docs/growth.csv and .png
	@$(BIN)/python -m benchmarks.growth

clean: ## remove the environment and caches; runs and models stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -prune -exec rm -rf {} +
