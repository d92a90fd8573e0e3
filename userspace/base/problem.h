/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * problem.h - why a request was refused: what was given, what is allowed, what to do.
 *
 * Filled by whoever finds the flaw, rendered once by serve/ as an RFC 9457
 * document and by cmd/ as one sentence. Fields that do not apply stay "".
 */
#ifndef ARCHAIC_PROBLEM_H
#define ARCHAIC_PROBLEM_H

#include "base/util.h"

struct problem {
	int status; /* HTTP status; 0: no problem */
	char title[64];
	char detail[320]; /* one sentence */
	char parameter[64];
	char value[96]; /* as it was given, cut */
	char allowed[128];
};

/**
 * problem_set() - fill @p; the title follows from @status. Returns the errno that
 * fits it (400 -EINVAL, 403 -EACCES, 404 -ENOENT, 409 -EEXIST, 422 -EPERM, 503 -ENOTSUP,
 * else -EIO), so that "return problem_set(...)" reads well. NULL @p is allowed.
 */
int problem_set(struct problem *p, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

/** problem_parameter() - a 400 or 422 about one parameter: detail becomes "@name is @value; it must be @allowed". */
int problem_parameter(struct problem *p, int status, const char *name, const char *value,
		      const char *allowed);

#endif
