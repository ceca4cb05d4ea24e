# Everything a contributor or CI runs. `make help` lists the targets.

SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS     += --no-builtin-rules

GO        ?= go
BENCH     ?= .
FUZZ      ?= .
FUZZTIME  ?= 20s
SOAK      ?= 20m
HOSTILE   ?= 10m
# Extra flags for go test, as in: make test TESTFLAGS=-v
TESTFLAGS ?=

# Every Go module of this repository: the product, the tools, and whatever else
# keeps its own go.mod so that users of the library do not pay for it.
MODULES := $(patsubst %/,%,$(dir $(wildcard go.mod */go.mod examples/*/go.mod)))

# Tools are built from the versions pinned in tools/go.mod. The Go version is in
# the path because golangci-lint refuses code newer than the Go that built it.
TOOLS := $(CURDIR)/bin/tools/$(shell $(GO) env GOVERSION)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## Install what the tests need: Debian packages, npm packages
	@scripts/setup

.PHONY: test
test: setup $(TOOLS)/tally ## Run all tests with the race detector
	@GO='$(GO)' TALLY='$(TOOLS)/tally' scripts/test '$(MODULES)' $(TESTFLAGS)

.PHONY: fuzz
fuzz: ## Run every fuzz target that matches FUZZ for FUZZTIME (20s)
	@GO='$(GO)' scripts/fuzz '$(FUZZ)' '$(FUZZTIME)'

# Those whose invariants stand between a client and a backend.
.PHONY: fuzz-edge
fuzz-edge: ## Fuzz the front, frames, cookies, messages and the configuration for FUZZTIME each
	@GO='$(GO)' scripts/fuzz '^Fuzz(Front|Wire|Checker|Payload|Follower|Cookie|Message|ProxyHeader|Parse)$$' '$(FUZZTIME)'

.PHONY: bench
bench: ## Run every benchmark that matches BENCH
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: bench-signals
bench-signals: build ## Measure how fast a right ends, with 9,000 sockets, into bench/results
	cd bench && $(GO) run ./signals -gateway ../bin/portcullis -o results

.PHONY: bench-compare
bench-compare: ## Measure everything beside other proxies, into bench/results and docs/benchmarks
	@bench/setup
	cd bench && $(GO) run ./compare -readme ../README.md

.PHONY: soak
soak: ## Churn through a gateway for SOAK (20m), and fail if it grows
	cd bench && $(GO) run ./soak -for $(SOAK) -o results

.PHONY: hostile
hostile: ## Attack a gateway for HOSTILE (10m) while others use it, and fail if it grows
	cd bench && $(GO) run ./hostile -for $(HOSTILE) -o results

.PHONY: build
build: ## Build the static binary bin/portcullis
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/portcullis ./cmd/portcullis

.PHONY: demo
demo: ## Start the demo
	$(GO) run ./cmd/portcullis demo

.PHONY: generate
generate: ## Rewrite the generated files
	$(GO) generate ./...

.PHONY: fmt
fmt: $(TOOLS)/gofumpt ## Format all Go files
	@scripts/gofiles | xargs -0 -r $(TOOLS)/gofumpt -w

.PHONY: lint
lint: vet fmt-check golangci actionlint ## Run every static check

.PHONY: vet
vet:
	@failed=0; for m in $(MODULES); do (cd "$$m" && $(GO) vet ./...) || failed=1; done; exit $$failed

.PHONY: fmt-check
fmt-check: $(TOOLS)/gofumpt
	@files=$$(scripts/gofiles | xargs -0 -r $(TOOLS)/gofumpt -l); \
	if [ -n "$$files" ]; then \
		printf 'not formatted (run: make fmt):\n%s\n' "$$files" >&2; exit 1; \
	fi

.PHONY: golangci
golangci: $(TOOLS)/golangci-lint
	@failed=0; for m in $(MODULES); do \
		(cd "$$m" && $(TOOLS)/golangci-lint run --config '$(CURDIR)/.golangci.yml') || failed=1; \
	done; exit $$failed

# Without shellcheck and pyflakes, which it would use if it happened to find them.
.PHONY: actionlint
actionlint: $(TOOLS)/actionlint
	@$(TOOLS)/actionlint -shellcheck= -pyflakes= .github/workflows/*.yml

.PHONY: check-imports
check-imports: ## Test that imports point one way
	$(GO) test -count=1 ./internal/archtest

.PHONY: check-generated
check-generated: ## Check that the generated files are up to date
	@MAKE='$(MAKE)' scripts/check-generated

.PHONY: clean
clean: ## Remove what the build made
	rm -rf bin

# actionlint has a go.mod of its own: it does not compile with the yaml package
# that golangci-lint needs.
define tool
$(TOOLS)/$(1): $(2)/go.mod $(wildcard $(2)/go.sum) $(4)
	@mkdir -p $$(@D)
	@cd $(2) && $$(GO) build -buildvcs=false -o $$@ $(3) && touch $$@
endef

$(eval $(call tool,golangci-lint,tools,github.com/golangci/golangci-lint/v2/cmd/golangci-lint))
$(eval $(call tool,gofumpt,tools,mvdan.cc/gofumpt))
$(eval $(call tool,actionlint,tools/actionlint,github.com/rhysd/actionlint/cmd/actionlint))
$(eval $(call tool,tally,tools,./tally,$(wildcard tools/tally/*.go)))
