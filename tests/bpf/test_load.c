// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every program of every BPF object is offered to this kernel's verifier, one
 * at a time, so that one that is refused does not hide the others. What may be
 * refused, and on which kernels, is said in the table of exceptions: there the
 * daemon has another way. The program's own checks of attach points are not
 * made; those are the host tests' business.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <bpf/libbpf.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/util.h"

#define KERNEL(major, minor) ((major) * 1000 + (minor))
#define LOG_SIZE (1 << 20)

/* What may be refused by kernels before the one named. */
static const struct {
	const char *object;
	const char *program; /* NULL: any */
	int since;
	const char *instead;
} exceptions[] = {
	/* what, first kernel that must take it, what the daemon uses before */
	{ "observe_request.bpf.o", NULL, KERNEL(5, 12), "observe_request_lock.bpf.o" },
	{ "observe_request_lock.bpf.o", "sock_state", KERNEL(5, 11), "aborts are not counted" },
};

struct tally {
	size_t objects, loaded, excused, refused;
};

static char *log_text;

static int running_kernel(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	assert_int_equal(uname(&u), 0);
	assert_int_equal(sscanf(u.release, "%d.%d", &major, &minor), 2);
	return KERNEL(major, minor);
}

static const char *excuse(const char *object, const char *program)
{
	for (size_t i = 0; i < ARRAY_SIZE(exceptions); i++)
		if (strcmp(exceptions[i].object, object) == 0 &&
		    (!exceptions[i].program || strcmp(exceptions[i].program, program) == 0) &&
		    running_kernel() < exceptions[i].since)
			return exceptions[i].instead;
	return NULL;
}

/* libbpf fills program arrays after the last program was taken; here most of their slots are empty. */
static bool slots_failed;
static bool talk;

PRINTF_LIKE(2, 0) static int listen_quietly(enum libbpf_print_level level, const char *fmt,
					    va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (strstr(text, "failed to initialize slot"))
		slots_failed = true;
	if (talk && level == LIBBPF_WARN)
		printf("  %.300s", text);
	return 0;
}

/* The end of the verifier's log says what it minded. */
static void print_log_end(void)
{
	size_t len = strlen(log_text);
	const char *p = log_text + (len > 1500 ? len - 1500 : 0);

	printf("----\n%s\n----\n", p);
}

/* 0 when the kernel takes program @index of @path; @name: its name, copied. @level: the log costs minutes. */
static int load_one(const char *path, size_t index, char *name, size_t size, uint32_t level)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = log_text,
		    .kernel_log_size = LOG_SIZE, .kernel_log_level = level);
	struct bpf_object *o = bpf_object__open_file(path, &opts);
	struct bpf_program *p;
	size_t i = 0;

	if (!o)
		return -errno;
	name[0] = '\0';
	log_text[0] = '\0';
	bpf_object__for_each_program(p, o) {
		bpf_program__set_autoload(p, i == index);
		if (i++ == index)
			snprintf(name, size, "%s", bpf_program__name(p));
	}
	slots_failed = false;
	int err = name[0] ? bpf_object__load(o) : -ENOENT;
	bpf_object__close(o);
	return slots_failed ? 0 : err;
}

static void load_object(const char *path, struct tally *t)
{
	const char *file = strrchr(path, '/') + 1;
	char name[128];

	t->objects++;
	for (size_t i = 0;; i++) {
		int err = load_one(path, i, name, sizeof(name), 0);
		if (err == -ENOENT && !name[0]) {
			assert_true(i > 0);
			return;
		}
		const char *instead = err ? excuse(file, name) : NULL;
		if (!err) {
			t->loaded++;
			printf("  %-28s %-32s taken\n", file, name);
		} else if (instead) {
			t->excused++;
			printf("  %-28s %-32s refused (%s); instead: %s\n", file, name,
			       strerror(-err), instead);
		} else {
			t->refused++;
			printf("  %-28s %-32s REFUSED: %s\n", file, name, strerror(-err));
			talk = true;
			load_one(path, i, name, sizeof(name), 1);
			talk = false;
			print_log_end();
		}
	}
}

static void test_load_every_program_is_taken(void **state)
{
	char self[PATH_MAX], pattern[PATH_MAX + 64];
	struct tally t = { 0 };
	glob_t found;

	(void)state;
	if (geteuid() != 0) {
		printf("SKIP test_load_every_program_is_taken: needs root\n");
		skip();
	}
	/* BUILD/tests/bpf/test_load -> BUILD/bpf */
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(n > 0);
	self[n] = '\0';
	for (int up = 0; up < 3; up++)
		*strrchr(self, '/') = '\0';
	snprintf(pattern, sizeof(pattern), "%s/bpf/*.bpf.o", self);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);

	libbpf_set_print(listen_quietly);
	log_text = calloc(1, LOG_SIZE);
	assert_non_null(log_text);
	for (size_t i = 0; i < found.gl_pathc; i++)
		load_object(found.gl_pathv[i], &t);
	globfree(&found);
	free(log_text);
	printf("  %zu objects: %zu programs taken, %zu refused as expected, %zu refused\n",
	       t.objects, t.loaded, t.excused, t.refused);
	assert_int_equal(t.refused, 0);
	assert_true(t.loaded > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_every_program_is_taken),
	};

	return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
