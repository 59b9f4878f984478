# The commands of the project. `make demo` and `make test` are all that a newcomer needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export CARGO_TERM_COLOR ?= auto

.PHONY: demo test lab bench audit recordings fuzz install fmt

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

# What is recovered from exchanges with real hosts: make recordings RECORDINGS=folder
recordings:
	@test -d "$(RECORDINGS)" || { echo "RECORDINGS=$(RECORDINGS) is no folder with recordings" >&2; exit 1; }
	@RECORDINGS="$(abspath $(RECORDINGS))" cargo test --locked --test recordings -- --include-ignored

# One fuzz target for a while: make fuzz TARGET=xpress FUZZ_SECONDS=60; all five without TARGET
FUZZ_SECONDS ?= 60
fuzz:
	@bash tests/fuzz/run.sh "$(FUZZ_SECONDS)" $(TARGET)

fmt:
	cargo fmt
