// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Undo what a daemon that is gone left behind: by its journal, then by our own
 * marks, so that a torn or missing journal does not matter.
 */
#include <errno.h>
#include <string.h>

#include "fault/fault.h"
#include "fault/journal.h"
#include "fault/undo.h"

static void say(char *says, size_t len, const char *text)
{
	size_t n = strnlen(says, len);

	if (n + 1 < len)
		snprintf(says + n, len - n, "%s%s", n ? "\n" : "", text);
}

static int by_journal(const char *path, char *says, size_t len)
{
	struct journal j;
	int nr = 0, first_err = 0;

	int err = journal_load(path, &j);
	if (err == -ENOTSUP) {
		/* What it says of things that we do not know is for the program that wrote it. */
		int moved = journal_set_aside(path);
		say(says, len,
		    moved ? "the journal is of a newer version of this program, and cannot be moved aside" :
			    "the journal is of a newer version of this program: it is kept as journal.refused, and "
			    "searched is by our own handles and comments");
		return moved;
	}
	if (err) {
		say(says, len,
		    "the journal cannot be read: searching by our own handles and comments instead");
		return 0;
	}
	if (j.bad_lines)
		say(says, len,
		    "the journal is torn: searching by our own handles and comments too");
	for (size_t i = 0; i < j.nr; i++) {
		char one[256] = "";
		int ret = undo_entry(&j.entries[i], one, sizeof(one));

		if (one[0])
			say(says, len, one);
		nr += ret > 0;
		if (ret < 0) {
			first_err = first_err ? first_err : ret;
			continue;
		}
		journal_append(path, '-', &j.entries[i]);
	}
	/* All undone: begin afresh. What could not be undone must stay on record. */
	if (!first_err)
		unlink(path);
	journal_release(&j);
	return first_err ? first_err : nr;
}

int faults_recover(const char *run_dir, char *says, size_t len)
{
	char path[4096];

	if (len)
		says[0] = '\0';
	snprintf(path, sizeof(path), "%s/" JOURNAL_FILE, run_dir);
	int journaled = by_journal(path, says, len);
	int swept = undo_sweep(says, len);

	if (journaled < 0)
		return journaled;
	return swept < 0 ? swept : journaled + swept;
}
