# The commands of the project. `make demo` and `make test` are all that a newcomer needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export CARGO_TERM_COLOR ?= auto

.PHONY: demo test lab bench audit recordings install fmt

install:
	@bash tests/lab/install.sh

demo: install
	@bash tests/lab/demo.sh

test: install
	@bash tests/run-all.sh

lab: install
	@bash tests/lab/lab.sh

bench: install
	@bash benches/run.sh

audit:
	@bash tests/supply-chain.sh

fmt:
	cargo fmt
