/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crowd.h - as many customers as a shape says, at the same time, each on its journey.
 *
 * One thread. Each customer has a keep-alive connection to each service that it
 * asks, and one request under way. Customers wait about the shape's pauses (a
 * half to one and a half of them) between steps; with a set rate there are no
 * pauses, and each request takes the next slot of one schedule: slots that
 * nobody took because all were waiting are not made up for. Over the shape's
 * end, journeys under way get its grace; then they are broken off, and their
 * last requests are not counted.
 */
#ifndef ARCHAIC_LOAD_CROWD_H
#define ARCHAIC_LOAD_CROWD_H

#include "tools/load/journey.h"
#include "tools/load/shape.h"
#include "tools/load/tally.h"

struct crowd_request {
	const char *service, *method, *path, *trace_id; /* borrowed for the call */
	int status;                                     /* 0: no answer came */
	bool failed;
	enum failure why; /* where no answer came */
	uint64_t started_ns, ended_ns;
};

struct crowd_options {
	const struct shape *shape;
	struct target targets[NR_PARTS]; /* after target_connect() */
	double rate_per_s;               /* 0: pauses */
	unsigned int per_login;          /* journeys made with one log-in */
	uint64_t timeout_ns;
	char run[16];  /* letters and digits */
	uint64_t seed; /* of the pauses; not 0 */
	/* Once a second. Not 0: stop. */
	int (*second)(void *ctx, const struct tally *t, unsigned int users, uint64_t now_ns);
	/* Of every request that has ended; NULL: nobody wants to know. */
	void (*ended)(void *ctx, const struct crowd_request *rq);
	void *ctx;
};

/** crowd_run() - 0, -errno, or -EINTR with @signal set; @t is whole in that case too. */
int crowd_run(const struct crowd_options *o, struct tally *t, int *signal);

#endif
