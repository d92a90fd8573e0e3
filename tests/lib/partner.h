/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * partner.h - programs that are not ours, that tests hold ours against, and talking to them through pipes.
 * Failures of the harness itself end the test by cmocka's fail().
 */
#ifndef ARCHAIC_TEST_PARTNER_H
#define ARCHAIC_TEST_PARTNER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
	pid_t pid;
	int in, out; /* its standard input and output */
};

/** child_start() - argv[0] is looked up in PATH. @errors_too: its standard error comes through @out. It dies with the test. */
void child_start(struct child *c, const char *const argv[], bool errors_too);

/** child_close_input() - it sees the end of its input. May be said twice. */
void child_close_input(struct child *c);

/** child_read() - all that it says up to its end, cut at @size - 1 bytes. */
void child_read(struct child *c, char *text, size_t size);

/** child_end() - close its input and wait for its end. Its exit status; -1: a signal. */
int child_end(struct child *c);

/**
 * partner_get() - the path of one of those that tests/partner.sh knows, fetched if need be (minutes; do it
 * before entering a network namespace). false: it cannot be had here; @lack says why, in one line.
 */
bool partner_get(const char *name, char *path, size_t size, char *lack, size_t lack_size);

#endif
