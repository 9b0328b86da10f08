# make demo      a gate in front of a FHIR server with synthetic patients, an app, and what to try; Ctrl-C stops it
# make test      everything: unit and in-process tests, then the built binary end to end
# make test-leaks  plants leaks in a copy of the source, one after another: the tests must find each (some minutes)
# make test-hfs  the end-to-end tests before Helios HFS (its first build takes half an hour)
# make soak      everything at once for MINUTES (60): reloads, key rotation, restarts of the FHIR server; memory must not grow
# make docs      docs/configuration.md and conf/smartgate.schema.json anew, from src/config
# make lint      formatting and clippy
# make fuzz      each parser on random input for SECONDS (60); fuzz/README.md says what is asserted
# make bench     times the steps of a request; docs/speed.md says what each command here measures
# make bench-counts  counts their instructions and allocations: fails for 5 % more than benches/counts/baseline.tsv has
# make bench-compare  measures Smartgate beside bare pingora, nginx and HAProxy; ROUNDS (5), SECONDS (10), ROWS (all), KEEP=1 for the documentation
# make deny      licences, sources and known vulnerabilities of what the product is built from; needs cargo-deny
# make sbom      what the product is built from, as CycloneDX: target/smartgate.cdx.json; needs cargo-cyclonedx
# make build     the release binary: target/release/smartgate
# make build-static  the same, linked statically: target/HOST/release/smartgate runs on any Linux of this architecture

SHELL := /bin/bash
.DEFAULT_GOAL := help

CACHE := $(or $(SMARTGATE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/smartgate)
PYTHON := $(CACHE)/venv/bin/python
TARGET := $(or $(CARGO_TARGET_DIR),target)

# tools/setup puts a cmake into the virtual environment, for machines without one: pingora's zlib is built with it.
export PATH := $(PATH):$(HOME)/.cargo/bin:$(CACHE)/venv/bin

.PHONY: help demo test test-leaks test-hfs soak docs lint fuzz bench bench-counts bench-compare deny sbom build build-static

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo:
	@tools/setup demo
	cargo build --locked --features otel
	@$(PYTHON) tools/demo $(TARGET)/debug/smartgate

test:
	@tools/setup test
	cargo build --locked --features otel
	@$(PYTHON) tools/test

test-leaks:
	@tools/setup test
	@$(PYTHON) tools/planted-leaks

test-hfs:
	@tools/setup hfs
	cargo build --locked --features otel
	@SMARTGATE_UPSTREAM=hfs $(PYTHON) tools/test --only-end-to-end

soak:
	@tools/setup test
	cargo build --locked --release --features otel
	@SMARTGATE_BINARY=$(TARGET)/release/smartgate $(PYTHON) tools/soak --minutes $(or $(MINUTES),60)

docs:
	SMARTGATE_DOCS=1 cargo test --locked --features otel --lib -- config::reference::the_files_are_what_the_code_says

lint:
	@tools/setup demo
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets --features smartgate/bench,smartgate/otel -- -D warnings
	cargo clippy --locked -- -D warnings

fuzz:
	@tools/setup demo
	@$(PYTHON) tools/fuzz $(or $(SECONDS),60) $(TARGETS)

bench:
	@tools/setup demo
	cargo bench --locked --features bench --bench path

bench-counts:
	@tools/setup counts
	cargo build --locked --profile counts -p smartgate-counts
	@$(PYTHON) benches/counts/check $(TARGET)/counts

bench-compare:
	@tools/setup bench
	cargo build --locked --release --features smartgate/otel -p smartgate -p smartgate-compare
	@$(PYTHON) benches/compare/compare --rounds $(or $(ROUNDS),5) --seconds $(or $(SECONDS),10) --rows "$(ROWS)" $(if $(KEEP),--keep)

deny:
	cargo deny --locked check

sbom:
	cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --override-filename smartgate.cdx
	@rm -f benches/*/smartgate.cdx.json && mkdir -p target && mv smartgate.cdx.json target/

# What `smartgate --version` tells. The date is the commit's, not the clock's, so that two builds of one commit are the same bytes.
build build-static: export SMARTGATE_COMMIT ?= $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null)
sbom build build-static: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)

build:
	@tools/setup demo
	cargo build --locked --release --features otel

# With --target, so that the flags are not those of procedural macros, too. glibc then resolves names from /etc/hosts and DNS alone.
build-static:
	@tools/setup demo
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --features otel --target "$$(rustc --print host-tuple)"
