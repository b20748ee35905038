# Two commands do everything on a fresh machine: `make demo` and `make test`. Each sets up .venv first, and reuses it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3.11
# cpu: this machine as it is; gpu: CUDA machines (vLLM's own package)
FLAVOUR ?= $(shell [ -f .venv/.ready-gpu ] && echo gpu || echo cpu)
VENV := .venv
BIN := $(VENV)/bin
ifeq ($(FLAVOUR),cpu)
INSTALL := --no-deps --requirement requirements/cpu.txt
else
INSTALL := --editable ".[$(FLAVOUR),dev]"
endif
STAMP := $(VENV)/.ready-$(FLAVOUR)

.PHONY: help env demo loop test test-fast test-chaos test-cluster soak check bench clean
help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

env: $(STAMP) ## set up .venv (reused while the lock file is the same)

$(STAMP): requirements/cpu.txt pyproject.toml scripts/env/install_hook.py scripts/env/torchvision_cpu.py
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11"; exit 78; }
	@echo "setting up $(VENV) for $(FLAVOUR): about 3 minutes the first time"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet $(INSTALL) > $(VENV)/install.log 2>&1 || { tail -20 $(VENV)/install.log; exit 1; }
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable . >> $(VENV)/install.log 2>&1 || { tail -20 $(VENV)/install.log; exit 1; }
	@$(BIN)/python scripts/env/install_hook.py
	@touch $@

demo: env ## search the embedded phantom cases with simulated mentors and real tiny interns
	@$(BIN)/python scripts/generate.py experiment=demo run.dir=runs/demo-$$(date +%Y%m%d-%H%M%S)

loop: env ## search, export, LoRA, evaluate, compare, all embedded: up to 20 minutes on 2 cores
	@$(BIN)/python scripts/loop.py --dir runs/loop-$$(date +%Y%m%d-%H%M%S)

test: env ## all tests but those of test-chaos and test-cluster
	@$(BIN)/python -m pytest

test-fast: env ## the layers that need no Ray: a few minutes
	@$(BIN)/python -m pytest -m "not cluster and not chaos and not outside and not long"

test-chaos: env ## the faults and kills that need minutes (the short ones are in `make test`): about 25 minutes
	@$(BIN)/python -m pytest -m "long and not outside"

test-cluster: env ## real SLURM and several hosts on this machine; as root, installs Debian packages; 6 minutes
	@command -v slurmctld >/dev/null && command -v munged >/dev/null && command -v ip >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge iproute2; }
	@$(BIN)/python -m pytest -m outside

check: env ## lint, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

soak: env ## 30 minutes of 2 % faults and a kill every 20 s; the report goes to runs/soak-*
	@PYTHONPATH=. $(BIN)/python benchmarks/soak.py

bench: env ## speed against the sequential reference
	@$(BIN)/python benchmarks/speed.py

clean: ## remove .venv and run folders
	@rm -rf $(VENV) runs
