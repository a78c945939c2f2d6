# What can be done here; `make` alone shows it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKING := .venv-lock
ARGS ?=

# Two workers for each processor; tests/schedule.py says which test goes where.
PARALLEL := -n auto
CHECKED := tests/unit tests/protocol tests/server tests/fuzz tests/docs/test_links.py

.DEFAULT_GOAL := help
.PHONY: help demo check test coverage nightly lint format docs lock bench faults fuzz clean packages containers \
    python

help:
	@echo "make demo      run the introduction, line by line, and show the mail that comes out"
	@echo "make check     while you work, in two minutes: the code, the documentation, the tests of modules"
	@echo "               and protocols (ARGS='-k name' goes to pytest)"
	@echo "make test      before you push, in twenty: install what the tests need, check the code, run all"
	@echo "               tests (as root, also those with a real Postfix and with containers;"
	@echo "               ARGS='-k name' goes to pytest; ARGS='-m \"not docker\"' does without containers)"
	@echo "make coverage  the same tests, and which branches they took; a floor for all and for some"
	@echo "make nightly   what is long: which branches the tests take, random tests with 30 times the"
	@echo "               examples, and all faults at full size; the page about them stays as it is"
	@echo "make lint      check the code alone: ruff, mypy, import-linter"
	@echo "make format    let ruff format the code"
	@echo "make docs      build the documentation as a site, into site/; a warning fails it"
	@echo "make lock      take in the newest releases of what is depended on: requirements.lock for the"
	@echo "               images, and requirements-dev.lock for all that is installed here, with hashes"
	@echo "make bench     measure, and print ratios against peers measured in the same run (half an"
	@echo "               hour; ARGS='--json FILE --plot FILE' keeps the numbers and a picture)"
	@echo "make faults    kill, cut and fill what can fail, count what comes out, and write the table"
	@echo "               of docs/delivery.md (an hour or more; ARGS='--messages 250 --injections 6')"
	@echo "make fuzz      throw octets at what strangers reach, guided by coverage, five minutes in all"
	@echo "               (ARGS='--seconds 600 mail' for one target, longer)"
	@echo "make clean     remove what the above made"

demo:
	@PYTHON=$(PYTHON) scripts/demo.sh

check: lint docs
	@HYPOTHESIS_PROFILE=check $(BIN)/pytest -q $(PARALLEL) $(CHECKED) $(ARGS)

test: packages containers lint $(VENV)/milter
	@$(BIN)/pytest $(PARALLEL) $(ARGS)

# Half as long again, since all that runs is followed.
coverage: packages containers $(VENV)/milter
	@$(BIN)/pytest $(PARALLEL) --cov --cov-report=term && $(BIN)/python scripts/coverage_floor.py

# Of all that is here but the coverage a smaller form is in `make test`.
nightly: packages containers $(VENV)/milter
	@failed=0; \
	echo "make nightly, 1 of 3: the branches that the tests take"; \
	$(MAKE) coverage || failed=1; \
	echo "make nightly, 2 of 3: every property of the tests, 3000 examples each"; \
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest $(PARALLEL) -m hypothesis || failed=1; \
	echo "make nightly, 3 of 3: every fault on each database, 1000 messages and 20 strikes each," \
	    "then 1000 workers killed"; \
	$(BIN)/python -m tests.faults --no-page $(ARGS) || failed=1; \
	exit $$failed

lint: $(VENV)/complete
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/complete
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/complete
	@NO_MKDOCS_2_WARNING=1 SOURCE_DATE_EPOCH=0 $(BIN)/mkdocs build --quiet --strict

# Neither file says where the packages came from. The images compile nothing: no milter in theirs.
# The environment is one of its own: what is locked now must not keep a bound from being raised.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(LOCKING)/bin/pip-compile --quiet --upgrade \
    --strip-extras --generate-hashes --all-build-deps --allow-unsafe \
    --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
lock: python
	scripts/venv.sh $(PYTHON) $(LOCKING)
	$(LOCKING)/bin/pip install -qq --upgrade "pip-tools>=7.5"
	$(COMPILE) --extra postgres --output-file requirements.lock pyproject.toml
	$(COMPILE) --all-extras --output-file requirements-dev.lock pyproject.toml

bench: packages $(VENV)/milter
	@scripts/packages.sh postfix-lmdb
	@scripts/packages.sh dovecot-lmtpd || echo "Dovecot is left out of the comparison"
	@$(BIN)/python -m tests.bench $(ARGS)

faults: packages $(VENV)/complete
	@$(BIN)/python -m tests.faults $(ARGS)

fuzz: $(VENV)/milter
	@$(BIN)/python -m tests.fuzz.guided $(ARGS)

python:
	@scripts/packages.sh python3-venv

packages:
	@scripts/packages.sh gcc libmilter-dev libsasl2-modules less logrotate miltertest mutt openssl \
	    postfix postfix-pcre postgresql python3-dev sasl2-bin
	@scripts/packages.sh chromium || echo "Without Chromium no page of the window is opened"
	@scripts/packages.sh prometheus || echo "Without promtool the alerts are not tried out"

containers:
	@scripts/packages.sh debootstrap docker-compose docker.io iproute2

$(VENV)/complete: pyproject.toml requirements-dev.lock | python
	scripts/venv.sh $(PYTHON) $(VENV)
	scripts/locked.sh $(VENV) only setuptools
	scripts/locked.sh $(VENV) without pymilter
	$(BIN)/pip install -qq --no-deps --no-build-isolation -e .
	@touch $@

# Apart, since it is compiled: checking the code needs neither compiler nor libmilter.
$(VENV)/milter: $(VENV)/complete | packages
	scripts/locked.sh $(VENV) only pymilter
	@touch $@

clean:
	rm -rf $(VENV) $(LOCKING) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache \
	    .fuzz .hypothesis .import_linter_cache .bench .containers .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
