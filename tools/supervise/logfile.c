// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/supervise/logfile.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

void logfile_cut(const char *path)
{
	char old[PATH_MAX + 128];
	struct stat st;

	CLEANUP(closep) int from = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0 || fstat(from, &st) || !S_ISREG(st.st_mode) || st.st_size < LOGFILE_MAX)
		return;
	snprintf(old, sizeof(old), "%s.1", path);
	CLEANUP(closep) int to =
		open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	for (off_t left = st.st_size; to >= 0 && left > 0;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)left, 0);
		if (n <= 0)
			break;
		left -= n;
	}
	/* Writers hold it open for appending: it can only be emptied, not replaced. */
	if (ftruncate(from, 0))
		return;
}
