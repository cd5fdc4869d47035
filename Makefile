# `make` alone lists the recipes. GNU make and a POSIX shell are enough; `uv` is used when it is on the PATH.

PYTHON ?= python3
ARGS ?=

# A Python that was asked for by name gets an environment of its own, so that `make test PYTHON=python3.13` tests 3.13.
ifeq ($(origin PYTHON),file)
VENV ?= .venv
else
VENV_OF_PYTHON := .venv-$(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV ?= $(VENV_OF_PYTHON)
endif

BIN := $(VENV)/bin
LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" --quiet $(if $(UPGRADE),--upgrade)
# Tests wait more than they work, so several processes share them; who chooses tests by ARGS sees them run in one.
WORKERS ?= $(if $(ARGS),0,4)
SERVER_WORKERS ?= $(if $(ARGS),0,3)
SERVER_TESTS := kafka or postgres or redis or registry or deploy
CHART_TESTS := chart or apiserver

# The name of a stamp holds the checksum of what it stands for: a changed lock installs again, nothing else does.
RUNTIME := $(VENV)/.runtime-$(firstword $(shell cat requirements.lock | cksum))
DEVELOPMENT := $(VENV)/.development-$(firstword $(shell cat requirements.lock tests/requirements.lock | cksum))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo run test test-servers test-chart tools jaeger apiserver mutations chaos coverage lint style types imports docs bench e2e lock

help: ## list the recipes
	@printf '%-14s %s\n' recipe 'what it does' ------ ------------
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '%-14s %s\n' "$$name" "$$text"; done
	@printf '\n%s\n' 'PYTHON=python3.12 chooses the Python, ARGS="-k order" goes on to pytest or to the service.'

setup: $(DEVELOPMENT) ## install what the service and its tests need into .venv

demo: $(RUNTIME) ## run the order service on an embedded broker and show what becomes of each command
	@$(BIN)/python -m service demo $(ARGS)

run: $(RUNTIME) ## keep the service running (embedded broker unless KAFKA_BOOTSTRAP_SERVERS is set)
	@$(BIN)/python -m service run $(ARGS)

test: $(DEVELOPMENT) ## run the tests that need nothing but Python, and measure their coverage
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m 'not ($(SERVER_TESTS) or $(CHART_TESTS))' --cov --cov-report= $(ARGS)

test-servers: $(DEVELOPMENT) ## run the tests on real Apache Kafka, PostgreSQL and Redis (.ci/run installs these)
	@$(BIN)/python -m pytest -q -n $(SERVER_WORKERS) --dist loadfile -m '$(SERVER_TESTS)' $(ARGS)

test-chart: $(DEVELOPMENT) ## run the tests of the chart (gets helm and schemas; `make tools` first adds those on an API server)
	@$(BIN)/python -m pytest -q -n $(if $(ARGS),0,2) --dist loadfile -m '$(CHART_TESTS)' tests/chart $(ARGS)

tools: jaeger apiserver ## build Jaeger and a Kubernetes API server for the tests into the cache (Go; once, some minutes)

jaeger: $(DEVELOPMENT) ## build Jaeger alone
	@$(BIN)/python -m cqrs.testing.jaeger_server

apiserver: $(DEVELOPMENT) ## build the API server alone, and get what else the tests of the chart need
	@$(BIN)/python -m tests.chart.control_plane

mutations: $(DEVELOPMENT) ## break each promise on purpose and see that the tests notice (ARGS="durable" chooses)
	@$(BIN)/python -m tests.mutations $(ARGS)

chaos: $(DEVELOPMENT) ## kill services and brokers on real Kafka and see that nothing is lost (ARGS=--short: a minute or two)
	@$(BIN)/python -m tests.chaos $(ARGS)

coverage: $(DEVELOPMENT) ## list the files that the last `make test` did not cover whole
	@$(BIN)/python -m coverage report --skip-covered --sort=cover

lint: style types imports ## check style, types and the import rules

style: $(DEVELOPMENT) ## check style and format (ruff)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(DEVELOPMENT) ## check types (mypy --strict, basedpyright)
	@$(BIN)/mypy
	@$(BIN)/basedpyright

imports: $(DEVELOPMENT) ## check which room may import which (import-linter)
	@$(BIN)/lint-imports

docs: $(DEVELOPMENT) ## write the settings table of README.md and what is made of the values of the chart again
	@$(BIN)/python -m tests.docs.settings_table
	@$(BIN)/python -m tests.chart.documents

bench: $(DEVELOPMENT) ## measure the buses and the whole flow beside others (ARGS="bus", ARGS="flow --check", ARGS="profile ours")
	@$(BIN)/python -m benchmarks $(ARGS)

e2e: $(DEVELOPMENT) ## build the image, start compose.yaml, send a command, read its trace (needs a container engine)
	@$(BIN)/python -m tests.deploy.e2e

lock: ## write the locks again after pyproject.toml changed (needs uv; UPGRADE=1 takes the newest versions)
	@command -v uv >/dev/null || { echo 'make lock needs uv on the PATH; to get it: python3 -m pip install uv' >&2; exit 1; }
	uv pip compile pyproject.toml --extra redis $(LOCK_OPTIONS) --output-file requirements.lock
	uv pip compile --group dev $(LOCK_OPTIONS) --constraints requirements.lock --output-file tests/requirements.lock
	uv pip compile --group benchmarks $(LOCK_OPTIONS) --output-file benchmarks/requirements.lock

$(RUNTIME): | $(BIN)/python
	$(call install,-r requirements.lock)

$(DEVELOPMENT): | $(BIN)/python
	$(call install,-r requirements.lock -r tests/requirements.lock)
	@touch $(RUNTIME)

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'This needs Python 3.11 or newer as "$(PYTHON)"; name another: make PYTHON=python3.12 ...' >&2; exit 1; }
	@if command -v uv >/dev/null; then \
		uv venv --quiet --python "$(PYTHON)" "$(VENV)"; \
	elif "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
		"$(PYTHON)" -m venv "$(VENV)"; \
	else \
		echo '$(PYTHON) cannot make virtual environments here; on Debian: apt-get install python3-venv' >&2; exit 1; \
	fi
	@echo 'Made $(VENV) with '"$$($@ --version)"

# Only wheels whose hashes are in the lock: nothing is compiled here, and nothing else gets in.
define install
@echo 'Installing the locked packages into $(VENV), once'
@if command -v uv >/dev/null; then \
	uv pip install --python $(BIN)/python --require-hashes --only-binary :all: $(1); \
else \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
	{ $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --only-binary :all: $(1) 2>&1 \
		&& touch $@; } | tee $(VENV)/install.log | $(pip_progress); \
	test -e $@ || { cat $(VENV)/install.log >&2; exit 1; }; \
fi
@touch $@
endef

define pip_progress
while read -r line; do case "$$line" in \
	Collecting*) count=$$(($${count:-0} + 1)); test $$((count % 10)) -ne 0 || echo "  $$count packages fetched";; \
	Installing*) echo "  $$count packages fetched; unpacking them takes some seconds more";; \
esac; done
endef
