# `make run` starts everything; `make help` lists the other commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_OPTIONS := --quiet --disable-pip-version-check
# Install the lock file $(2) into the virtual environment $(1).
# pip before 23.3 cannot check the hashes of packages with extras.
install = $(1)/bin/pip install $(PIP_OPTIONS) "pip>=23.3" && $(1)/bin/pip install $(PIP_OPTIONS) --require-hashes -r $(2)
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --system-certs --quiet --custom-compile-command "make lock" $(LOCK_OPTIONS)
CHROMIUM := /usr/bin/chromium
MESSAGES := locale/ru/LC_MESSAGES/django.mo
SOURCES := accounts billing access proxy zenzefi bench conftest.py manage.py

# The PostgreSQL and Redis that `make test-services`, `make test-long` and `make bench` use.
SERVICES = DATABASE_URL=$(or $(DATABASE_URL),postgres://postgres@127.0.0.1:5432/postgres) \
           REDIS_URL=$(or $(REDIS_URL),redis://127.0.0.1:6379/0)
# Production settings for `check --deploy`.
PRODUCTION = ENV_FILE=/dev/null ENVIRONMENT=production ALLOWED_HOSTS=zenzefi.example BACKEND_URL=https://zenzefi.example \
             SECRET_KEY=only-for-this-check-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEF \
             TOKEN_ENCRYPTION_KEYS=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= \
             DATABASE_URL=postgres://zenzefi@127.0.0.1/zenzefi ZENZEFI_TARGET_URL=https://upstream.example

.PHONY: help run test test-services test-long test-browser screenshots check format lock coverage bench

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/runtime: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Zenzefi needs Python 3.11 or newer. Run make PYTHON=python3.11." if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Zenzefi's packages into $(VENV). This takes about a minute."
	@$(call install,$(VENV),requirements.lock)
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/runtime
	@$(call install,$(VENV),requirements-dev.lock)
	@touch $@

# Compiled by a Python package, so GNU gettext is not needed.
$(MESSAGES): %.mo: %.po $(VENV)/runtime
	@$(BIN)/pybabel --quiet compile --input-file $< --output-file $@ --locale ru

run: $(VENV)/runtime $(MESSAGES) ## start the gateway, its background jobs and a demo upstream
	@exec $(BIN)/python manage.py serve

test: $(VENV)/dev $(MESSAGES) ## the whole suite on the embedded default (SQLite, in-process state)
	@$(BIN)/python -m pytest -n 3 -m "not services and not slow and not browser"

test-services: $(VENV)/dev $(MESSAGES) ## the whole suite and the race tests on PostgreSQL and Redis
	@$(SERVICES) $(BIN)/python -m zenzefi.tests.support.services
	@$(SERVICES) TEST_SERVICES=1 $(BIN)/python -m pytest -n 3 -m "(services or not embedded) and not slow and not browser"

test-long: $(VENV)/dev $(MESSAGES) ## the long runs
	@$(SERVICES) TEST_SERVICES=1 $(BIN)/python -m pytest -m slow

test-browser: $(VENV)/dev $(MESSAGES) $(CHROMIUM) ## the site in Chromium: journeys, accessibility, content policy
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -p playwright -m browser zenzefi/tests/browser

screenshots: $(VENV)/dev $(MESSAGES) $(CHROMIUM) ## every page at 1280 and 390 px, light and dark, into var/screenshots/
	@$(BIN)/python -m zenzefi.tests.browser.screenshots $(SCREENSHOTS)

$(CHROMIUM):
	@command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || { echo "The browser tests need $@. Install the package chromium."; exit 1; }
	@apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends chromium fonts-dejavu-core

check: $(VENV)/dev ## format, lint, types, import rules, cases, locks, migrations, deployment
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy accounts billing access proxy zenzefi manage.py
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/djlint --check --lint templates
	@$(BIN)/python -m zenzefi.tests.cases
	@sha256sum --check --quiet requirements.sha256 || { echo "The lock files do not fit the requirements. Run 'make lock'."; exit 1; }
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	@$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING

format: $(VENV)/dev ## format the code and update the list of cases
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/djlint --reformat --quiet templates
	@$(BIN)/python -m zenzefi.tests.cases --write

# Locked versions are kept. To upgrade one: make lock LOCK_OPTIONS="--upgrade-package urllib3".
lock: $(VENV)/dev ## update the lock files after a change of requirements*.txt
	@$(LOCK) requirements.txt --output-file requirements.lock
	@$(LOCK) requirements-dev.txt --constraints requirements.lock --output-file requirements-dev.lock
	@$(LOCK) requirements-bench.txt --output-file requirements-bench.lock
	@sha256sum requirements*.txt requirements*.lock > requirements.sha256

coverage: $(VENV)/dev $(MESSAGES) ## the suite with coverage; fails below 85 %
	@$(BIN)/python -m pytest -n 2 -m "not services and not slow and not browser" --cov --cov-report=term --cov-fail-under=85

bench: $(VENV)/runtime .venv-bench/ready ## speed compared with nginx, fastapi-proxy-lib and pgbench (needs nginx, wrk, redis-server and PostgreSQL)
	@.venv-bench/bin/python -B -m bench.run --gateway-python $(BIN)/python $(BENCH_OPTIONS)
	@$(SERVICES) $(BIN)/python -B -m bench.purchases

.venv-bench/ready: requirements-bench.lock
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@$(call install,.venv-bench,requirements-bench.lock)
	@touch $@
