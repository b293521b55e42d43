# make run serves the app; make test runs every check and test. Both set up what they need, and are fast the second time.
# make check is the quick part without tests, make fast the tests that take under a minute together.
# make run ARGS="--port 8000" hands arguments on; PYTHON=python3.12 names the interpreter that .venv is made with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Compiled files spare each of the tests' many processes seconds, so they are kept even where Python is told not to.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test fast check windowless docs bench embedded chromium
.DELETE_ON_ERROR:

run: $(VENV)/.app
	$(BIN)/python app.py $(ARGS)

# Two at a time, as pyright keeps one core busy only; three browsers, as their pages wait for timers half of the time.
test: $(VENV)/.dev chromium
	@$(MAKE) --no-print-directory -j 2 check windowless
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile -m browser tests/browser $(ARGS)

windowless: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m "not browser" --ignore tests/test_layers.py $(ARGS)

fast: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m "not browser and not slow" $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest tests/test_layers.py

docs: $(VENV)/.app
	$(BIN)/python -m cnet_app.docs

bench: $(VENV)/.app
	$(BIN)/python -m benchmarks $(ARGS)

embedded: $(VENV)/.app
	$(BIN)/python -m cnet_app train embedded $(ARGS)

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Python 3.11 or newer is needed, but $(PYTHON) is not that; name one, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	{ echo "$(PYTHON) could not make $(VENV); on Debian and Ubuntu, apt-get install python3-venv first." >&2; exit 1; }

$(VENV)/.app: requirements.txt | $(VENV)/bin/pip
	@echo "Installing what the app needs into $(VENV): about 6 GB, some minutes, once."
	@$(PIP) -r requirements.txt
	@# The full OpenCV wants desktop libraries; where they are missing, its headless twin takes the place of its files.
	@$(BIN)/python -c "import cv2" 2>/dev/null || $(PIP) --force-reinstall --no-deps $$(grep opencv-python-headless== requirements.txt)
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	@echo "Installing what tests and checks need into $(VENV)."
	@$(PIP) -r requirements-dev.txt
	@touch $@

chromium:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	echo "Installing Chromium for the browser tests."; \
	{ [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq -y chromium >/dev/null; } || \
	{ echo "The browser tests need Chromium, and it cannot be installed from here; install it (Debian: apt-get install chromium), then run make test again." >&2; exit 1; }
