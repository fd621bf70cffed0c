# Each goal does its own set-up: what is missing is installed, what is stale is built, the rest is left alone.
# `make run ARGS="--port 4000"` passes flags on to the server.

TARGET = $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help run test build dev lint format bench clean

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.* ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: build-run ## Build what is stale and serve http://localhost:3100
	@scripts/is-set LEGACY_STAND_INS || export LEGACY_STAND_INS=true; exec $(TARGET)/release/cobuild serve $(ARGS)

.PHONY: build-run
build-run:
	@scripts/setup run
	@cargo build --release --bin cobuild

test: ## Run every test: Rust, web demo, browser
	@scripts/test $(ARGS)

build: ## Build target/release/cobuild with the web demo inside
	@scripts/setup build
	@cargo build --release --bin cobuild

dev: ## Serve with reload on change: page on 5173, server on 3100
	@scripts/dev $(ARGS)

lint: ## Check formatting, lints, documentation and scripts
	@scripts/lint

format: ## Format Rust and the web demo
	@scripts/setup web
	@cargo fmt --all
	@cd web-demo && npm run --silent format

bench: ## Measure start, memory, latencies and fan-out; writes target/bench
	@scripts/bench $(ARGS)

clean: ## Remove everything that was built; keeps data/
	@cargo clean
	@rm -rf web-demo/node_modules web-demo/dist
