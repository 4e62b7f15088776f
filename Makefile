# `make run` shows Turnout at work; `make test` and `make check` prove it. `make help` lists the rest.
SHELL = /bin/sh
VENV ?= .venv
PYTEST_ARGS ?=
FAULTS_ARGS ?=
# The folder with comparison programs (floor.py, ceiling.py) that `make bench` runs beside ours, if given.
YARDSTICK ?=

.PHONY: attacks soak vectors volume help run test check bench faults sdk setup lock dist clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## set up, then start the demo: an event through a script to a destination
	@tools/setup.sh run $(VENV)
	@$(VENV)/bin/turnout run --demo

test: ## set up, then every test that needs nothing but Python
	@tools/setup.sh dev $(VENV)
	@$(VENV)/bin/python -m pytest $(PYTEST_ARGS); code=$$?; \
	if [ $$code -eq 5 ]; then echo "no tests were collected: that is a failure" >&2; fi; exit $$code

check: ## lint, types, import rules, licences, locks
	@tools/setup.sh dev $(VENV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy -p bench -p tools
	$(VENV)/bin/lint-imports --no-cache
	$(VENV)/bin/python -m tools.licences requirements-dev.lock
	$(VENV)/bin/python -m tools.locks

sdk: ## unmodified SDKs, Python and Node, against a running data plane
	@tools/setup.sh dev $(VENV)
	@tools/setup.sh node
	@TURNOUT_NODE_SDKS=1 $(VENV)/bin/python -m pytest tests/sdk $(PYTEST_ARGS)

vectors: ## measure scripts and destinations against recorded answers of a peer: VECTORS=<folder> [ONLY=<slug>]
	@test -n "$(VECTORS)" || { echo "make vectors VECTORS=<folder with user_transformations.json>" >&2; exit 2; }
	@tools/setup.sh dev $(VENV)
	@$(VENV)/bin/python -m tools.vectors $(VECTORS) $(addprefix --only ,$(ONLY))

attacks: ## hostile scripts against the sandbox, with and without its filter; more of them: CORPUS=<folder>
	@tools/setup.sh dev $(VENV)
	@$(VENV)/bin/python -m tests.attacks.run --both tests/attacks $(CORPUS)

soak: ## a million events with hostile scripts among them, through a real engine: EVENTS=<number>
	@tools/setup.sh dev $(VENV)
	@$(VENV)/bin/python -m bench.faults.soak $(EVENTS)

bench: ## a table of figures, and bench/results/latest.json (minutes)
	@tools/setup.sh dev $(VENV)
	@YARDSTICK="$(YARDSTICK)" $(VENV)/bin/python -m bench

volume: ## memory, drain and explain at ten million events (an hour): EVENTS=<number>
	@tools/setup.sh dev $(VENV)
	@$(VENV)/bin/python -m bench.volume $(EVENTS)

faults: ## kills, full disks, failed syncs, set clocks, damaged files, sick destinations: a table (twenty minutes)
	@tools/setup.sh dev $(VENV)
	@$(VENV)/bin/python -m bench.faults $(FAULTS_ARGS)

setup: ## the virtual environment for everything above
	@tools/setup.sh dev $(VENV)

lock: ## remake the lock files from pyproject.toml (UPGRADE=1: newest versions); needs uv
	@tools/lock.sh $(VENV)

dist: ## the wheel and the source archive, in dist/
	@tools/setup.sh dev $(VENV)
	@rm -rf dist
	@$(VENV)/bin/python -m hatchling build -t wheel -t sdist

clean: ## everything that make made; data/ stays
	rm -rf $(VENV) build dist tests/sdk/node/node_modules bench/results/*.json bench/results/faults
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
