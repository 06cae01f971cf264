# Two commands are enough for a newcomer: `make book` and `make test`. Each sets up `.venv` by itself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Large pages for memory on Linux (glibc 2.35 and later; elsewhere it means nothing): a page fault is dear on a virtual machine.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
# Compiled modules are kept, also where a machine says otherwise: each page and many a test starts a Python, which would compile PyTorch anew.
unexport PYTHONDONTWRITEBYTECODE

EDITION ?= synthetic
WORKERS ?= 2
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# CPU=1 leaves CUDA out, once and for all: the file remembers it. uv knows where PyTorch keeps its builds.
CPU ?= $(wildcard $(VENV)/.cpu)
LOCK := requirements$(if $(CPU),-cpu).lock
CUDA := ^(nvidia-|cuda-|triton==)
WHEELS ?= wheels
LABS := $(wildcard notebooks/labs/*.ipynb)

.PHONY: help setup book html test study lint bench labs wheels labs-ready browser-check pdf linkcheck readme lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

# A shim that exists but does not run is skipped: the interpreter has to answer.
$(READY): $(LOCK) pyproject.toml
	@if [ ! -x $(BIN)/python ]; then \
	  found=""; \
	  for candidate in $${PYTHON:-} python3.12 python3.13 python3.11 python3; do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	      >/dev/null 2>&1; then found="$$candidate"; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "No working Python 3.11, 3.12 or 3.13 was found. Install one (with venv), or name it: make PYTHON=... setup" >&2; \
	    exit 2; \
	  fi; \
	  echo "Creating $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv $(VENV); \
	fi
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "Installing what $(LOCK) lists$(if $(CPU),, (6.5 GB with CUDA libraries on Linux; CPU=1 leaves these out))"
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python $(if $(CPU),--torch-backend cpu) -r $(LOCK)
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@ $(if $(CPU),$(VENV)/.cpu)

setup: $(READY)  ## create .venv from requirements.lock; without CUDA: make setup CPU=1

book: setup  ## execute the synthetic edition and the labs where they are out of date, then build the HTML
	@$(BIN)/fer-study execute synthetic
	@$(BIN)/fer-study labs --pages
	@$(MAKE) --no-print-directory html

html: book/_build/.built  ## build book/_build/html from the executed pages that are there

# Directories are listed too: a removed page changes its folder. The reference is made from the module. New settings or references concern
# every page. A failed build forgets its cache: warnings of pages that were read once would otherwise be silent the second time.
book/_build/.built: $(READY) CITATION.cff CHANGELOG.md $(shell find fer_study -name '*.py') \
  $(shell find book -mindepth 1 -path book/_build -prune -o -print)
	@$(if $(filter %.bib %.yml,$?),rm -rf book/_build/.doctrees)
	@$(BIN)/jupyter-book build -q -W -n --keep-going book >/dev/null || { rm -rf book/_build/.doctrees; exit 1; }
	@$(BIN)/python tests/link_check.py book/_build/html
	@touch $@
	@echo "The book: book/_build/html/index.html"

test: setup  ## the test suite, on CPU
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

study: setup  ## train all an edition lists: make study EDITION=fer2013 ARGS="--minutes 60"
	@$(BIN)/fer-study train $(EDITION) $(ARGS)

lint: setup  ## ruff, undeclared and unused dependencies, and no outputs in the source notebooks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/deptry --no-ansi .
	@if ls notebooks/*.ipynb $(LABS) >/dev/null 2>&1; then $(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb $(LABS); fi

bench: setup  ## measurements of speed
	@$(BIN)/python -m pytest -s -m bench $(ARGS)

labs: setup  ## student and solution versions of the labs: labs/student/, labs/solution/
	@$(BIN)/fer-study labs

wheels: setup  ## a folder of all that a class without network installs, of this kind of machine: wheels/
	@rm -rf $(WHEELS); echo "Collecting what requirements-labs.lock lists"
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --wheel-dir $(WHEELS) --no-deps $(WHEELS_ARGS) -r requirements-labs.lock .

labs-ready: setup  ## before class: run every solution on this machine, say how long it takes and its points
	@$(BIN)/fer-study labs --rehearse

browser-check: setup  ## open every page of the built book in Chromium, with the network cut
	@$(BIN)/python tests/browser_check.py book/_build/html --screenshots .build/screenshots

pdf: html  ## print the built book as book/_build/fer-study.pdf, with Chromium or Chrome; fails where anything would be cut
	@$(BIN)/python tests/print_book.py book/_build/html book/_build/fer-study.pdf

linkcheck: setup  ## ask every address outside of the book whether it answers; needs a network
	@$(BIN)/jupyter-book build -q book --builder linkcheck --path-output .build/linkcheck

readme: setup  ## write the badges, answers and pictures of README.md anew
	@$(BIN)/python tests/readme_parts.py

lock: setup  ## resolve the locks afresh from pyproject.toml
	@$(BIN)/python -m uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-emit-index-url --no-header \
	  --no-annotate --extra book --extra cluster --extra test --extra browser --extra dev pyproject.toml -o requirements.lock
	@grep -vE '$(CUDA)' requirements.lock > requirements-cpu.lock
	@$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
	  --constraint requirements.lock --extra labs pyproject.toml | grep -vE '$(CUDA)' > requirements-labs.lock

clean:  ## remove what was built; records in runs/ and the environment stay
	@rm -rf book/_build book/synthetic book/labs/*.ipynb .build .pytest_cache .ruff_cache
