# `make help` lists what there is. Everything installs into .venv; a second run installs nothing.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# One thread per process: the operators here are small, and on busy cores more threads make them slower.
export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PYTEST_WORKERS ?= 2
PIP := $(BIN)/python -m pip install --quiet --no-compile
DATA ?= $(WIDTHWISE_DATA)
PINS := pyproject.toml constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: help demo test lint format freeze benchmarks bench-elastic coverage tables clean

help:
	@echo "make demo        install, then train on the embedded digits, draw the curve, pick, export and verify"
	@echo "make test        install, then run the tests (PYTEST_WORKERS=$(PYTEST_WORKERS) processes, PYTEST_ARGS for more)"
	@echo "make lint        ruff, pyright, and the examples of docstrings and pages"
	@echo "make format      let ruff format the code and mend what it can"
	@echo "make freeze      write down the public names and command line flags as they are now"
	@echo "make benchmarks  measure what no result file holds yet, then make the tables; DATA=... is the folder with MNIST"
	@echo "make bench-elastic  of these, every law of elastic training beside every other; hours; DATA=... as there, TASKS=..."
	@echo "make coverage    hand networks to this one and to Torch-Pruning (with DATA=..., trained ones too); installs into $(VENV)-coverage"
	@echo "make tables      docs/benchmarks.md, docs/models.md and the tables of README.md, from the result files"
	@echo "make clean       remove .venv, $(VENV)-coverage and the caches; runs/ stays"
	@echo "PYTHON=...           the Python to make .venv with; else the first of python3.11 to 3.14 and python3 that will do"
	@echo "TORCH_INDEX_URL=...  where to get another build of $(TORCH), such as one for CPU only"

demo: $(STAMPS)/demo
	$(BIN)/widthwise demo

test: $(STAMPS)/test
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) $(PYTEST_ARGS)

lint: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -q --doctest-modules src/widthwise tests/docs

format: $(STAMPS)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

freeze: $(STAMPS)/test
	$(BIN)/python -m tests.house.freeze

# Every one of them goes on where it was stopped, and measures nothing that is there.
benchmarks: $(STAMPS)/demo
	$(BIN)/python -m benchmarks.speed.step
	$(BIN)/python -m benchmarks.speed.step --device cuda
	$(BIN)/python -m benchmarks.speed.wrapped
	$(BIN)/python -m benchmarks.speed.extracted
	$(BIN)/python -m benchmarks.curve.extracted
	$(BIN)/python -m benchmarks.speed.demo
	$(BIN)/python -m benchmarks.curve.coverage
	$(BIN)/python -m benchmarks.curve.one_file
	$(BIN)/python -m benchmarks.curve.switching
ifneq ($(DATA),)
	$(MAKE) --no-print-directory bench-elastic
	$(BIN)/python -m benchmarks.recipes.measure --data "$(DATA)"
	$(BIN)/python -m benchmarks.curve.quantised --data "$(DATA)"
	$(BIN)/python -m benchmarks.curve.pick_mnist --data "$(DATA)"
	@for task in cifar_resnet cifar_vit shrec_pointnet; do \
		$(BIN)/python -m benchmarks.curve.search --data "$(DATA)" --task $$task || exit; \
	done
else
	@echo "the benchmarks of training are left out: they need the folder with MNIST, as DATA=..." >&2
endif
	$(MAKE) --no-print-directory tables

TASKS ?= mnist fashion_mnist cifar_resnet cifar_vit shrec_pointnet ptb_lstm ptb_transformer

# Hours for each task; stopped, it goes on where it was.
bench-elastic: $(STAMPS)/demo
	@test -n "$(DATA)" || { echo "bench-elastic needs the folder with the data sets, as DATA=..." >&2; exit 2; }
	@for task in $(TASKS); do for tier in screen confirm; do \
		$(BIN)/python -m benchmarks.elastic.peers --data "$(DATA)" --task $$task --tier $$tier || exit; \
	done; done

# An environment of its own: a torchvision beside a torch for CPU only breaks what imports it in passing.
coverage: $(STAMPS)/demo
	$(MAKE) --no-print-directory VENV=$(VENV)-coverage $(VENV)-coverage/stamps/coverage
	$(VENV)-coverage/bin/python -m benchmarks.coverage.measure
ifneq ($(DATA),)
	@for task in mnist cifar_resnet; do \
		$(VENV)-coverage/bin/python -m benchmarks.curve.pruned --data "$(DATA)" --task $$task || exit; \
	done
endif
	$(MAKE) --no-print-directory tables

tables: $(STAMPS)/demo
	$(BIN)/python -m benchmarks.tables

clean:
	rm -rf $(VENV) $(VENV)-coverage .pytest_cache .ruff_cache .hypothesis build dist
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

# A Python will do when it is 3.11 or newer and can make an environment with pip in it.
$(STAMPS)/venv:
	@for python in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3.14 python3 python); do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "making $(VENV) with $$python"; \
			"$$python" -m venv --clear $(VENV) && mkdir -p $(STAMPS) && touch $@; exit; \
		fi; \
	done; \
	echo "expected a Python >= 3.11 with its venv module, got none$(if $(PYTHON), at $(PYTHON));" \
		"install one (on Debian and Ubuntu: python3 and python3-venv), or name it with PYTHON=..." >&2; exit 1

# First torch alone, so that only this line asks the index of TORCH_INDEX_URL.
$(STAMPS)/torch: constraints.txt | $(STAMPS)/venv
	@echo "installing $(TORCH)"
	@$(PIP) $(if $(TORCH_INDEX_URL),--index-url "$(TORCH_INDEX_URL)") "$(TORCH)"
	@touch $@

$(STAMPS)/demo $(STAMPS)/test $(STAMPS)/dev $(STAMPS)/coverage: $(STAMPS)/%: $(PINS) $(STAMPS)/torch
	@echo "installing widthwise[$*]"
	@$(PIP) -e ".[$*]" -c constraints.txt
	@touch $@
