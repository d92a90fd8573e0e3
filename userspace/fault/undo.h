/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * undo.h - take back what outlives us: by journal entry, or by our own marks.
 *
 * Everything here may be said twice, takes no lock of ours, and is used by the
 * daemon, the guardian and `reset --all` alike. What does not carry our mark
 * (comment, handle with kind and priority, pid with start ticks) is never touched.
 */
#ifndef ARCHAIC_UNDO_H
#define ARCHAIC_UNDO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fault/journal.h"

/**
 * undo_entry() - undo one. Returns 1 when something was there, 0 when nothing was, -errno.
 * @says: a sentence, when something was done or could not be; may be NULL. @len bytes.
 * What stands in another network namespace is undone there; -EPERM: we may not enter it.
 */
int undo_entry(const struct journal_entry *e, char *says, size_t len);

/**
 * undo_sweep() - remove everything of ours in this network namespace that carries our marks, journal or not.
 * Appends one sentence a line to @says. Returns the number of things removed, or -errno of the first failure
 * after trying all.
 */
int undo_sweep(char *says, size_t len);

/** undo_start_ticks() - field 22 of /proc/@pid/stat; 0 where there is no such process. */
uint64_t undo_start_ticks(pid_t pid);

#define UNDO_BURNER_NAME "archaic-burner"
#define UNDO_VERDICT_NAME "archaic-verdict"

#endif
