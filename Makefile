# Needs nothing but make and a Python of 3.11 or newer; the rest goes into $(VENV).
PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BENCH_ARGS ?=
SOAK_MINUTES ?= 4

.PHONY: demo test test-compiled soak check bench bench-full bench-check clean

demo: $(VENV)/.ready-to-run  ## a PKI, an app and the proxy, and a table of what comes of each request
	$(VENV)/bin/originward demo

test: $(VENV)/.ready-to-test  ## every test
	$(VENV)/bin/pytest $(PYTEST_ARGS)

# In a copy, so that no extension is left beside a source that has changed since.
test-compiled: $(VENV)/.ready-to-test  ## the same tests on the data path as mypyc compiles it; needs a C compiler
	rm -rf build/compiled && mkdir -p build/compiled
	git ls-files -z | xargs -0 cp --parents -t build/compiled
	cd build/compiled && ORIGINWARD_COMPILE=1 $(abspath $(VENV))/bin/python setup.py -q build_ext --inplace
	cd build/compiled && $(abspath $(VENV))/bin/python -m pytest -m "not doubles" $(PYTEST_ARGS)

soak: $(VENV)/.ready-to-test  ## reloads, revocations, broken files and killed processes under load, SOAK_MINUTES=4
	$(VENV)/bin/python -m tests.soak --minutes $(SOAK_MINUTES)

check: $(VENV)/.ready-to-test  ## lint and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bench: $(VENV)/.ready-to-test  ## beside the other proxies, some minutes; installs them where it may, and says how where not
	$(VENV)/bin/python -m bench run $(BENCH_ARGS)

bench-full: $(VENV)/.ready-to-test  ## every row, most of an hour; stores the results, draws them, writes the README's table
	$(VENV)/bin/python -m bench run --full $(BENCH_ARGS)

bench-check: $(VENV)/.ready-to-test  ## measures again and fails where a ratio to nginx is worse than the stored one
	$(VENV)/bin/python -m bench check $(BENCH_ARGS)

clean:  ## what these commands left behind
	rm -rf "$(VENV)" build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find proxy tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready-to-run: pyproject.toml | $(VENV)/bin/python
	$(call install,-e .)
	@touch $@

# pip leaves alone what is there already, so this serves `make demo` too.
$(VENV)/.ready-to-test: pyproject.toml | $(VENV)/bin/python
	$(call install,-e '.[dev]')
	@touch $@ $(VENV)/.ready-to-run

$(VENV)/bin/python:
	@$(need_python)
	@echo "making $(VENV) with $$($(PYTHON) -c 'import platform, sys; print(sys.executable, platform.python_version())')"
	@$(PYTHON) -m venv "$(VENV)" || { rm -rf "$(VENV)"; echo "$(venv_help)" >&2; exit 1; }

install = @echo "installing into $(VENV) (a minute, the first time)"; \
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(1)

# Says what is missing before anything is made. The Python it asks may be too old for anything but print().
define need_python
	command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "originward needs Python 3.11 or newer: there is no $(PYTHON) here. $(python_help)" >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "originward needs Python 3.11 or newer: $(PYTHON) is $$($(PYTHON) -V 2>&1). $(python_help)" >&2; exit 1; }; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(venv_help)" >&2; exit 1; }
endef

python_help = Install one (python.org, your distribution, or https://docs.astral.sh/uv/), \
	or name one that is here: make PYTHON=/path/to/python3.12 $(or $(MAKECMDGOALS),demo)
venv_help = $(PYTHON) is new enough but cannot make virtual environments: its venv or ensurepip module is missing. \
	On Debian and Ubuntu: apt install python3-venv
