# Recoup's everyday commands; `make` alone lists them.

PYTHON ?= python3
BIN    := .venv/bin
STAMP  := .venv/.ready
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test tests check fmt bench lock proto

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## prepare .venv with the `recoup` command in it

# Everything is pinned and hashed, the build backend included, so installing ourselves fetches nothing more.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Recoup needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	PATH="$(CURDIR)/$(BIN):$$PATH" \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src
	@touch $@

demo: setup  ## start everything with simulated shoppers (ARGS=--once ends after the summary)
	$(BIN)/recoup demo $(ARGS)

# At once: the checks take what the tests leave of the machine while they wait.
test: setup  ## check, and every test
	$(MAKE) --jobs=2 check tests

tests: setup
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup  ## format, lint, types, import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	nice -n 19 $(BIN)/basedpyright
	$(BIN)/lint-imports

fmt: setup  ## format, and mend what the linter can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: setup  ## measure the promises (ARGS=path for one of them)
	$(BIN)/python -m bench $(ARGS)

lock: setup  ## pin the dependencies of pyproject.toml anew, with hashes
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --upgrade --quiet --output-file requirements.lock

proto: setup  ## make descriptors of our .proto files anew
	$(BIN)/python -m grpc_tools.protoc --proto_path=src/recoup/messages \
	  --descriptor_set_out=src/recoup/messages/events.binpb src/recoup/messages/events.proto
