# Two commands matter: `make demo` and `make test`. Each sets itself up on a machine with Python 3.11.
PYTHON ?= python3.11
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

DEMO := .venv-demo
DEV := .venv
BENCH := .venv-bench

# An environment is complete when its stamp exists and is newer than what it was made from.
define environment
	rm -rf $(1)
	$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --require-hashes -r requirements/build.lock
	$(1)/bin/python -m pip install --quiet --require-hashes -r $(2)
	$(1)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@
endef

# PESQ has no wheel. Where there is no C compiler its tests skip, saying so.
define compiled
	if command -v cc >/dev/null; then \
	  $(1)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/pesq.lock; \
	fi
endef

.PHONY: help demo test lint bench lock schemas clean

help:
	@echo "make demo   evaluate a real recogniser on the bundled dataset"
	@echo "make test   lint, types, layers and tests"
	@echo "make bench  benchmarks beside other tools"
	@echo "make lock   resolve the locks under requirements/ again (needs uv)"

$(DEMO)/.complete: requirements/build.lock requirements/demo.lock pyproject.toml
	$(call environment,$(DEMO),requirements/demo.lock)

$(DEV)/.complete: requirements/build.lock requirements/dev.lock requirements/pesq.lock pyproject.toml
	$(call environment,$(DEV),requirements/dev.lock)
	$(call compiled,$(DEV))

$(BENCH)/.complete: requirements/build.lock requirements/bench.lock pyproject.toml
	$(call environment,$(BENCH),requirements/bench.lock)

demo: $(DEMO)/.complete
	$(DEMO)/bin/relkit eval demo --jobs 2
	$(DEMO)/bin/relkit report $$(ls .relkit/runs | tail -n 1) --with-text
	$(DEMO)/bin/relkit gate asr-promotion --plan --dataset assistant-commands --suite demo
	$(DEMO)/bin/relkit eval demo --jobs 2 --quiet --system beam_size=5
	set -- $$(ls .relkit/runs | tail -n 2) && \
	  $(DEMO)/bin/relkit compare $$1 $$2 --top 3 && \
	  { $(DEMO)/bin/relkit gate asr-promotion --baseline $$1 --candidate $$2 || test $$? -eq 3; }

lint: $(DEV)/.complete
	$(DEV)/bin/ruff check
	$(DEV)/bin/ruff format --check
	$(DEV)/bin/lint-imports --no-cache
	$(DEV)/bin/mypy

test: lint
	$(DEV)/bin/python -m pytest -n 2 --dist loadfile

bench: $(BENCH)/.complete
	$(BENCH)/bin/python -m benchmarks

lock:
	for name in build pesq demo dev bench; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url $$(case $$name in \
	      build) echo requirements/build.in;; pesq) echo --no-deps requirements/pesq.in;; \
	      *) echo pyproject.toml --extra $$name;; esac) --output-file requirements/$$name.lock; \
	done

schemas: $(DEV)/.complete
	$(DEV)/bin/python -c "from pathlib import Path; from relkit.registry.schemas import schemas; [Path('registry/schema', n).write_text(t) for n, t in schemas()]"

clean:
	rm -rf $(DEMO) $(DEV) $(BENCH) dist build .mypy_cache .pytest_cache .ruff_cache
