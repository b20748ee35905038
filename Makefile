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
# Training seeds of `make loop`; with several the folder has one name, so that the same command goes on.
SEEDS := 1
LOOP_DIR = $(if $(filter 1,$(SEEDS)),runs/loop-$$(date +%Y%m%d-%H%M%S),runs/loop-$(SEEDS)-seeds)

.PHONY: help env demo loop test test-fast test-heavy test-ray test-slow test-chaos browser test-browser pictures test-all test-cluster soak check bench clean
help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

env: $(STAMP) ## set up .venv (reused while the lock file is the same)

$(STAMP): requirements/cpu.txt pyproject.toml $(wildcard scripts/env/*.py)
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11"; exit 78; }
	@echo "setting up $(VENV) for $(FLAVOUR): about 3 minutes the first time"
	@$(PYTHON) scripts/env/set_up.py $(VENV) $(INSTALL)
	@touch $@

demo: env ## search the embedded phantom cases with simulated mentors and real tiny interns
	@dir=runs/demo-$$(date +%Y%m%d-%H%M%S); $(BIN)/python scripts/generate.py experiment=demo run.dir=$$dir; $(BIN)/python scripts/report.py run.dir=$$dir

loop: env ## search, export, LoRA, evaluate, compare, all embedded: up to 20 minutes on 2 cores; SEEDS=3: three training seeds, twice as long
	@$(BIN)/python scripts/loop.py --seeds $(SEEDS) --dir $(LOOP_DIR)

test: env ## what one runs before every commit: all layers, of the Ray tests the main ones; 16 minutes
	@$(BIN)/python -m tests.parts fast heavy / ray

test-fast: env ## the layers that need no Ray and start no program: 3.5 minutes
	@$(BIN)/python -m tests.parts fast

test-heavy: env ## whole programs, servers and torch, without Ray: 2 minutes
	@$(BIN)/python -m tests.parts heavy

test-ray: env ## the Ray tests of `make test`
	@$(BIN)/python -m tests.parts ray

test-slow: env ## the Ray tests that `make test` leaves out, and 10,000 fuzz inputs of each kind: about 40 minutes
	@$(BIN)/python -m tests.parts slow

test-chaos: env ## the faults and kills that need minutes: about 25 minutes
	@$(BIN)/python -m tests.parts chaos

browser: env ## chromium for the tests in a browser; as root, installs Debian packages
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || echo "chromium is not installed, and only root can install it: the tests in a browser are skipped"

test-browser: browser ## the pages in chromium: clicks, keys, rules of accessibility, 100,000 rows; 10 minutes
	@$(BIN)/python -m tests.parts browser

pictures: browser ## draw the pictures of the docs anew, from a demo: make pictures RUN=runs/demo-…
	@PYTHONPATH=. $(BIN)/python scripts/docs/pictures.py $(RUN)

test-all: browser ## everything but test-cluster: test-fast, test-heavy, test-ray, test-slow, test-chaos, test-browser
	@$(BIN)/python -m tests.parts fast heavy ray slow chaos browser

test-cluster: env ## real SLURM and several hosts on this machine; as root, installs Debian packages; 6 minutes
	@command -v slurmctld >/dev/null && command -v munged >/dev/null && command -v ip >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge iproute2; }
	@! grep -qw nfsd /proc/filesystems || command -v exportfs >/dev/null || apt-get install -y -qq --no-install-recommends nfs-kernel-server
	@$(BIN)/python -m pytest -m outside

check: env ## lint, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

soak: env ## 30 minutes of 2 % faults and a kill every 20 s; the report goes to runs/soak-*
	@PYTHONPATH=. $(BIN)/python benchmarks/soak.py

bench: env ## all benchmarks, 30 minutes on 2 cores that do nothing else; writes benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks

clean: ## remove .venv and run folders
	@rm -rf $(VENV) runs
