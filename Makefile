# SPDX-License-Identifier: GPL-2.0-or-later
# One Makefile, not recursive; everything it makes goes to build/.
# V=1 shows commands; SAN=1 builds apart under ASan and UBSan; CC=clang-19 works.

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
ARCH ?= $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
VERSION := 0.1.0

SAN ?= 0
B := build$(if $(filter 1,$(SAN)),/san)

PACKAGES := libbpf libelf zlib libcurl libcjson libsystemd libmicrohttpd libsodium libjwt sqlite3 inih libmnl
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wundef -Wformat=2 -Wvla
CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu17 $(WARNINGS) -fstack-protector-strong -fPIE
override CPPFLAGS += -D_GNU_SOURCE -DARCHAIC_VERSION='"$(VERSION)"' -Iuserspace -I. -I$(B)/gen \
	$(shell $(PKG_CONFIG) --cflags $(PACKAGES))
LDLIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -lm -lpthread
override LDFLAGS += -pie
ifeq ($(SAN),1)
override CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
override LDFLAGS += -fsanitize=address,undefined
endif

# ---- sources

BPF_SRC := $(sort $(wildcard bpf/*.bpf.c))
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.bpf.o)
SKELS := $(BPF_SRC:bpf/%.bpf.c=$(B)/gen/skel/%.skel.h)
LIB_SRC := $(sort $(wildcard userspace/*.c userspace/*/*.c))
LIB_SRC := $(filter-out userspace/main.c,$(LIB_SRC))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o)
BASE_OBJ := $(filter $(B)/obj/userspace/base/%,$(LIB_OBJ))
SERVICES := $(filter-out common,$(notdir $(patsubst %/,%,$(dir $(wildcard services/*/main.c)))))
SERVICE_LIB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard services/common/*.c)))
SERVICE_BIN := $(SERVICES:%=$(B)/bin/%-service)
TOOLS := $(notdir $(patsubst %/,%,$(dir $(wildcard tools/*/main.c))))
TOOL_BIN := $(TOOLS:%=$(B)/bin/archaic-%)
BIN := $(if $(wildcard userspace/main.c),$(B)/bin/archaic-ebpf)
TEST_SRC := $(sort $(wildcard tests/unit/test_*.c tests/bpf/test_*.c tests/host/test_*.c))
TEST_BIN := $(TEST_SRC:%.c=$(B)/%)
TEST_LIB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard tests/lib/*.c)))

.PHONY: all
all: $(BIN) $(SERVICE_BIN) $(TOOL_BIN) ## build everything (default)

.PHONY: bpf tests
bpf: $(BPF_OBJ) ## build the BPF objects only
tests: $(TEST_BIN)

# ---- BPF: compile, strip DWARF, make the skeleton

BPF_CFLAGS := -g -O2 -std=gnu17 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(ARCH) -I. -Ibpf \
	-Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-declarations
$(B)/bpf/%.bpf.o: bpf/%.bpf.c
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(B)/gen/skel/%.skel.h: $(B)/bpf/%.bpf.o
	$(say) SKEL $@
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# ---- C

$(B)/obj/%.o: %.c | $(SKELS)
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/libarchaic.a: $(LIB_OBJ)
$(B)/libservice.a: $(SERVICE_LIB_OBJ)
$(B)/libtest.a: $(TEST_LIB_OBJ)
$(B)/%.a:
	$(say) AR $@
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $(filter %.o,$^)

link = $(say) LD $@; mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) $(filter %.o %.a,$^) $(LDLIBS) $(1) -o $@

$(B)/bin/archaic-ebpf: $(B)/obj/userspace/main.o $(B)/libarchaic.a
	$(call link)

.SECONDEXPANSION:
$(SERVICE_BIN): $(B)/bin/%-service: $$(patsubst %.c,$(B)/obj/%.o,$$(sort $$(wildcard services/%/*.c))) $(B)/libservice.a $(B)/libarchaic.a
	$(call link)
$(TOOL_BIN): $(B)/bin/archaic-%: $$(patsubst %.c,$(B)/obj/%.o,$$(sort $$(wildcard tools/%/*.c))) $(B)/libarchaic.a
	$(call link)
$(TEST_BIN): $(B)/%: $(B)/obj/%.o $(B)/libtest.a $(B)/libservice.a $(B)/libarchaic.a
	$(call link,-lcmocka)

.PHONY: clean help
clean: ## remove build/
	rm -rf build
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
