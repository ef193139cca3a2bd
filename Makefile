# Everything goes through these targets. They work with GNU make 3.81 (macOS) and later.
#   make tutorial   set up, run all stages, print the table      make lab    JupyterLab
#   make test       every test of normal length                  make lint   ruff check and format
#   make test-fast  the part under 3 minutes                     make clean  remove what was built
#   make verify     several seeds, sabotage runs, benchmarks (long; writes its rows into docs/)
#   make notebooks  run the whole course and keep its outputs in notebooks/
#   make test-latest  the notebooks with the newest release of everything (no gate: it warns early)
#
# Variables: PYTHON=python3.12  PRESET=quick|full  SEED=0
#            TORCH_INDEX=address of PyTorch's CPU wheels (Linux without a GPU: see README.md)

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup tutorial test test-fast test-latest verify lab lint format clean notebooks

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PRESET ?= quick
SEED ?= 0
OUT := runs/$(PRESET)-$(SEED)
TORCH_INDEX ?=
# Left to itself pip compiles every file of every package, a third of the set-up; Python does it for
# what is really imported.
INSTALL := -m pip install --quiet --no-compile
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))

# The first Python of 3.11 or later that really runs and can make environments (a pyenv shim may
# exist and still fail). Looked up only when something has to be installed.
IS_USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	if "$$name" -c '$(IS_USABLE)' >/dev/null 2>&1; then echo "$$name"; break; fi; done)

# $(call timed,words,command): run a command and say how long it took, also when it fails.
define timed
@start=$$(date +%s); status=0; ( $(2) ) || status=$$?; \
seconds=$$(( $$(date +%s) - start )); \
echo "[make] $(1): $$((seconds / 60)) min $$((seconds % 60)) s"; exit $$status
endef

help:
	@sed -n '2,11s/^# \{0,1\}//p' Makefile

setup: $(STAMP)

# The stamp is newer than the pins once everything is installed: a second run installs nothing.
$(STAMP): requirements.txt pyproject.toml
	@if ! "$(PYTHON)" -c '$(IS_USABLE)' >/dev/null 2>&1; then \
	  echo "Needed and not found$(if $(PYTHON), as '$(PYTHON)'): Python 3.11 or later with venv."; \
	  echo "Install it (Debian, Ubuntu: apt-get install python3 python3-venv), or say where it"; \
	  echo "is: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; fi
	@echo "[make] installing into $(VENV) (a few minutes and 2 GB, once)"
	$(call timed,set-up,\
	  "$(PYTHON)" -m venv $(VENV) && \
	  $(if $(TORCH_INDEX),$(BIN)/python $(INSTALL) --index-url "$(TORCH_INDEX)" \
	    "$$(grep '^torch==' requirements.txt)" &&) \
	  $(BIN)/python $(INSTALL) -r requirements.txt && \
	  $(BIN)/python $(INSTALL) --no-deps -e . && \
	  touch $(STAMP))

# A simulated annotator stands in for the reader where nobody sits in front of the notebooks.
HEADLESS := RLHF_TUTORIAL_HEADLESS=1 RLHF_TUTORIAL_PRESET=$(PRESET) RLHF_TUTORIAL_SEED=$(SEED)
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=1200 --override-ini addopts=

# Two processes with one thread each (tests/conftest.py) are faster than one with two.
WORKERS := --numprocesses 2 --dist loadfile

tutorial: $(STAMP)
	$(call timed,all stages,$(BIN)/python -m rlhf_tutorial run \
	  --preset $(PRESET) --seed $(SEED) --out $(OUT))
	$(call timed,notebooks,$(HEADLESS) $(BIN)/python benchmarks/notebooks.py --into $(OUT)/notebooks)
	@$(BIN)/python -m rlhf_tutorial report $(OUT)

# Notebooks come first: they build, with all threads, what a test of them looks at.
test: $(STAMP)
	$(call timed,notebooks,$(HEADLESS) $(BIN)/python -m pytest $(NBVAL) notebooks)
	$(call timed,tests,$(BIN)/python -m pytest -m "not slow" $(WORKERS))

test-fast: $(STAMP)
	$(BIN)/python -m pytest -m "not slow and not medium" $(WORKERS)

verify: $(STAMP)
	$(call timed,slow tests,$(BIN)/python -m pytest -m slow || test $$? -eq 5)
	$(call timed,the village,$(BIN)/python benchmarks/village.py)
	$(call timed,the judge,$(BIN)/python benchmarks/judge_agreement.py)
	$(call timed,five seeds,$(BIN)/python benchmarks/five_seeds.py)
	$(call timed,real preferences,$(BIN)/python benchmarks/real_preferences.py)
	$(call timed,the course with five seeds,for seed in 10 11 12 13 14; do $(HEADLESS) \
	  RLHF_TUTORIAL_HOME="$(CURDIR)/runs/seeds" RLHF_TUTORIAL_SEED=$$seed $(BIN)/python \
	  benchmarks/notebooks.py --into runs/seeds/notebooks-$$seed || exit 1; done; \
	  $(BIN)/python benchmarks/course_seeds.py runs/seeds)
	$(call timed,a taste of one's own,$(BIN)/python benchmarks/taste.py)
	$(call timed,closed form,$(BIN)/python benchmarks/closed_form.py)
	$(call timed,how PPO holds,$(BIN)/python benchmarks/ppo_stability.py)
	$(call timed,PPO beside TRL's,$(BIN)/python benchmarks/ppo_vs_trl.py && \
	  $(BIN)/python benchmarks/ppo_vs_trl.py --parity)
	$(call timed,details of PPO,$(BIN)/python benchmarks/ppo_details.py)
	$(call timed,how cost grows,$(BIN)/python benchmarks/growth.py)
	$(call timed,speeds,for part in sampling pretraining finetuning profile; do \
	  $(BIN)/python benchmarks/speed_$$part.py --run runs/seeds/quick-10 || exit 1; done)
	$(call timed,what goes wrong,$(BIN)/python benchmarks/doctor.py)

lab: $(STAMP)
	RLHF_TUTORIAL_PRESET=$(PRESET) RLHF_TUTORIAL_SEED=$(SEED) \
	  $(BIN)/python -m jupyter lab $(or $(firstword $(NOTEBOOKS)),.)

notebooks: $(STAMP)
	@test -n "$(NOTEBOOKS)" || { echo "There are no notebooks in notebooks/ yet."; exit 2; }
	$(call timed,notebooks,$(HEADLESS) $(BIN)/python benchmarks/notebooks.py)

# Not a gate: the day a new release breaks the course is seen here first.
test-latest:
	"$(PYTHON)" -m venv .venv-latest
	$(if $(TORCH_INDEX),.venv-latest/bin/python $(INSTALL) --index-url "$(TORCH_INDEX)" torch)
	sed 's/==.*//' requirements.txt > .venv-latest/requirements.txt
	.venv-latest/bin/python $(INSTALL) --upgrade -r .venv-latest/requirements.txt
	.venv-latest/bin/python $(INSTALL) --no-deps -e .
	$(call timed,notebooks,$(HEADLESS) .venv-latest/bin/python -m pytest $(NBVAL) notebooks)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Runs hold your own rankings, so they are left alone: remove runs/ by hand if you mean it.
clean:
	rm -rf $(VENV) .venv-latest build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
