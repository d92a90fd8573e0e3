/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_spawn.h - run a system tool without a shell, bounded in time and output.
 *
 * The program is looked for in the system folders only (/usr/sbin, /sbin,
 * /usr/bin, /bin), never in $PATH; the environment is empty; standard input is
 * /dev/null; no file descriptor is inherited. Nothing that came from outside
 * is ever part of an argument: callers build them from numbers and own names.
 */
#ifndef ARCHAIC_FAULT_SPAWN_H
#define ARCHAIC_FAULT_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define FAULT_SPAWN_PATH_MAX 64
#define FAULT_SPAWN_OUTPUT_MAX (1024 * 1024)

/** fault_spawn_find() - the absolute path of a system tool. false where it is not installed. */
bool fault_spawn_find(const char *name, char path[static FAULT_SPAWN_PATH_MAX]);

/**
 * fault_spawn() - run @argv (argv[0] absolute) and wait for it, at most @timeout_ns.
 * @out: takes standard output and error together; NULL: dropped.
 * Returns the exit status (0..255), or -errno: -ENOENT no such program, -ETIME killed for being
 * late, -EMSGSIZE output over FAULT_SPAWN_OUTPUT_MAX, -EIO killed by a signal.
 * Any thread; also a child that was forked.
 */
int fault_spawn(const char *const *argv, uint64_t timeout_ns, struct buf *out);

#endif
