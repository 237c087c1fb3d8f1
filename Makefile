# Two commands matter: `make demo` and `make test`. Each sets itself up on a machine with Python 3.11.
PYTHON ?= python3.11
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

DEMO := .venv-demo
DEV := .venv
BENCH := .venv-bench
WHEEL := .venv-wheel
PYTEST := $(DEV)/bin/python -m pytest -n 2 --dist loadfile

# Runs a part and says how long it took.
define timed
@TIMEFORMAT='-- $(1): %0R s'; time { set -x; $(2); }
endef

# uv installs from its cache what an environment before this one had; pip where only pip is set up.
install = { $(1)/bin/uv pip install --quiet --python $(1)/bin/python $(2) || \
	$(1)/bin/python -m pip install --quiet $(2); }

# An environment is made again where its locks are others; a newer pyproject.toml only installs relkit.
define environment
	$(call timed,install,rm -rf $(1) && $(PYTHON) -m venv $(1) && \
	  $(1)/bin/python -m pip install --quiet --require-hashes -r requirements/build.lock && \
	  $(call install,$(1),--require-hashes -r $(2)))
	touch $@
endef

define relkit
	$(call install,$(1),--no-deps --no-build-isolation -e .)
	touch $@
endef

# PESQ has no wheel. Where there is no C compiler its tests skip, saying so.
define compiled
	$(call timed,compile,if command -v cc; then \
	  $(call install,$(1),--no-deps --require-hashes -r requirements/pesq.lock); fi)
endef

locked = .locked-$(shell cat requirements/build.lock $(1) | cksum | cut -d ' ' -f 1)
DEMO_LOCKED := $(DEMO)/$(call locked,requirements/demo.lock)
DEV_LOCKED := $(DEV)/$(call locked,requirements/dev.lock requirements/pesq.lock)
BENCH_LOCKED := $(BENCH)/$(call locked,requirements/bench.lock)

.PHONY: help dev fix demo test coverage lint docs dist bench lock schemas clean

help:
	@echo "make dev    an environment to work in, and the checks before each commit"
	@echo "make fix    format, and the safe fixes of lint"
	@echo "make test   lint, types, layers and tests, with the time of each part"
	@echo "make coverage  lines that the unit tests reach"
	@echo "make demo   evaluate a real recogniser on the bundled dataset"
	@echo "make docs   the documentation as a site, in build/site"
	@echo "make dist   the wheel, and a check of it in a clean environment"
	@echo "make bench  benchmarks beside other tools"
	@echo "make lock   resolve the locks under requirements/ again"

$(DEMO_LOCKED):
	$(call environment,$(DEMO),requirements/demo.lock)

$(WHEEL)/%:
	$(call environment,$(WHEEL),requirements/demo.lock)

$(DEV_LOCKED):
	$(call environment,$(DEV),requirements/dev.lock)
	$(call compiled,$(DEV))

$(BENCH_LOCKED):
	$(call environment,$(BENCH),requirements/bench.lock)

$(DEMO)/.complete: $(DEMO_LOCKED) pyproject.toml
	$(call relkit,$(DEMO))

$(DEV)/.complete: $(DEV_LOCKED) pyproject.toml
	$(call relkit,$(DEV))

$(BENCH)/.complete: $(BENCH_LOCKED) pyproject.toml
	$(call relkit,$(BENCH))

dev: $(DEV)/.complete
	@if command -v pre-commit >/dev/null; then pre-commit install; \
	else echo "pre-commit is not installed: nothing is checked before a commit"; fi
	@echo "ready: source $(DEV)/bin/activate"

fix: $(DEV)/.complete
	$(DEV)/bin/ruff check --fix-only --quiet
	$(DEV)/bin/ruff format

demo: $(DEMO)/.complete
	$(DEMO)/bin/relkit eval demo --jobs 2
	$(DEMO)/bin/relkit report $$(ls .relkit/runs | tail -n 1) --with-text
	$(DEMO)/bin/relkit gate asr-promotion --plan --dataset assistant-commands --suite demo
	$(DEMO)/bin/relkit eval demo --jobs 2 --quiet --system beam_size=5
	set -- $$(ls .relkit/runs | tail -n 2) && \
	  $(DEMO)/bin/relkit compare $$1 $$2 --top 3 && \
	  { $(DEMO)/bin/relkit gate asr-promotion --baseline $$1 --candidate $$2 || test $$? -eq 3; }
	@if command -v espeak-ng >/dev/null; then set -x; \
	  $(DEMO)/bin/relkit eval talk-demo --jobs 4 --quiet --system stop_ms=300; \
	  $(DEMO)/bin/relkit eval talk-demo --jobs 4 --quiet --system stop_ms=900; \
	  $(DEMO)/bin/relkit compare @prev:talk-demo @latest:talk-demo --metric false_eot_rate --top 3; \
	  { set +x; } 2>/dev/null; \
	  echo "Waiting 900 ms instead of 300 for the end of a turn ends no turn falsely where somebody only pauses,"; \
	  echo "and every answer comes some 600 ms later: eot_delay_ms and response_ms above."; \
	else echo "espeak-ng is not installed: no conversation is held"; fi

lint: $(DEV)/.complete
	$(call timed,lint,$(DEV)/bin/ruff check && $(DEV)/bin/ruff format --check)
	$(call timed,layers,$(DEV)/bin/lint-imports --no-cache)
	$(call timed,types,$(DEV)/bin/mypy)

test: lint
	$(call timed,unit tests,$(PYTEST) tests/unit)
	$(call timed,other tests,$(PYTEST) --ignore=tests/unit)

# Apart from the tests: to trace every line takes about as long as they do.
coverage: $(DEV)/.complete
	$(call timed,unit tests,$(PYTEST) tests/unit --cov --cov-report=)
	@echo "-- line coverage of the unit tests: $$($(DEV)/bin/coverage report --format=total) %;" \
	  "by file: $(DEV)/bin/coverage report"

docs: $(DEV)/.complete
	$(DEV)/bin/mkdocs build --strict

# The wheel is held where nothing else of this folder is: it makes a workspace, and evaluates it.
dist: $(WHEEL)/$(call locked,requirements/demo.lock)
	rm -rf dist
	$(WHEEL)/bin/python -m hatchling build --directory dist
	$(WHEEL)/bin/python -m pip install --quiet --no-deps --force-reinstall dist/*.whl
	$(WHEEL)/bin/python -m pip check
	export PATH="$$PWD/$(WHEEL)/bin:$$PATH"; cd "$$(mktemp -d)"; \
	  relkit init workspace; cd workspace; relkit eval demo --jobs 2 --quiet; \
	  relkit report "$$(ls .relkit/runs)"

bench: $(BENCH)/.complete
	$(BENCH)/bin/python -m benchmarks

lock: $(DEV)/.complete
	for name in build pesq demo dev bench; do \
	  $(DEV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url $$(case $$name in \
	      build) echo requirements/build.in;; pesq) echo --no-deps requirements/pesq.in;; \
	      *) echo pyproject.toml --extra $$name;; esac) --output-file requirements/$$name.lock; \
	done

schemas: $(DEV)/.complete
	$(DEV)/bin/python -c "from pathlib import Path; from relkit.wiring.schemas import schemas; [Path('registry/schema', n).write_text(t) for n, t in schemas()]"

clean:
	rm -rf $(DEMO) $(DEV) $(BENCH) $(WHEEL) dist build .mypy_cache .pytest_cache .ruff_cache
