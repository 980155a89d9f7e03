# The thin front of the build; Meson does the work. See README.md.
BUILD ?= build
T ?= 60
ONLY ?=
PROGRAMS = cloister cloisterd cloister-kms cloister-enclave

.PHONY: all setup test unit integration demo bench fuzz faults asan ct failing kills soak lint deb clean

all: setup
	@scripts/build $(BUILD)

setup:
	@scripts/setup

# Every test: unit tests (plain and under ASan+UBSan), repository checks, published vectors, integration tests with the real programs.
test: all
	@scripts/test $(BUILD)

unit: all
	@scripts/test $(BUILD) --only unit

integration: all
	@scripts/test $(BUILD) --only integration

demo: all
	@$(BUILD)/bin/cloister demo --attacks

bench: setup
	@scripts/bench $(BUILD) "$(ONLY)"

fuzz: setup
	@scripts/fuzz $(BUILD)-fuzz $(T)

# A fault at every write, sync and rename of ledger, store and log (the suite takes every sixteenth).
faults: all
	@FAULT_STRIDE=1 python3 tests/integration/test_faults_disk.py $(BUILD)
	@FAULT_STRIDE=1 python3 tests/integration/test_faults_live.py $(BUILD)

asan: setup
	@scripts/test $(BUILD) --only asan

# Every allocation and every draw of random bytes of ours fails once (about half an hour); the suite does some modules.
failing: all
	@tests/exhaust/failing_calls.py $(BUILD)

# SIGKILLs at random points of runs over every process; afterwards readers of our own look at all files. SEED repeats a plan.
N ?= 1000
SEED ?= 1
kills: all
	@tests/integration/kill_campaign.py $(BUILD) $(N) $(SEED)

# Runs and R reads a second for T seconds: errors, waiting times, growth.
R ?= 1000
soak: all
	@tests/integration/soak.py $(BUILD) $(T) $(R)

ct: setup
	@scripts/ct $(BUILD)-ct

lint: all
	@scripts/lint $(BUILD)

deb: all
	@scripts/deb $(BUILD)

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz $(BUILD)-ct* $(BUILD)-bench $(BUILD)-clang
