# A short front for CMake and Ninja; `make help` lists what it does.
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 20

.PHONY: all deps demo test bench install sanitize fuzz clean help
all: ## build build/hspace, build/libhspace.a and build/libhspace.so
	@scripts/build.sh release hspace hspace_static hspace_shared

deps: ## install what is missing from Debian to build, test and run
	@scripts/install-deps.sh build test

demo: ## find directions in the embedded model; pictures go to demo/
	@scripts/install-deps.sh build test
	@$(MAKE) --no-print-directory all
	build/hspace demo

test: ## build and run all tests; the last line is "N passed, N failed"
	@scripts/install-deps.sh build test
	@scripts/build.sh release
	@scripts/run-tests.sh build

bench: all ## time hspace, and PyTorch beside it if there is one
	bench/run

install: all ## install under DESTDIR/PREFIX
	DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"

sanitize: ## build with AddressSanitizer and UBSan in build-asan/ and run the tests
	@scripts/install-deps.sh build test
	@scripts/build.sh asan
	@scripts/run-tests.sh build-asan

fuzz: ## run each fuzz target for FUZZ_SECONDS (clang 14)
	@scripts/install-deps.sh build test fuzz
	@scripts/build.sh fuzz
	@sh tests/fuzz/run.sh build-fuzz/tests $(FUZZ_SECONDS)

clean: ## remove all build folders
	rm -rf build build-asan build-fuzz

help: ## show this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18
