# A fresh machine with Python 3.11+ and pip needs nothing else: every target makes its own set-up.
# The virtual environment is installed once, and again when what it is made from changes.

PYTHON ?= python3
VENV   := .venv
PIP    := $(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-warn-conflicts

.DEFAULT_GOAL := help
.PHONY: help test test-all test-browser test-hubs check format demo clean

help:
	@echo "make test      the default test suite (about a minute)"
	@echo "make test-all  the slow tests too"
	@echo "make test-browser the report in a headless Chromium, where one is installed"
	@echo "make test-hubs the shipped mappings against transformers, KerasHub, torchvision (2 GB, once)"
	@echo "make check     format, lint, types, architecture, sizes, links: all of scripts/check"
	@echo "make format    put the code into the one format"
	@echo "make demo      port three published networks both ways and compare every value"
	@echo "make clean     remove the environment and what the demo made"

test: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest -n 2 -m "not slow and not browser"

test-all: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest -n 2

test-browser: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest -m browser tests/inspection

test-hubs: $(VENV)-hubs/hubs.stamp
	KERAS_BACKEND=torch $(VENV)-hubs/bin/python -m pytest tests/hubs

check: $(VENV)/dev.stamp
	scripts/check

format: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check --fix --quiet .
	$(VENV)/bin/ruff format .

demo: $(VENV)/demo.stamp
	scripts/demo

clean:
	rm -rf $(VENV) $(VENV)-hubs demo-out

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "weightsurgeon needs Python 3.11 or newer, and $(PYTHON) is %d.%d: make PYTHON=python3.11 …" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml requirements/core.txt requirements/demo.txt requirements/models.txt | $(VENV)/bin/python
	$(PIP) -r requirements/demo.txt
	$(PIP) --no-deps -r requirements/models.txt -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp requirements/dev.txt
	$(PIP) -r requirements/dev.txt
	@touch $@

$(VENV)-hubs/hubs.stamp: requirements/hubs.txt requirements/dev.txt
	$(PYTHON) -m venv $(VENV)-hubs
	$(VENV)-hubs/bin/python -m pip install -q --disable-pip-version-check -r requirements/hubs.txt
	$(VENV)-hubs/bin/python -m pip install -q --disable-pip-version-check --no-deps keras-hub==0.32.0 -e .
	$(VENV)-hubs/bin/python -m pip install -q --disable-pip-version-check --no-deps --target $(VENV)-hubs/models torchvision==0.28.0
	@touch $@
