# Each target makes what it needs first: a virtual environment in .venv, with onnxopt installed in it.
# The Python is the first of these that is 3.11 or later; name another with make PYTHON=/path/to/python.
SHELL := /bin/sh
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3.14 python3 python)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install -qq
DEMO := examples/digits.onnx
SAMPLES := --samples examples/digits_samples

.PHONY: help demo test lint types check reference bench clean torch
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.cpu ## optimize a small trained model and measure it before and after
	@mkdir -p build
	$(BIN)/onnxopt optimize $(DEMO) -o build/digits.onnx $(SAMPLES)
	$(BIN)/onnxopt bench $(DEMO) build/digits.onnx $(SAMPLES)

test: $(VENV)/.dev ## run the tests
	$(BIN)/python -m pytest -q

lint: $(VENV)/.dev ## ruff: rules and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev ## mypy --strict, and calls in benchmarks
	$(BIN)/mypy --strict
	$(BIN)/mypy --config-file benchmarks/mypy.ini

check: lint types test ## all three

reference: $(VENV)/.dev ## write docs/reference.md from the code
	$(BIN)/python -m tests.docs.reference

torch: $(VENV)/.dev ## install torch, for the tests of its exporters (the others skip without it)
	@$(PIP) 'torch==2.13.0'

bench: ## list the benchmarks, each with what it shows
	@for file in benchmarks/[a-z]*.py; do \
	  printf '%-34s %s\n' "$$file" "$$(sed -n '1s/^"""\([^"]*\).*/\1/p' "$$file")"; \
	done

clean: ## remove the environment and what was built
	rm -rf $(VENV) build

$(VENV)/.made:
	@for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$("$$python" --version)"; \
	    "$$python" -m venv --clear $(VENV) && touch $@; exit; \
	  fi; \
	done; \
	echo "No Python 3.11 or later with venv among: $(PYTHONS)" >&2; \
	echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name one: make PYTHON=/path/to/python3.11" >&2; \
	exit 1

$(VENV)/.cpu: $(VENV)/.made pyproject.toml
	@echo "Installing onnxopt with ONNX Runtime"
	@$(PIP) -e '.[cpu]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	@echo "Installing onnxopt with ONNX Runtime, OpenVINO, HTML pages and what the tests need"
	@$(PIP) -e '.[cpu,openvino,html,dev]'
	@touch $@ $(VENV)/.cpu
