# The commands for a person. Every target first makes the environment, if it is missing or older than the lock.

PYTHON ?= python3
BIN := .venv/bin
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
unexport PYTHONDONTWRITEBYTECODE  # else each of hundreds of processes compiles all modules anew
NIGHT := predictions/demo
EXTRAS := cameras dask demo dev dicom heic hub int8 s3 server slides tiff

.DEFAULT_GOAL := help
.PHONY: help install run quick test system lint lock audit up down clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/installed  ## make .venv with the locked packages

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}; name another: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: install  ## the demo: images, training, registration, and a folder classified into a CSV
	$(BIN)/nightshift data demo
	$(BIN)/nightshift train
	$(BIN)/nightshift data holdout $(NIGHT)-images
	$(BIN)/nightshift classify $(NIGHT)-images $(NIGHT) --labels data/manifest.parquet
	@echo
	@$(BIN)/nightshift status

quick: install  ## the tests for while you work: none that is slow, trains a project, needs servers or a browser
	$(BIN)/python -m pytest -q -n auto --no-loadscope-reorder -m "not slow and not project and not services and not browser"

test: install system  ## all tests, and which took longest
	$(BIN)/python -m pytest -n auto --no-loadscope-reorder --durations 30 --durations-min 5

# GStreamer's RTSP server is the tests' camera; GLib's networking has its TLS.
GSTREAMER := gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good glib-networking

system:  ## Chromium, PostgreSQL and an RTSP server, for the tests of pages, servers and cameras, where they are missing
	@missing=$$(command -v chromium >/dev/null || echo chromium; \
		ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || echo postgresql; \
		/usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null || echo $(GSTREAMER)); \
	[ -z "$$missing" ] || { \
		command -v apt-get >/dev/null || { echo "The tests need Chromium (\`chromium\` on PATH), Debian's PostgreSQL and GStreamer's RTSP server. Install:" $$missing >&2; exit 1; }; \
		sudo=$$([ "$$(id -u)" -eq 0 ] || echo sudo); \
		$$sudo apt-get update -qq && \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; }

lint: install  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lock: install  ## make requirements.lock again from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--upgrade --no-header $(EXTRAS:%=--extra %) pyproject.toml --output-file requirements.lock

audit: install  ## ask PyPI's advisories about every locked package; needs the network
	$(BIN)/pip-audit --strict --disable-pip --requirement requirements.lock

up: install  ## start MLflow, Prefect and a worker in the background, with the schedules of prefect.yaml
	$(BIN)/nightshift up

down: install  ## stop what `make up` started
	$(BIN)/nightshift down

clean:  ## delete what the pipeline made; images, models in MLflow, predictions and what git tracks stay
	rm -rf data/manifest.parquet data/.measured data/.auto data/prepared data/features models/current .mypy_cache .pytest_cache .ruff_cache
	git clean -q -d -f -X reports
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
