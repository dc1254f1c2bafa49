# Lorikeet. `make` lists the targets; README.md says what each is for.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
LORIKEET_CACHE ?= $(HOME)/.cache/lorikeet
VENV := .venv
PY := $(VENV)/bin/python
# The distribution's own first: it is built with a profile, which pyenv's is not, and a third faster for that.
PYTHON ?= $(shell for python in /usr/bin/python3 python3; do \
  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)
UV := $(VENV)/bin/uv
UV_VERSION := 0.13.9
# What `check` leaves to `test`: the markers of operator/pyproject.toml.
SLOW := slow or integration or vllm or e2e or terraform or aws or faults or service
PYTEST = $(PY) -m pytest -c operator/pyproject.toml --rootdir .
# A test that does not even let its timeout end it ends the run: pytest says where each thread stands.
HUNG = -o faulthandler_exit_on_timeout=true -o faulthandler_timeout
SOURCES = operator tests models terraform/tools/aws-server cluster-setup/local/toolchain/terraform-provider-aws/reduce
SHELL_SCRIPTS = git grep -lE '^\#!/usr/bin/env bash' -- . ; git ls-files '*.sh' .ci
export LORIKEET_CACHE
# Compiled modules are kept, but not beside their sources: half of the fast loop is compiling otherwise.
export PYTHONPYCACHEPREFIX := $(LORIKEET_CACHE)/pycache
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(VENV)/bin:$(LORIKEET_CACHE)/bin:$(PATH)

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- use it -----------------------------------------------------------------------------------------------------------
.PHONY: demo demo-down cluster-up cluster-down
demo: venv ## From nothing to answers: cluster, images, chart, two adapters (ENGINE=vllm|sim, CLUSTER=local|kind|current)
	@demo/up

demo-down: ## End the demo; leave nothing behind but caches
	@demo/down

cluster-up: ## A real Kubernetes on this machine (WORKERS=1)
	@cluster-setup/local/up --workers $${WORKERS:-1}

cluster-down: ## End it; leave nothing behind but caches
	@cluster-setup/local/down

# --- change it --------------------------------------------------------------------------------------------------------
.PHONY: check lint types unit generate
check: venv ## The fast loop: lint, types, rooms, generated files, unit tests (under a minute)
	@$(MAKE) --no-print-directory -j2 lint types unit

lint: venv
	@ruff format --config operator/pyproject.toml --check -q $(SOURCES)
	@ruff check --config operator/pyproject.toml -q $(SOURCES)
	@cd operator && lint-imports --no-cache >/tmp/lorikeet-imports.$$$$ || { cat /tmp/lorikeet-imports.$$$$; exit 1; }; rm -f /tmp/lorikeet-imports.$$$$
	@shellcheck -x $$( { $(SHELL_SCRIPTS); } | sort -u)
	@$(PY) -m lorikeet.api.crd --check
	@$(PY) -m lorikeet.gateway.openapi --check
	@echo "lint: ok"

types: venv
	@cd operator && mypy
	@echo "types: ok"

unit: venv
	@$(PYTEST) $(HUNG)=300 -q -n 3 -m "not ($(SLOW))" tests

generate: venv ## Write the CRDs and docs that come from the code
	@$(PY) -m lorikeet.api.crd --write
	@$(PY) -m lorikeet.gateway.openapi --write

# --- prove it ---------------------------------------------------------------------------------------------------------
.PHONY: test lives integration vllm-test service-test gateway-long e2e terraform-test e2e-aws
test: check lives integration terraform-test vllm-test e2e e2e-aws ## Everything this project promises, shown

lives: venv
	@echo "lives: whole agents, operators and machines, with the engine simulator"
	@$(PYTEST) $(HUNG)=900 -q -n 4 -m "slow and not vllm" tests

integration: venv toolchain
	@echo "integration: a real etcd and kube-apiserver"
	@$(PYTEST) $(HUNG)=900 -q -m integration tests

vllm-test: venv vllm models toolchain
	@echo "vllm: the real engine on this machine's CPU"
	@$(PYTEST) -q -m vllm tests

e2e: venv toolchain
	@echo "e2e: a real cluster, with the engine simulator"
	@$(PYTEST) -q -m e2e tests

service-test: venv toolchain vllm models ## Updates, killed engines and too many adapters with two real vLLMs; idle cores and memory for both
	@echo "service: two real engines behind the gateway"
	@$(PYTEST) -q -m service tests

gateway-long: venv toolchain ## The gateway's promises at their own lengths: five minutes of outage, a kill every 15 s, 5,000 slow clients
	@LORIKEET_LONG=1 $(PYTEST) -q -s -m integration tests/integration/test_gateway_*.py

terraform-test: venv terraform-tools ## The Terraform configurations, applied to a server that answers like AWS
	@echo "terraform: the real provider against moto"
	@$(PYTEST) -q -n 2 --dist loadfile -m terraform tests

e2e-aws: venv toolchain terraform-tools ## docs/aws.md, command by command: hosts that Terraform makes, until an adapter answers
	@echo "e2e-aws: docs/aws.md from top to bottom"
	@$(PYTEST) -q -s -m aws tests

.PHONY: faults
faults: venv toolchain ## Every fault at every side effect, about an hour; PLAN='<id> <id>' for some; a report in build/faults
	@LORIKEET_FAULT_PLANS="$(PLAN)" $(PYTEST) -q -s -m faults tests

.PHONY: explore
explore: venv ## Properties with new examples, ROUNDS=10 times over; what fails becomes a test
	@for round in $$(seq $${ROUNDS:-10}); do \
	  LORIKEET_EXAMPLES=explore $(PYTEST) -q -n 2 -m "hypothesis and not ($(SLOW))" tests || exit 1; done

.PHONY: fuzz-gateway
fuzz-gateway: venv ## Bytes of clients and engines against the gateway for MINUTES=10; what fails is printed with its seed
	@until=$$(($$(date +%s) + 60 * $${MINUTES:-10})); while [ "$$(date +%s)" -lt "$$until" ]; do \
	  LORIKEET_EXAMPLES=fuzz $(PYTEST) -q --timeout 0 tests/gateway/test_fuzz_*.py || exit 1; done

.PHONY: bench-gateway
bench-gateway: venv ## What a request costs the gateway, beside nginx and others from PyPI: docs/benchmarks/gateway.* (about 15 minutes)
	@$(PY) -m lorikeet.testing.bench_gateway --out docs/benchmarks

.PHONY: bench-operator
bench-operator: venv toolchain ## What the operator costs, measured: docs/benchmarks/operator.* (ROWS=abcdefghij, about 25 minutes)
	@$(PY) -m lorikeet.testing.bench --rows "$${ROWS:-abcdefghij}" --out docs/benchmarks

# --- what the above needs ---------------------------------------------------------------------------------------------
.PHONY: venv lock toolchain terraform-tools vllm models images
venv: $(VENV)/.stamp ## The Python environment, from hash-locked requirements
$(VENV)/.stamp: operator/requirements/dev.txt operator/pyproject.toml
	@echo "venv: $(VENV) from operator/requirements/dev.txt"
	@test -n "$(PYTHON)" || { echo "venv: this needs Python 3.11 or newer: install python3, or say PYTHON=<path>" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "venv: installing python3-venv"; apt-get update -q && apt-get install -y -q --no-install-recommends python3-venv; } >&2
	@test -x $(UV) || { $(PYTHON) -m venv $(VENV) && $(PY) -m pip install -q --disable-pip-version-check uv==$(UV_VERSION); }
	@$(UV) pip sync -q --require-hashes --python $(PY) operator/requirements/dev.txt
	@$(UV) pip install -q --python $(PY) --no-deps --no-build-isolation -e operator
	@touch $@

toolchain: ## Kubernetes, etcd, Helm and friends, built from pinned Go modules into the cache
	@cluster-setup/local/toolchain/build

terraform-tools: venv ## Terraform, the AWS provider, a server that answers like AWS, and checkov, into the cache
	@terraform/tools/install

vllm: venv ## The real vLLM for CPU, in an environment of its own in the cache
	@images/engine-cpu/venv >/dev/null

models: vllm ## The demo's model and adapters, trained into the cache
	@models/train >/dev/null

images: ## Our images: lorikeet, lorikeet-testing, lorikeet-engine-cpu
	@demo/images

COMPILE = $(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header
lock: ## Write the locked requirements anew: operator/requirements/*.txt, terraform/tools/*.txt
	@$(COMPILE) operator/pyproject.toml --extra traces -o operator/requirements/runtime.txt
	@$(COMPILE) operator/pyproject.toml --extra traces --extra testing -c operator/requirements/runtime.txt -o operator/requirements/testing.txt
	@$(COMPILE) operator/pyproject.toml --extra traces --extra testing --extra dev -c operator/requirements/testing.txt -o operator/requirements/dev.txt
	@$(COMPILE) operator/requirements/build.in -o operator/requirements/build.txt
	@$(COMPILE) terraform/tools/aws.in -o terraform/tools/aws.txt
	@$(COMPILE) terraform/tools/checkov.in -o terraform/tools/checkov.txt
