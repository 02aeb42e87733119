# Everything runs in .venv, made from constraints.txt on first use. Needed: Python 3.11 or newer and make.
#   make PYTHON=python3.12     another interpreter for .venv
#   make test ARGS="-k billno" arguments for pytest and for the programs under tests/

PYTHON ?= python3
SEEDS ?= 5000
ARGS ?=
LOCK_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
REHEARSAL := rehearsal-run
CAMPAIGN := $(BIN)/python -m campaign --config $(REHEARSAL)/campaign.toml
LOCALE := campaign/i18n/locale
POT := campaign/i18n/campaign.pot
PO := $(LOCALE)/zh_CN/LC_MESSAGES/campaign.po

.DEFAULT_GOAL := help
.PHONY: help run test test-system check lint format types imports golden messages simulate mutants bench \
	profile lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: $(STAMP) ## run the sample campaign against the rehearsal gateway, reconcile it, report it
	@mkdir -p $(REHEARSAL)
	@cp sample_campaigns/lantern.xlsx sample_campaigns/campaign.toml $(REHEARSAL)/
	@echo "1. campaign run lantern.xlsx"
	@$(CAMPAIGN) run $(REHEARSAL)/lantern.xlsx --yes
	@echo "2. campaign reconcile"
	@$(CAMPAIGN) reconcile lantern
	@echo "3. campaign report lantern"
	@$(CAMPAIGN) report lantern --out $(REHEARSAL) --force

test: $(STAMP) ## run the tests, with branch coverage
	$(BIN)/pytest -n auto -m "not system and not slow" --cov --cov-report=term $(ARGS)

test-system: $(STAMP) ## run the tests that need system programs (LibreOffice, Chromium)
	$(BIN)/pytest -m system $(ARGS)

check: lint types imports test ## what a change must pass: lint, types, imports, test

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## put the code into ruff's format, sort imports, fix what is safe to fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## mypy, strict, over the whole package
	$(BIN)/mypy

imports: $(STAMP) ## imports point downwards
	$(BIN)/lint-imports --no-logo

golden: $(STAMP) ## rewrite the expected files of the golden tests; review the diff
	$(BIN)/pytest tests/golden -q --rewrite-golden $(ARGS)

# English is the message id. Sorted, without places in the code and without dates, so that diffs are small.
messages: $(STAMP) ## collect the messages, update the Chinese catalogue and compile it
	@mkdir -p $(dir $(PO))
	$(BIN)/pybabel -q extract -F pyproject.toml --no-default-keywords -k text:1 -k _:1 -k ngettext:1,2 --omit-header \
		--no-location --sort-output --width=110 -o $(POT) campaign
	@test -f $(PO) || printf '%s\n' '# 简体中文' 'msgid ""' 'msgstr ""' '"Project-Id-Version: campaign 1\n"' \
		'"Report-Msgid-Bugs-To: \n"' '"POT-Creation-Date: 2026-11-22 00:00+0000\n"' \
		'"PO-Revision-Date: 2026-11-22 00:00+0000\n"' '"Last-Translator: The campaign authors\n"' \
		'"Language: zh_CN\n"' '"Language-Team: The campaign authors\n"' \
		'"Content-Type: text/plain; charset=utf-8\n"' > $(PO)
	$(BIN)/pybabel -q update -D campaign -i $(POT) -d $(LOCALE) -l zh_CN --width=110 \
		--no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	$(BIN)/pybabel compile -D campaign -d $(LOCALE) -l zh_CN --statistics

simulate: $(STAMP) ## crash the run at every step under SEEDS seeds (default 5000)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

mutants: $(STAMP) ## break the code on purpose and see whether the tests notice
	$(BIN)/python -m tests.mutants $(ARGS)

bench: $(STAMP) ## measure what is promised about speed and memory, in one table (ARGS="send pace", "--list")
	$(BIN)/python -m tests.bench $(ARGS)

profile: $(STAMP) ## where the time of a row goes
	$(BIN)/python -m tests.bench --profile $(ARGS)

lock: $(STAMP) ## rewrite constraints.txt from pyproject.toml (LOCK_FLAGS=--upgrade for newer versions)
	$(BIN)/uv --no-config pip compile pyproject.toml --group dev --all-extras --universal \
		--python-version 3.11 --fork-strategy fewest --generate-hashes --custom-compile-command "make lock" \
		$(LOCK_FLAGS) --quiet -o constraints.txt

clean: ## remove .venv, caches, the rehearsal's folder and built files
	rm -rf $(VENV) $(REHEARSAL) .coverage .coverage.* htmlcov .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache build dist mutants bench-*
	find campaign tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "campaign needs Python 3.11 or newer, and '$(PYTHON)' was not found; \
	name another with: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "campaign needs Python 3.11 or newer, \
	and '$(PYTHON)' is $$($(PYTHON) --version 2>&1); name another with: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Could not make $(VENV): Python's \
	venv module is missing or broken (on Debian and Ubuntu it is the package python3-venv)." >&2; exit 1; }
	@echo "Setting up $(VENV) from constraints.txt; this takes a minute or two."
	$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)
