# Commands for people and for CI (.ci/run).

CARGO ?= cargo
DENY_VERSION = 0.20.2
# `required` makes a missing cargo-deny an error.
DENY ?= optional
MUSL ?= $(shell uname -m)-unknown-linux-musl
# `dev` is built faster.
PROFILE ?= release
PACKAGE = target/package
# Folder of static executables of $(PROFILE).
STATIC = target/$(MUSL)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

.PHONY: demo test test-module e2e e2e-long scenarios mesh e2e-tools e2e-tools-operators e2e-tools-mesh lint deny advisories generate bench bench-exporter package dmt

# The demo and its stand-ins do not ship.
DEMO = --package istio-federation --package istio-federation-demo
TOOLS = --package istio-federation-sim --package istio-federation-demo

# Two builds: in one, cargo would build the hooks with the program's features.
demo:
	$(CARGO) build --locked $(DEMO)
	$(CARGO) build --locked --package istio-federation-hooks
	target/debug/istio-federation-demo

test: lint
	PROGRAM=$(CURDIR)/target/debug/istio-federation $(CARGO) test --locked --package istio-federation $(TOOLS)
	$(CARGO) test --locked --package istio-federation-hooks

# The module on real API servers with real Helm (tests/e2e/README.md).
test-module: e2e-tools
	$(CARGO) test --locked --package istio-federation-e2e

# The same, and tests with real operators.
e2e: e2e-tools e2e-tools-operators
	$(CARGO) test --locked --package istio-federation-e2e --all-features
	$(MAKE) scenarios

# Two real clusters with an operator and the module in each: a stand-in, or the real operator of ADDON_OPERATOR=/path. Needs root for network
# namespaces. SCENARIO=name runs one file of tests/e2e/tests/scenarios. Four scenarios run at once, because they mostly wait for the next
# tick of a schedule. Programs are built together with the test, so that everything is built once. The upgrade scenarios start from the commit
# before the last change of the module, or from PREVIOUS=commit, which is built before they run.
E2E = --locked --package istio-federation --package istio-federation-e2e --all-features
AT_ONCE = 4
BUILD_PREVIOUS = $(if $(findstring upgrade,$(or $(SCENARIO),upgrade)),tests/e2e/tools/previous)
scenarios: e2e-tools e2e-tools-operators
	$(CARGO) build --locked --package istio-federation-hooks
	$(CARGO) build $(E2E) --bins --test scenarios
	$(BUILD_PREVIOUS)
	$(CARGO) test $(E2E) --test scenarios -- --test-threads=$(AT_ONCE) --nocapture $(SCENARIO)

# Requests between two real meshes, with istiod, pilot-agent and Envoy. SCENARIO=name runs one file of tests/e2e/tests/mesh. MESHES=2 runs two
# at once, for an otherwise idle machine.
MESHES = 1
mesh: e2e-tools e2e-tools-mesh
	$(CARGO) build --locked --package istio-federation-hooks
	$(CARGO) build $(E2E) --bins --test mesh
	$(BUILD_PREVIOUS)
	$(CARGO) test $(E2E) --test mesh -- --test-threads=$(MESHES) --nocapture $(SCENARIO)

# The scenarios with 50 rounds instead of 10, 30 quiet minutes instead of 2, and every fault of a peer.
e2e-long: export E2E_LONG = 1
e2e-long: scenarios

e2e-tools:
	tests/e2e/tools/bring default

e2e-tools-operators e2e-tools-mesh: e2e-tools-%:
	tests/e2e/tools/bring $*

lint: deny
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings
	$(CARGO) clippy --locked --workspace --all-features --test scenarios --test mesh -- -D warnings
	$(CARGO) clippy --locked --package istio-federation-hooks --all-targets -- -D warnings

deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --locked check bans licenses sources; \
	elif [ "$(DENY)" = required ]; then echo "lint: cargo-deny is missing: cargo install --locked cargo-deny@$(DENY_VERSION)" >&2; exit 1; \
	else echo "lint: skipped deny.toml (bans, licences, sources); to run it: cargo install --locked cargo-deny@$(DENY_VERSION)"; fi

# Separate, because it needs a database on the internet that changes.
advisories:
	$(CARGO) deny --locked check advisories

# Updates all generated files of the repository.
generate:
	UPDATE=1 $(CARGO) test --locked --quiet --test crd --test settings_page

# Measures the shipped static executable; needs musl-gcc (Debian: musl-tools).
bench:
	rustup target add $(MUSL)
	$(CARGO) build --locked --release --target $(MUSL) --package istio-federation-hooks
	HOOKS=$(CURDIR)/target/$(MUSL)/release/istio-federation-hooks $(CARGO) bench --locked --no-default-features --bench hooks

# On a real API server.
bench-exporter: e2e-tools
	$(CARGO) bench --locked --package istio-federation-e2e --bench exporter

# Output for an operator: $(PACKAGE)/istio, the module's folder, and $(PACKAGE)/images, the build contexts of images. Static executables,
# as in `bench`. Two builds, as in `demo`.
package:
	rustup target add $(MUSL)
	$(CARGO) build --locked --profile $(PROFILE) --target $(MUSL)
	$(CARGO) build --locked --profile $(PROFILE) --target $(MUSL) --package istio-federation-hooks
	rm -rf $(PACKAGE)
	mkdir -p $(PACKAGE)/istio/hooks $(PACKAGE)/images
	cp -R Chart.yaml LICENSE module.yaml .helmignore enabled crds docs monitoring openapi templates $(PACKAGE)/istio
	cp -R images/metadata-exporter $(PACKAGE)/images
	install -m 755 $(STATIC)/istio-federation-hooks $(PACKAGE)/istio/hooks
	install -m 755 $(STATIC)/istio-federation $(PACKAGE)/images/metadata-exporter
	$(CARGO) test --locked --test package -- --ignored

# Deckhouse's module linter, if installed: DMT=/path/to/dmt.
dmt:
	@test -x "$(DMT)" || { echo "dmt: set DMT=/path/to/dmt" >&2; exit 1; }
	cp .dmtlint.yaml $(PACKAGE)/istio
	"$(DMT)" lint $(PACKAGE)/istio; status=$$?; rm $(PACKAGE)/istio/.dmtlint.yaml; exit $$status
