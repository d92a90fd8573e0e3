// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "serve/server.h"

static int check_file(int fd, const char *path, struct problem *p)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		problem_set(p, 400, "the token file %s is not a file", path);
		return -EINVAL;
	}
	if (st.st_mode & 0007) {
		problem_set(p, 403, "everybody may use the token file %s; say chmod o= %s", path,
			    path);
		return -EACCES;
	}
	return 0;
}

int server_read_token(const char *path, char **ret, struct problem *p)
{
	char text[SERVER_TOKEN_MAX + 2] = "";
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		int err = -errno;
		problem_set(p, 400, "the token file %s cannot be read: %s", path, strerror(-err));
		return err;
	}
	int err = check_file(fd, path, p);
	if (err)
		return err;

	ssize_t n = read(fd, text, sizeof(text) - 1);
	size_t len = n > 0 ? strcspn(text, "\r\n") : 0;
	text[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x21 || text[i] > 0x7e)
			len = 0;
	if (len < SERVER_TOKEN_MIN || len > SERVER_TOKEN_MAX) {
		problem_set(
			p, 400,
			"the first line of %s must be %d to %d printable characters without blanks",
			path, SERVER_TOKEN_MIN, SERVER_TOKEN_MAX);
		return -EINVAL;
	}
	char *token = strdup(text);
	if (!token)
		return -ENOMEM;
	*ret = token;
	return 0;
}
