# make run     install what is missing and open the window
# make test    install what is missing and run the tests, two at a time (JOBS=4: four); ARGS="tests/unit -k adam" chooses
# make soak    the tests that take many minutes: faults of the disk (needs a C compiler), random damage, kills
# make test-foreign  the tests with other training libraries, which it installs in an environment of their own
# make test-fast  the same without the tests marked slow, in under a minute
# make check   formatter, ruff and mypy
# make bench   the benchmarks
# make package the packages of this system, in dist: on Linux a .deb, a tarball, wheel and source archive
# make test-package   prove them in a bare Debian (as root; some minutes)
# make lock    write packaging/requirements.txt anew, after constraints.txt or pyproject.toml changed (needs uv)
# make pictures draw the gallery's pictures from live runs; ARGS="digits-mlp" chooses
# make screenshots  draw every place, tile, dialog and scene on screens of three sizes; ARGS="build/screenshots surfaces" chooses
# make readme-pictures  draw the README's pictures from the window as it is
# make mutants break every update rule in many small ways and see whether the tests notice; ARGS="adam" chooses
# make clean   remove the virtual environment and everything built
#
# TORCH=… chooses the build of PyTorch, PYTHON=… the interpreter: see README.md. What an install consists of is in packaging/prepare.py.

PYTHON ?= python3
VENV ?= .venv
TORCH ?=
ARGS ?=
JOBS ?= 2

BIN := $(VENV)/bin
PREPARE = @command -v $(PYTHON) >/dev/null || { echo "OptLab needs Python 3.11 or newer, but $(PYTHON) is not there: install it (Debian: apt-get install python3 python3-venv) or name another with PYTHON=…."; exit 1; }; \
	$(PYTHON) packaging/prepare.py --venv "$(VENV)" --torch "$(TORCH)"

.PHONY: run install install-dev system test test-foreign soak check format bench mutants pictures readme-pictures screenshots clean

run: install
	@$(BIN)/optlab $(ARGS)

install:
	$(PREPARE)

install-dev:
	$(PREPARE) --dev

system:
	$(PREPARE) --dev --system-only

test: install-dev
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

soak: install-dev
	$(BIN)/python -m pytest -m soak -s -o faulthandler_timeout=7200 $(ARGS)

test-foreign:
	@command -v $(PYTHON) >/dev/null || { echo "OptLab needs Python 3.11 or newer, but $(PYTHON) is not there."; exit 1; }
	$(PYTHON) packaging/prepare.py --venv "$(VENV)-foreign" --torch "$(TORCH)" --dev
	$(VENV)-foreign/bin/python -m pip --disable-pip-version-check install --quiet -c $(VENV)-foreign/optlab-constraints.txt -r tests/foreign/requirements.txt
	@# It comes with BackPACK, for another build of torch than the one here, and Lightning imports what is there.
	$(VENV)-foreign/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes torchvision
	$(PYTHON) -m venv "$(VENV)-logs"
	$(VENV)-logs/bin/python -m pip --disable-pip-version-check install --quiet -r tests/foreign/log-requirements.txt
	OPTLAB_LOGS_PYTHON="$(VENV)-logs/bin/python" $(VENV)-foreign/bin/python -m pytest -m foreign tests/foreign -o faulthandler_timeout=3600 $(ARGS)

test-fast: install-dev
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not soak and not foreign" $(ARGS)

check: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install-dev
	@for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script" $(ARGS) || exit 1; done

mutants: install-dev
	@$(BIN)/python tools/mutate_rules.py $(ARGS)

pictures: install-dev
	@QT_QPA_PLATFORM=offscreen PYTHONPATH=. $(BIN)/python tools/draw_pictures.py $(ARGS)

readme-pictures: install-dev
	@QT_QPA_PLATFORM=offscreen PYTHONPATH=. $(BIN)/python tools/readme_pictures.py $(ARGS)

screenshots: install-dev
	@QT_QPA_PLATFORM=offscreen PYTHONPATH=. $(BIN)/python tools/screenshots.py $(or $(ARGS),build/screenshots)

package:
	@command -v $(PYTHON) >/dev/null || { echo "OptLab is packaged with Python 3.11 or newer, but $(PYTHON) is not there: install it or name another with PYTHON=…."; exit 1; }
	@$(PYTHON) packaging/build.py --torch "$(TORCH)"

test-package: install-dev
	$(BIN)/python -m pytest packaging/tests -s -o faulthandler_timeout=900 $(ARGS)

lock:
	$(PYTHON) packaging/lock.py

clean:
	rm -rf "$(VENV)" build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find optlab tests packaging -name __pycache__ -type d -prune -exec rm -rf {} +
