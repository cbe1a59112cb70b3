# Targets: build run test test-FAMILY test-all test-vm soak check bench chaos clean.
# Families: internal/testrun/family.go.

GO := $(or $(shell command -v go),$(wildcard /usr/local/go/bin/go),go)
export PATH := $(patsubst %/,%,$(dir $(GO))):$(PATH)

# A machine may lack HOME, or have one that cannot be written: then Go's
# caches lie in .cache/ here.
writable = $(shell d='$(1)'; [ "$${d#/}" != "$$d" ] && mkdir -p "$$d" 2>/dev/null && [ -w "$$d" ] && echo "$$d")
export GOCACHE := $(or $(call writable,$(shell $(GO) env GOCACHE 2>/dev/null)),$(CURDIR)/.cache/go-build)
export GOMODCACHE := $(or $(call writable,$(shell $(GO) env GOMODCACHE 2>/dev/null)),$(CURDIR)/.cache/mod)
export GOPATH := $(or $(call writable,$(shell $(GO) env GOPATH 2>/dev/null)),$(CURDIR)/.cache/go)

VERSION := $(or $(shell git describe --tags --always --dirty 2>/dev/null),unknown)
LDFLAGS := -s -w -X main.buildVersion=$(VERSION)
tool = $(firstword $(shell command -v $(1)) $(wildcard $(GOPATH)/bin/$(1)))

.PHONY: build run test test-all test-vm soak check bench bench-payload bench-queue bench-backup bench-cache bench-mounts chaos clean FORCE

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/interlock ./cmd/interlock

run: build
	@CGO_ENABLED=0 $(GO) build -o bin/ledger ./examples/demo/ledger
	@PATH="$(CURDIR)/bin:$$PATH" examples/demo/demo.sh

# A built runner, not `go run`: that adds a line after the closing one.
bin/testrun: FORCE
	@CGO_ENABLED=0 $(GO) build -o $@ ./internal/testrun

test: bin/testrun
	@bin/testrun

test-all: bin/testrun
	@INTERLOCK_TEST_LONG=1 bin/testrun

# What this machine's kernel must not be asked to do: hang an NFS client, lose a network block device, be reset.
# Each package boots a machine of its own under qemu; without qemu or a kernel from Debian its tests are skipped.
test-vm: bin/testrun
	@bin/testrun install vm system
	@CGO_ENABLED=0 $(GO) test -tags vm -count=1 -timeout 30m -v ./internal/vmtest/...

# What watching mounts costs whose servers hang, for as long as SOAK says (1h).
soak: build bin/testrun
	@bin/testrun install nbd system
	@INTERLOCK_SOAK=$(or $(SOAK),1h) INTERLOCK_BIN=$(CURDIR)/bin/interlock CGO_ENABLED=0 \
		$(GO) test -count=1 -timeout 26h -v ./mountcheck/soak

test-%: bin/testrun
	@bin/testrun $*

check:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
		[ -z "$$unformatted" ] || { echo "gofmt: not formatted:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags bench ./internal/bench/...
	$(GO) vet -tags vm ./internal/vmtest/...
	for m in modules/*/; do (cd $$m && $(GO) vet ./...) || exit 1; done
	$(GO) mod verify
ifneq ($(call tool,staticcheck),)
	$(call tool,staticcheck) ./...
else
	@echo "NOT CHECKED: staticcheck is not installed"
endif
ifneq ($(call tool,govulncheck),)
	@$(call tool,govulncheck) ./...; case $$? in 0) ;; 3) exit 3;; \
		*) echo "NOT CHECKED: govulncheck did not reach its database";; esac
else
	@echo "NOT CHECKED: govulncheck is not installed"
endif

# BACKEND: etcd, etcd-auth, etcd-current, zk; SEED and N say which faults, so a
# run can be continued; TIMING: quick, default, tight; BEND=1: clocks at other rates, and that jump.
BACKEND ?= etcd,zk
SEED ?= 0
N ?= 500
TIMING ?= quick
chaos: build bin/testrun
	@bin/testrun install zookeeper etcd system
	@CGO_ENABLED=0 $(GO) build -o bin/chaos ./internal/chaos/cmd
	@$(if $(BEND),CGO_ENABLED=0 $(GO) build -tags mutate -o bin/interlock-mutate ./cmd/interlock)
	@bin/chaos $(if $(BEND),-bend -interlock bin/interlock-mutate,-interlock bin/interlock) -backend $(BACKEND) -seed $(SEED) -n $(N) -timing $(TIMING)

# BENCH_N is the number of rounds: below 30 no percentiles.
bench: build bin/testrun
	@bin/testrun install bench zookeeper etcd system
	@INTERLOCK_BIN=$(CURDIR)/bin/interlock CGO_ENABLED=0 \
		$(GO) test -tags bench -count=1 -timeout 45m -v -run '^TestBench' ./internal/bench

# BENCH_N is the number of rounds here too (12); a round takes half a minute.
bench-payload: build bin/testrun
	@bin/testrun install bench databases etcd system
	@INTERLOCK_BIN=$(CURDIR)/bin/interlock CGO_ENABLED=0 \
		$(GO) test -tags bench -count=1 -timeout 45m -v -run '^TestPayload' ./internal/bench

# BENCH_SIZES are the numbers of contenders that wait (1,10,100,1000), BENCH_N the
# releases of each (30), BENCH_IDLE the seconds of waiting that are measured (20).
bench-queue: bin/testrun
	@bin/testrun install queue zookeeper etcd system
	@CGO_ENABLED=0 $(GO) test -tags bench -count=1 -timeout 45m -v -run '^TestQueue' ./internal/bench

# BENCH_N is the number of rounds (3), BENCH_MIB the size of the tree (2048), BENCH_FILES that of the one of
# small files (1000000), BENCH_DIR where all lies, on the disk that is to be measured; BENCH_CACHE=warm leaves
# page caches alone, BENCH_TOOLS=restic,tar bounds the others, BENCH_PART=Directory|S3|Small is one table.
BENCH_PART ?=
bench-backup: build bin/testrun
	@bin/testrun install backups system
	@INTERLOCK_BIN=$(CURDIR)/bin/interlock CGO_ENABLED=0 \
		$(GO) test -tags bench -count=1 -timeout 180m -v -run '^TestBackup$(BENCH_PART)' ./internal/bench/backup

# Dump and load of a memcached beside raw loops of its protocol and memcached-tool, about ten minutes. BENCH_ITEMS (300000)
# and BENCH_N (5 rounds) are of all parts, BENCH_SECONDS (10) of a round of clients' latency, BENCH_LARGE (5000000 items)
# of the server whose dump's memory is measured.
bench-cache: bin/testrun
	@bin/testrun install cache system
	@CGO_ENABLED=0 $(GO) test -tags bench -count=1 -timeout 45m -v -run '^TestBench' ./internal/bench/cache

# How soon a change of a mount is seen, and what watching costs; alone and beside 1,000 other mounts.
bench-mounts: build bin/testrun
	@bin/testrun install system
	@INTERLOCK_BIN=$(CURDIR)/bin/interlock CGO_ENABLED=0 \
		$(GO) test -tags bench -count=1 -timeout 45m -v -run '^TestMounts' ./internal/bench/mounts

clean:
	rm -rf bin .cache
