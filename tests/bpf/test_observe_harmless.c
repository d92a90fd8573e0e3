// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Observation never touches traffic, and its programs are small enough for any
 * verifier: the observer's objects are read, and what their programs are and call
 * is compared with a list of what only looks. No sockmap, no redirect, no write to a
 * packet, no answer but "pass".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

/* Half of what the verifier has looked at since 5.2; before 5.16 it does not say how many it was. */
#define VERIFIED_MAX 500000

static const __u32 looks_only[] = {
	BPF_FUNC_map_lookup_elem,
	BPF_FUNC_map_update_elem,
	BPF_FUNC_map_delete_elem,
	BPF_FUNC_ktime_get_ns,
	BPF_FUNC_get_prandom_u32,
	BPF_FUNC_get_smp_processor_id,
	BPF_FUNC_tail_call,
	BPF_FUNC_get_current_pid_tgid,
	BPF_FUNC_skb_load_bytes,
	BPF_FUNC_get_socket_cookie,
	BPF_FUNC_skb_cgroup_id,
	BPF_FUNC_sk_fullsock,
	BPF_FUNC_tcp_sock,
	BPF_FUNC_skc_to_tcp_sock,
	BPF_FUNC_sk_storage_get,
	BPF_FUNC_probe_read_kernel,
	BPF_FUNC_ringbuf_reserve,
	BPF_FUNC_ringbuf_submit,
	BPF_FUNC_ringbuf_discard,
	BPF_FUNC_seq_write,
	/* In a map's value, around three instructions; the verifier sees that it is let go. */
	BPF_FUNC_spin_lock,
	BPF_FUNC_spin_unlock,
};

static const enum bpf_map_type own_memory[] = {
	BPF_MAP_TYPE_HASH,     BPF_MAP_TYPE_ARRAY,        BPF_MAP_TYPE_PERCPU_HASH,
	BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PROG_ARRAY,
	BPF_MAP_TYPE_RINGBUF,  BPF_MAP_TYPE_SK_STORAGE,
};

static glob_t objects;

static int find_objects(void **state)
{
	char self[PATH_MAX], pattern[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void)state;
	if (n <= 0)
		return -1;
	self[n] = '\0';
	/* BUILD/tests/bpf/test_observe_harmless -> BUILD/bpf */
	for (int up = 0; up < 3; up++)
		*strrchr(self, '/') = '\0';
	snprintf(pattern, sizeof(pattern), "%s/bpf/observe_*.bpf.o", self);
	return glob(pattern, 0, NULL, &objects);
}

static int drop_objects(void **state)
{
	(void)state;
	globfree(&objects);
	return 0;
}

static void assert_looks_only(const char *file, const struct bpf_program *p)
{
	const struct bpf_insn *insns = bpf_program__insns(p);

	for (size_t i = 0; i < bpf_program__insn_cnt(p); i++) {
		bool allowed = false;

		if (insns[i].code != (BPF_JMP | BPF_CALL) || insns[i].src_reg == BPF_PSEUDO_CALL)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(looks_only) && !insns[i].src_reg; k++)
			allowed |= looks_only[k] == (__u32)insns[i].imm;
		if (!allowed)
			fail_msg("%s: %s calls %s %d, which may do more than look", file,
				 bpf_program__name(p),
				 insns[i].src_reg ? "kernel function" : "helper", insns[i].imm);
	}
}

static bool may_be(enum bpf_prog_type type)
{
	/* An extended iterator is TRACING, and so is tp_btf: both are told nothing that they could change. */
	return type == BPF_PROG_TYPE_CGROUP_SKB || type == BPF_PROG_TYPE_CGROUP_SOCK_ADDR ||
		type == BPF_PROG_TYPE_TRACING || type == BPF_PROG_TYPE_RAW_TRACEPOINT;
}

static void test_observe_programs_only_look(void **state)
{
	size_t programs = 0;

	(void)state;
	assert_true(objects.gl_pathc >= 2);
	for (size_t i = 0; i < objects.gl_pathc; i++) {
		struct bpf_object *o = bpf_object__open_file(objects.gl_pathv[i], NULL);
		const char *file = strrchr(objects.gl_pathv[i], '/') + 1;
		struct bpf_program *p;
		struct bpf_map *m;

		assert_non_null(o);
		bpf_object__for_each_program(p, o) {
			if (!may_be(bpf_program__type(p)))
				fail_msg("%s: %s is a program of type %d", file,
					 bpf_program__name(p), bpf_program__type(p));
			assert_looks_only(file, p);
			programs++;
		}
		bpf_object__for_each_map(m, o) {
			bool allowed = false;
			for (size_t k = 0; k < ARRAY_SIZE(own_memory); k++)
				allowed |= bpf_map__type(m) == own_memory[k];
			if (!allowed)
				fail_msg("%s: map %s is of type %d", file, bpf_map__name(m),
					 bpf_map__type(m));
		}
		bpf_object__close(o);
	}
	assert_true(programs >= 10);
	printf("  %zu programs call only what looks\n", programs);
}

/* What a cgroup_skb program answers: every path that ends does so with r0 = 1, "pass". */
static void test_observe_packets_always_pass(void **state)
{
	size_t exits = 0;

	(void)state;
	for (size_t i = 0; i < objects.gl_pathc; i++) {
		struct bpf_object *o = bpf_object__open_file(objects.gl_pathv[i], NULL);
		struct bpf_program *p;

		assert_non_null(o);
		bpf_object__for_each_program(p, o) {
			const struct bpf_insn *insns = bpf_program__insns(p);
			enum bpf_prog_type type = bpf_program__type(p);

			if (type != BPF_PROG_TYPE_CGROUP_SKB &&
			    type != BPF_PROG_TYPE_CGROUP_SOCK_ADDR)
				continue;
			for (size_t k = 1; k < bpf_program__insn_cnt(p); k++) {
				if (insns[k].code != (BPF_JMP | BPF_EXIT))
					continue;
				const struct bpf_insn *before = &insns[k - 1];
				bool mov = before->code == (BPF_ALU | BPF_MOV | BPF_K) ||
					before->code == (BPF_ALU64 | BPF_MOV | BPF_K);
				if (!mov || before->dst_reg != 0 || before->imm != 1)
					fail_msg("%s ends at %zu with something else than 1",
						 bpf_program__name(p), k);
				exits++;
			}
		}
		bpf_object__close(o);
	}
	assert_true(exits >= 8);
}

static int be_quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static void test_observe_programs_are_small(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		printf("SKIP test_observe_programs_are_small: needs root\n");
		skip();
	}
	for (size_t i = 0; i < objects.gl_pathc; i++) {
		struct bpf_object *o = bpf_object__open_file(objects.gl_pathv[i], NULL);
		struct bpf_program *p;

		assert_non_null(o);
		libbpf_print_fn_t printed = libbpf_set_print(be_quiet);
		int err = bpf_object__load(o);
		libbpf_set_print(printed);
		if (err) {
			/* test_load says which program this kernel refuses, and what stands in for it. */
			printf("SKIP test_observe_programs_are_small: this kernel does not load all of %s: %s\n",
			       strrchr(objects.gl_pathv[i], '/') + 1, strerror(-err));
			bpf_object__close(o);
			skip();
		}
		bpf_object__for_each_program(p, o) {
			struct bpf_prog_info info = { 0 };
			__u32 len = sizeof(info);
			assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len),
					 0);
			printf("  %-24s %6u instructions looked at, %5u bytes\n",
			       bpf_program__name(p), info.verified_insns, info.jited_prog_len);
			if (info.verified_insns > VERIFIED_MAX)
				fail_msg("%s: the verifier looks at %u instructions",
					 bpf_program__name(p), info.verified_insns);
		}
		bpf_object__close(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observe_programs_only_look),
		cmocka_unit_test(test_observe_packets_always_pass),
		cmocka_unit_test(test_observe_programs_are_small),
	};

	return cmocka_run_group_tests_name("observe_harmless", tests, find_objects, drop_objects);
}
