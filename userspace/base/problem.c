// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/problem.h"

#include <errno.h>
#include <stdarg.h>

static const struct {
	int status, err;
	const char *title;
} kinds[] = {
	{ 400, -EINVAL, "Invalid request" },    { 401, -EACCES, "Not authenticated" },
	{ 403, -EACCES, "Not allowed" },        { 404, -ENOENT, "Not found" },
	{ 405, -EINVAL, "Method not allowed" }, { 409, -EEXIST, "Conflict" },
	{ 413, -EMSGSIZE, "Too large" },        { 422, -EPERM, "Over a limit" },
	{ 429, -EBUSY, "Too many requests" },   { 503, -ENOTSUP, "Not available" },
};

static int classify(struct problem *p, int status)
{
	const char *title = "Internal error";
	int err = -EIO;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].status == status) {
			title = kinds[i].title;
			err = kinds[i].err;
		}
	if (p) {
		*p = (struct problem){ .status = status };
		snprintf(p->title, sizeof(p->title), "%s", title);
	}
	return err;
}

int problem_set(struct problem *p, int status, const char *fmt, ...)
{
	int err = classify(p, status);

	if (p) {
		va_list ap;
		va_start(ap, fmt);
		vsnprintf(p->detail, sizeof(p->detail), fmt, ap);
		va_end(ap);
	}
	return err;
}

int problem_parameter(struct problem *p, int status, const char *name, const char *value,
		      const char *allowed)
{
	int err = classify(p, status);

	if (p) {
		snprintf(p->title, sizeof(p->title), "Invalid parameter");
		snprintf(p->parameter, sizeof(p->parameter), "%s", name);
		snprintf(p->value, sizeof(p->value), "%s", value);
		snprintf(p->allowed, sizeof(p->allowed), "%s", allowed);
		snprintf(p->detail, sizeof(p->detail), "%s is %s; it must be %s", name, p->value,
			 allowed);
	}
	return err;
}
