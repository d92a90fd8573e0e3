# SPDX-License-Identifier: GPL-2.0-or-later
# One Makefile, not recursive; everything it makes goes to build/.
# V=1 shows commands; SAN=1 builds apart under ASan and UBSan; CC=clang-19 works;
# ARCH=arm64 makes the BPF objects of that machine in build/arm64.

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang-19
LLVM_STRIP ?= llvm-strip-19
CLANG_FORMAT ?= clang-format-19
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
HOST_ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
ARCH ?= $(HOST_ARCH)
VERSION := 0.1.0
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc

SAN ?= 0
B := build$(if $(filter 1,$(SAN)),/san)$(if $(filter-out $(HOST_ARCH),$(ARCH)),/$(ARCH))

# ---- set-up: these goals install what they need, before anything below asks pkg-config

SETUP_test := test
SETUP_test-vm := vm
SETUP_test-observability := test
SETUP_test-cluster := test
SETUP_test-docker := docker
SETUP_test-browser := browser
SETUP_test-browser-slow := browser
SETUP_bench := bench
SETUP_bench-pages := bench
SETUP_bench-load := bench
SETUP_lint := lint
SETUP_deb := deb
SETUP_test-deb := deb
SETUP_test-systemd := vm deb
SETUP_demo := run
SETUP_up := run
NEEDS := $(strip $(foreach g,$(MAKECMDGOALS),$(SETUP_$(g))))
ifeq (,$(findstring n,$(filter-out -%,$(firstword $(MAKEFLAGS)))))
ifneq (,$(NEEDS))
ifneq (0,$(lastword $(shell for s in $(NEEDS); do tools/setup.sh $$s >&2 || exit; done; echo $$?)))
$(error tools/setup.sh $(NEEDS) failed)
endif
endif
endif

PACKAGES := libbpf libelf zlib libcurl libcjson libsystemd libmicrohttpd libsodium libjwt sqlite3 inih libmnl libqrencode
# These need no library.
LIGHT := help clean setup fmt down lint-text uninstall
ifneq (,$(filter-out $(LIGHT),$(or $(MAKECMDGOALS),all)))
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>&1 || echo pkg-config-failed)
ifneq (,$(findstring pkg-config-failed,$(PKG_CFLAGS)))
$(error $(PKG_CFLAGS): libraries are missing; as root: tools/setup.sh build)
endif
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES))
endif

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wundef -Wformat=2 -Wvla
CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu17 $(WARNINGS) -fstack-protector-strong -fPIE
override CPPFLAGS += -D_GNU_SOURCE -DARCHAIC_VERSION='"$(VERSION)"' -Iuserspace -I. -I$(B)/gen $(PKG_CFLAGS)
LDLIBS := $(PKG_LIBS) -lm -lpthread
override LDFLAGS += -pie -Wl,-z,relro,-z,now
ifeq ($(SAN),1)
override CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
override LDFLAGS += -fsanitize=address,undefined
endif

# ---- sources

BPF_SRC := $(sort $(wildcard bpf/*.bpf.c))
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.bpf.o)
TEST_BPF_SRC := $(sort $(wildcard tests/bpf/*.bpf.c))
TEST_BPF_OBJ := $(TEST_BPF_SRC:%.bpf.c=$(B)/%.bpf.o)
SKELS := $(patsubst %.bpf.o,$(B)/gen/skel/%.skel.h,$(notdir $(BPF_OBJ)))
TEST_SKELS := $(patsubst %.bpf.o,$(B)/gen/skel/%.skel.h,$(notdir $(TEST_BPF_OBJ)))
LIB_SRC := $(filter-out userspace/main.c,$(sort $(wildcard userspace/*.c userspace/*/*.c)))
# The pages, embedded; without npm an empty table, and the build says so.
NPM := $(and $(shell command -v node),$(shell command -v npm))
WEB_SRC := $(sort $(shell find userspace/web -type f))
LIB_SRC := $(filter-out $(if $(NPM),userspace/serve/assets_none.c),$(LIB_SRC)) $(if $(NPM),build/gen/web_assets.c)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o)
SERVICES := $(filter-out common,$(notdir $(patsubst %/,%,$(dir $(wildcard services/*/main.c)))))
SERVICE_LIB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard services/common/*.c)))
SERVICE_BIN := $(SERVICES:%=$(B)/bin/%-service)
TOOLS := $(notdir $(patsubst %/,%,$(dir $(wildcard tools/*/main.c))))
TOOL_BIN := $(TOOLS:%=$(B)/bin/archaic-%)
BIN := $(if $(wildcard userspace/main.c),$(B)/bin/archaic-ebpf)
# test_blind links without the fault injector, see below.
BLIND_BIN := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_blind.c))
TEST_SRC := $(filter-out %.bpf.c,$(sort $(wildcard tests/unit/test_*.c tests/bpf/test_*.c tests/host/test_*.c)))
TEST_BIN := $(filter-out $(BLIND_BIN),$(TEST_SRC:%.c=$(B)/%))
# Not among the tests: it builds programs that are not ours, and takes minutes.
OBSERVABILITY_BIN := $(B)/tests/observability/test_partners
# The load generator is a library too: tests drive it, and drive others with it.
LOAD_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(filter-out %/main.c,$(sort $(wildcard tools/load/*.c))))
TEST_LIB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard tests/lib/*.c)))
MAN := $(sort $(wildcard userspace/man/*.[1-8] services/*/*.[1-8] tools/*/*.[1-8]))
# What is made from the program's own tables, so that it cannot drift.
SHARE := $(addprefix $(B)/share/,archaic-ebpf.conf completion archaic-ebpf.conf.5)

.PHONY: all bpf bpf-arm64 tests FORCE
all: $(BIN) $(SERVICE_BIN) $(TOOL_BIN) ## build everything (default)
bpf: $(BPF_OBJ) ## build the BPF objects only
bpf-arm64: ## build the BPF objects for arm64, in build/arm64
	$(Q)+$(MAKE) --no-print-directory ARCH=arm64 bpf
tests: all $(TEST_BIN) $(BLIND_BIN) ## build the tests, without running them
FORCE:

# A file that changes only when its text does: other compilers, flags or lists of objects rebuild.
define stamp
	$(Q)mkdir -p $(@D)
	$(Q)printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
endef
$(B)/flags.stamp: FORCE
	$(call stamp,$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(LDLIBS))

# ---- BPF: compile, strip DWARF, make the skeleton

# vmlinux.h comes first whatever a header's order of includes: abi.h needs its integer types.
BPF_CFLAGS := -g -O2 -std=gnu17 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -I. -Ibpf -include vmlinux.h \
	-Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-declarations
define bpf_compile
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@
endef
define skel_make
	$(say) SKEL $@
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@
endef
$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(B)/bpf.stamp
	$(bpf_compile)
$(TEST_BPF_OBJ): $(B)/tests/bpf/%.bpf.o: tests/bpf/%.bpf.c $(B)/bpf.stamp
	$(bpf_compile)
$(B)/bpf.stamp: FORCE
	$(call stamp,$(CLANG) $(BPF_CFLAGS))
$(SKELS): $(B)/gen/skel/%.skel.h: $(B)/bpf/%.bpf.o
	$(skel_make)
$(TEST_SKELS): $(B)/gen/skel/%.skel.h: $(B)/tests/bpf/%.bpf.o
	$(skel_make)

# ---- the two web pages: one bundle for every compiler and machine

W := build/web
.PHONY: web
web: build/gen/web_assets.c $(W)/src/shared/schema.gen.ts ## bundle the web pages, and check their types against openapi.json
	$(say) TSC $(W)
	$(Q)cd $(W) && npx --no-install tsc --noEmit
$(W)/modules.stamp: $(addprefix userspace/web/,package.json package-lock.json .npmrc)
	$(say) NPM $(W)/node_modules
	$(Q)mkdir -p $(W) && cp $^ $(W)/
	$(Q)cd $(W) && flock . npm ci --ignore-scripts --no-progress --loglevel=error >/dev/null && touch $(@F)
$(W)/sources.stamp: FORCE
	$(call stamp,$(WEB_SRC))
build/gen/web_assets.c: $(WEB_SRC) $(W)/sources.stamp $(W)/modules.stamp
	$(Q)mkdir -p $(@D)
	$(Q)rm -rf $(W)/src && cp -r $(addprefix userspace/web/,src bundle.mjs tsconfig.json) $(W)/
	$(Q)cd $(W) && flock . node bundle.mjs ../gen/$(@F) $(W)
BROWSER := build/browser
$(BROWSER)/modules.stamp: $(addprefix tests/browser/,package.json package-lock.json .npmrc)
	$(say) NPM $(BROWSER)/node_modules
	$(Q)mkdir -p $(BROWSER) && cp $^ $(BROWSER)/
	$(Q)cd $(BROWSER) && flock . npm ci --ignore-scripts --no-progress --loglevel=error >/dev/null && touch $(@F)
$(W)/src/shared/schema.gen.ts: userspace/serve/openapi.json build/gen/web_assets.c
	$(say) TYPES $@
	$(Q)cd $(W) && npx --no-install openapi-typescript ../../$< -o src/shared/schema.gen.ts >/dev/null
ifeq (,$(NPM))
$(B)/obj/userspace/serve/assets_none.o: say_no_pages
.PHONY: say_no_pages
say_no_pages:
	@echo "  NOTE    node or npm is missing: the two web pages are left out; as root: tools/setup.sh build" >&2
endif

# ---- C

$(B)/obj/%.o: %.c $(B)/flags.stamp
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# Its text is taken in by the assembler, which -MMD does not see.
$(B)/obj/userspace/serve/openapi_blob.o: userspace/serve/openapi.json
$(B)/obj/tools/load/shape.o: tools/load/shapes.json

# Tests see their own library, by name.
$(B)/obj/tests/%.o: override CPPFLAGS += -Itests/lib

# Only these may include a skeleton: the first build must make it before; later the .d files know.
$(filter $(B)/obj/userspace/kernel/%,$(LIB_OBJ)): | $(SKELS)
$(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/bpf/test_*.c tests/host/test_*.c)): | $(SKELS) $(TEST_SKELS)

# What the pipeline's blind half may see: the same objects without whatever knows of faults.
BLIND_OBJ := $(foreach d,base docker discover observe detect diagnose kernel,$(filter $(B)/obj/userspace/$(d)/%,$(LIB_OBJ)))
# fault_spawn.c only runs programs, for whoever asks.
BLIND_OBJ := $(filter-out $(filter-out %/fault_spawn.o,$(filter $(B)/obj/userspace/kernel/fault_%,$(BLIND_OBJ))),$(BLIND_OBJ))

$(B)/libarchaic.a: $(LIB_OBJ)
$(B)/libservice.a: $(SERVICE_LIB_OBJ)
$(B)/libtest.a: $(TEST_LIB_OBJ)
$(B)/libload.a: $(LOAD_OBJ)
$(B)/libblind.a: $(BLIND_OBJ)
$(B)/%.stamp: FORCE
	$(call stamp,$(OBJECTS))
$(B)/libarchaic.stamp: OBJECTS := $(LIB_OBJ)
$(B)/libservice.stamp: OBJECTS := $(SERVICE_LIB_OBJ)
$(B)/libtest.stamp: OBJECTS := $(TEST_LIB_OBJ)
$(B)/libload.stamp: OBJECTS := $(LOAD_OBJ)
$(B)/libblind.stamp: OBJECTS := $(BLIND_OBJ)
$(B)/%.a: $(B)/%.stamp
	$(say) AR $@
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $(filter %.o,$^)

define link
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(or $(2),$(filter %.a,$^)) $(LDLIBS) $(1) -o $@
endef

$(B)/bin/archaic-ebpf: $(B)/obj/userspace/main.o $(B)/libarchaic.a
	$(call link)

# Each word may hold one %, the stem's: so no patsubst here.
.SECONDEXPANSION:
$(SERVICE_BIN): $(B)/bin/%-service: $$(addsuffix .o,$$(basename $$(addprefix $(B)/obj/,$$(sort $$(wildcard services/%/*.c))))) $(B)/libservice.a $(B)/libarchaic.a
	$(call link)
$(TOOL_BIN): $(B)/bin/archaic-%: $$(addsuffix .o,$$(basename $$(addprefix $(B)/obj/,$$(sort $$(wildcard tools/%/*.c))))) $(B)/libarchaic.a
	$(call link)
$(TEST_BIN) $(OBSERVABILITY_BIN): $(B)/%: $(B)/obj/%.o $(B)/libtest.a $(B)/libload.a $(B)/libservice.a $(B)/libarchaic.a
	$(call link,-lcmocka)
# Whole archive: one call into the injector, from any object, and this does not link.
$(BLIND_BIN): $(B)/%: $(B)/obj/%.o $(B)/libblind.a
	$(call link,-lcmocka,-Wl$(comma)--whole-archive $(B)/libblind.a -Wl$(comma)--no-whole-archive)
comma := ,

# ---- running

.PHONY: setup test test-vm test-scenes test-llm test-observability test-browser test-browser-slow demo up down bench bench-load bench-pages
setup: ## install the Debian packages that everything here needs (root)
	$(Q)tools/setup.sh all

# Minutes each: they play whole incidents in real time.
SLOW_BIN := $(B)/tests/host/test_scenes $(B)/tests/host/test_daemon_remedy
T ?= $(TEST_BIN) $(BLIND_BIN)
test: all share $(if $(NPM),web) bpf-arm64 $(T) ## run all tests (T=build/tests/unit/test_text for one); root for most
	$(Q)ARCHAIC_BUILD=$(B) tests/run.sh $(B)/tests/log $(T)

KERNEL ?= 5.10 6.1 6.12 7.2
test-vm: all $(TEST_BIN) ## boot other kernels in QEMU and test there (KERNEL=6.1)
	$(Q)for k in $(KERNEL); do tests/vm/run.sh $$k || exit 1; done

test-scenes: all $(SLOW_BIN) ## of these, play only the scenes with each service at fault, and nobody; modes and models (6 minutes, root)
	$(Q)ARCHAIC_BUILD=$(B) tests/run.sh $(B)/tests/log-scenes $(SLOW_BIN)
test-observability: all $(OBSERVABILITY_BIN) ## real Prometheus, Alertmanager, OpenTelemetry collector, Jaeger, VictoriaLogs (a minute; once ten to build them; root)
	$(Q)ARCHAIC_BUILD=$(B) TEST_TIMEOUT=3600 tests/run.sh $(B)/tests/log-observability $(OBSERVABILITY_BIN)
test-llm: all $(B)/tests/host/test_llm_server $(B)/tests/host/test_llm_partners ## try the model client on real counterparts
	$(Q)ARCHAIC_BUILD=$(B) tests/run.sh $(B)/tests/log-llm $(filter $(B)/tests/%,$^)

test-browser: all web $(BROWSER)/modules.stamp ## drive both web pages in Chromium against the real daemon (root)
	$(Q)tests/browser/run.sh
test-browser-slow: all web $(BROWSER)/modules.stamp ## the same, and watch a page with 200 services for 20 minutes
	$(Q)GROW_MINUTES=20 tests/browser/run.sh grow

demo: all ## the whole story, in three minutes (root)
	$(Q)tools/demo.sh
MODE ?= auto-safe
up: all ## start the services and the daemon, and leave them running (MODE=observe|suggest|auto-safe)
	$(Q)MODE=$(MODE) tools/up.sh
down: ## stop what `make up` started; can be said twice
	$(Q)tools/down.sh
bench-pages: all ## measure what 50 open dashboards cost the daemon, with 4 services and with 200 (root)
	$(Q)tools/bench/pages.sh && tools/bench/pages.sh --services 200
bench: all $(B)/bin/archaic-bench ## measure what watching costs (root)
	$(Q)tools/bench/run.sh
bench-load: $(B)/bin/archaic-load ## hold archaic-load to wrk, h2load and vegeta (root)
	$(Q)ARCHAIC_BUILD=$(B) tools/bench/load.sh

# ---- keeping house

.PHONY: fmt lint lint-text vmlinux man TAGS clean help install uninstall deb
fmt: ## format every C file
	$(Q)CLANG_FORMAT=$(CLANG_FORMAT) tools/fmt.sh
lint: lint-text bpf $(SHARE) $(SKELS) $(TEST_SKELS) $(BLIND_BIN) ## format, lengths, forbidden calls, scripts, clang's warnings, man pages
	$(Q)CLANG='$(CLANG)' CPPFLAGS='$(subst ','\'',$(CPPFLAGS)) -Itests/lib' CFLAGS='-std=gnu17 $(WARNINGS)' tools/lint.sh compile
	$(Q)for m in $(MAN) $(B)/share/archaic-ebpf.conf.5; do mandoc -T lint -W warning $$m || exit 1; done
lint-text:
	$(Q)CLANG_FORMAT=$(CLANG_FORMAT) tools/lint.sh text
vmlinux: ## make vmlinux.h anew, from tools/vmlinux.types and this kernel's BTF
	$(Q)BPFTOOL=$(BPFTOOL) tools/vmlinux.sh > vmlinux.h.new && mv vmlinux.h.new vmlinux.h
man: $(MAN:%=$(B)/man/%.txt) ## render the man pages to text
$(B)/man/%.txt: %
	$(Q)mkdir -p $(@D)
	$(Q)mandoc -T utf8 $< > $@
TAGS: ## an Emacs tag file, in build/
	$(Q)mkdir -p build && ctags -e -R -f build/TAGS bpf userspace services tests tools

.PHONY: share
share: $(SHARE)
$(B)/share/archaic-ebpf.conf: $(BIN)
	$(say) SHARE $@
	$(Q)mkdir -p $(@D) && $(BIN) check-config --template > $@
$(B)/share/completion: $(BIN)
	$(say) SHARE $@
	$(Q)mkdir -p $(@D) && $(BIN) completion bash > $@
$(B)/share/archaic-ebpf.conf.5: tools/man/archaic-ebpf.conf.5.in $(BIN)
	$(say) SHARE $@
	$(Q)mkdir -p $(@D) && $(BIN) check-config --man > $(@D)/options
	$(Q)sed -e '/^@OPTIONS@$$/{r $(@D)/options' -e 'd}' -e 's/@VERSION@/$(VERSION)/' $< > $@

INSTALL_ENV = BUILD='$(B)' DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)'
install: all share ## install below DESTDIR and PREFIX: programs, unit, man pages, completion, configuration
	$(Q)$(INSTALL_ENV) tools/deploy/install.sh install
uninstall: ## take out what install put there
	$(Q)$(INSTALL_ENV) tools/deploy/install.sh uninstall
deb: all share ## build the Debian package, in build/deb, and have lintian look at it
	$(Q)ARCHAIC_BUILD=$(B) VERSION=$(VERSION) tools/deploy/deb.sh

DEB = $(B)/deb/archaic-ebpf_$(VERSION)_$(shell dpkg --print-architecture).deb
.PHONY: test-docker
test-docker: all ## follow the README's section "Docker" with images built here (a dockerd of its own; root, two minutes)
	$(Q)tests/docker/run.sh
.PHONY: test-cluster
test-cluster: all $(B)/tests/host/test_kube_cluster ## deploy to a real Kubernetes of two nodes, built here once, and see it act (half an hour, then 2 minutes; root)
	$(Q)tools/cluster/build.sh
	$(Q)tests/cluster/api.sh
	$(Q)tests/cluster/run.sh

.PHONY: test-deb test-systemd
test-deb: deb ## install, try, remove and purge the package in a clean Debian folder (debootstrap; root)
	$(Q)tests/deb/run.sh $(DEB)
# The same programs under a lower version, to be upgraded from.
OLDER = $(B)/deb/archaic-ebpf_$(VERSION)~0_$(shell dpkg --print-architecture).deb
test-systemd: deb ## the package under a real systemd, in a container and in QEMU (KERNEL="here 6.1 6.12"; root)
	$(Q)ARCHAIC_BUILD=$(B) VERSION=$(VERSION) DEB_VERSION=$(VERSION)~0 tools/deploy/deb.sh --no-lintian
	$(Q)for k in $(if $(filter file,$(origin KERNEL)),here 6.1 6.12,$(KERNEL)); do \
		tests/systemd/run.sh $$k $(OLDER) $(DEB) || exit 1; done

clean: ## remove build/
	rm -rf build
help: ## this list
	@awk -F':.*## ' '/^[A-Za-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

-include $(shell find $(B)/obj $(B)/bpf $(B)/tests -name '*.d' 2>/dev/null)
