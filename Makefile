# Lorikeet. `make` or `make help` lists what there is; README.md says what each is for.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CACHE ?= $(HOME)/.cache/lorikeet
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
UV_VERSION := 0.13.9
export PATH := $(CURDIR)/$(VENV)/bin:$(CACHE)/bin:$(PATH)

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- the Python environment -------------------------------------------------------------------------------------------
.PHONY: venv lock
venv: $(VENV)/.stamp ## Make .venv from the hash-locked requirements
$(VENV)/.stamp: operator/requirements/dev.txt operator/pyproject.toml
	@echo "venv: $(VENV) from operator/requirements/dev.txt"
	@test -x $(UV) || { python3 -m venv $(VENV) && $(PY) -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); }
	@$(UV) pip sync -q --require-hashes --python $(PY) operator/requirements/dev.txt
	@$(UV) pip install -q --python $(PY) --no-deps --no-build-isolation -e operator
	@touch $@

COMPILE = $(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header operator/pyproject.toml
lock: ## Write operator/requirements/*.txt anew from pyproject.toml
	@$(COMPILE) -o operator/requirements/runtime.txt
	@$(COMPILE) --extra testing -c operator/requirements/runtime.txt -o operator/requirements/testing.txt
	@$(COMPILE) --extra testing --extra dev -c operator/requirements/testing.txt -o operator/requirements/dev.txt
