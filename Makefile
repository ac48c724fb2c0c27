# Entries: run · test · bench · lint · build. People, README and CI use the same ones.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
ARCHES  := amd64 arm64
ASSETS  := internal/guestimage/assets
FLAGS   := -trimpath -buildvcs=false
CONTRIB := contrib/containerssh
FUZZTIME ?= 60s

.PHONY: run test torture fuzz bench plot lint build assets docs setup tidy clean

## run: build, and start the quick start; an engine is installed where there is none
run: build
	@scripts/setup engine
	bin/berth serve

## build: bin/berth, with the guest's programs inside, and bin/berth-agent
build: assets
	CGO_ENABLED=0 $(GO) build $(FLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/berth ./cmd/berth-agent

## assets: the programs of the built-in image, for each architecture
assets: $(foreach a,$(ARCHES),$(ASSETS)/agent-linux-$(a).gz $(ASSETS)/guest-linux-$(a).gz)

GUEST_SOURCES := go.mod go.sum $(shell find cmd/berth-agent cmd/berth-guest agentproto internal -name '*.go' ! -name '*_test.go')

$(ASSETS)/agent-linux-%.gz: $(GUEST_SOURCES)
	CGO_ENABLED=0 GOOS=linux GOARCH=$* $(GO) build $(FLAGS) -ldflags '-s -w' -o $(@:.gz=) ./cmd/berth-agent
	gzip -9nf $(@:.gz=)

$(ASSETS)/guest-linux-%.gz: $(GUEST_SOURCES)
	CGO_ENABLED=0 GOOS=linux GOARCH=$* $(GO) build $(FLAGS) -ldflags '-s -w' -o $(@:.gz=) ./cmd/berth-guest
	gzip -9nf $(@:.gz=)

## setup: what the tests need and this machine lacks, from the distribution
setup:
	@scripts/setup

## test: all tests, on a real engine, each time anew: they run programs that are built while they run
test: setup assets
	export DOCKER_HOST=$$(scripts/engine) && $(GO) test -race -count=1 -timeout 25m ./... && \
		cd $(CONTRIB) && $(GO) test -race -count=1 -timeout 10m ./...

## torture: ten thousand sessions, every byte and end compared, nothing left; TORTURE=--help lists flags
torture: setup build
	$(GO) build $(FLAGS) -o bin/ ./torture
	export DOCKER_HOST=$$(scripts/engine) && bin/torture $(TORTURE)

## fuzz: each fuzz target for FUZZTIME, up to the first one that fails
fuzz: assets
	@GO="$(GO)" FUZZTIME="$(FUZZTIME)" scripts/fuzz

## bench: what Berth takes beside OpenSSH's sshd and the bare engine, on this machine; BENCH=--help lists flags
bench: setup build
	$(GO) build $(FLAGS) -o bin/ ./bench
	export DOCKER_HOST=$$(scripts/engine) && bin/bench $(BENCH)

## plot: docs/performance.svg, from the last run of all of bench
plot:
	$(GO) run ./bench -plot docs/performance.svg

## lint: formatting, vet, staticcheck, and the platforms that people embed on
lint:
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./...
	cd $(CONTRIB) && $(GO) vet ./... && $$($(GO) -C ../.. tool -n staticcheck) ./...
	cd $(CONTRIB) && GOOS=darwin GOARCH=arm64 $(GO) build ./... && GOOS=windows GOARCH=amd64 $(GO) build ./...

## docs: docs/configuration.md, from the comments of the configuration
docs:
	$(GO) generate ./config

## tidy: go.mod of both modules; what the second one says of a missing docker is harmless
tidy:
	$(GO) mod tidy
	cd $(CONTRIB) && $(GO) mod tidy -e

clean:
	rm -rf bin $(ASSETS)/*.gz
