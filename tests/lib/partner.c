// SPDX-License-Identifier: GPL-2.0-or-later
#include "partner.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CANNOT 77 /* tests/partner.sh's way to say so */

void child_start(struct child *c, const char *const argv[], bool errors_too)
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		if (errors_too)
			dup2(out[1], 2);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c->in = in[1];
	c->out = out[0];
}

void child_close_input(struct child *c)
{
	if (c->in >= 0)
		close(c->in);
	c->in = -1;
}

void child_read(struct child *c, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used + 1 < size && (n = read(c->out, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
}

int child_end(struct child *c)
{
	int status = -1;

	child_close_input(c);
	close(c->out);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool partner_get(const char *name, char *path, size_t size, char *lack, size_t lack_size)
{
	const char *const argv[] = { "tests/partner.sh", name, NULL };
	struct child c;
	char text[512];

	child_start(&c, argv, true);
	child_read(&c, text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	int status = child_end(&c);
	if (status && status != CANNOT)
		fail_msg("tests/partner.sh %s: status %d, %s", name, status, text);
	snprintf(status ? lack : path, status ? lack_size : size, "%s", text);
	return !status;
}
