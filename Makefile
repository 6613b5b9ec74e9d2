# One door to everything a person or a machine does with this tree. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo

# The names that people and runtimes call. Each new program adds its names here.
UPSTREAM_NAMES := calicoctl calico-felix calico calico-ipam

release := target/release/margay

# What `version` says of a release build.
stamp = MARGAY_COMMIT="$$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" \
    MARGAY_DATE="$$(git log -1 --format=%cI 2>/dev/null || echo unknown)"

.PHONY: help demo test test-full test-needs lint format gen bench fuzz install

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## build, then play with real documents on a throw-away store, and with real packets on a throw-away host
	@$(stamp) $(CARGO) build --release --locked --quiet -p margay
	@$(CARGO) build --release --locked --quiet -p margay-testkit --example demo_host
	@scripts/demo.sh $(release)
	@target/release/examples/demo_host $(release)

test: test-needs lint ## what a merge has to pass: lints, documentation, every test, generated files
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --workspace --locked; \
	else \
	    $(CARGO) test --workspace --locked; \
	fi
	$(CARGO) xtask gen --check

test-full: test ## test, the ignored (long) tests, and the demo
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --workspace --locked --run-ignored ignored-only --no-tests pass; \
	else \
	    $(CARGO) test --workspace --locked -- --ignored; \
	fi
	$(MAKE) demo

test-needs:
	@scripts/test-needs.sh

lint: ## formatting, clippy and documentation, warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet

format: ## format the sources
	$(CARGO) fmt --all

gen: ## write docs/reference from the code's own tables
	$(CARGO) xtask gen

bench: ## measure beside the peers; writes docs/benchmarks.md
	$(stamp) $(CARGO) build --release --locked -p margay
	$(CARGO) build --release --locked --manifest-path bench/Cargo.toml
	bench/run.py $(release) --output docs/benchmarks.md

fuzz: ## run every fuzz target for a while
	@if [ -x fuzz/run ]; then fuzz/run; else echo 'there is no fuzz/run in this tree' >&2; exit 1; fi

install: ## install under DESTDIR and PREFIX (default /usr/local)
	$(stamp) $(CARGO) build --release --locked -p margay
	install -D -m 0755 $(release) $(DESTDIR)$(PREFIX)/bin/margay
	for name in $(UPSTREAM_NAMES); do \
	    install -D -m 0755 $(release) $(DESTDIR)$(PREFIX)/bin/$$name; \
	done
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local/|$(PREFIX)/|' packaging/calico-felix.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/calico-felix.service
	install -D -m 0644 docs/reference/margay.1 $(DESTDIR)$(PREFIX)/share/man/man1/margay.1
