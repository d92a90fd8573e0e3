// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/tally.h"

#include "base/util.h"

#define UNSENT_STEPS 100000

static void count(struct tally *t, const struct conn_request *rq, bool error, uint64_t now_ns)
{
	uint64_t latency_ns = now_ns - MIN(rq->due_ns, now_ns);

	t->requests++;
	t->second_requests++;
	t->errors += error;
	t->second_errors += error;
	hist_record(&t->latency, latency_ns, 1);
	hist_record(&t->second, latency_ns, 1);
	hist_record(&t->service, now_ns - MIN(rq->sent_ns, now_ns), 1);
}

bool tally_answer(struct tally *t, const struct conn_request *rq, int status, uint64_t now_ns)
{
	bool error = status >= 400;

	count(t, rq, error, now_ns);
	t->failures[FAIL_STATUS] += error;
	t->status[status < TALLY_STATUS_MAX ? status : TALLY_STATUS_MAX - 1]++;
	return !error;
}

void tally_failure(struct tally *t, const struct conn_request *rq, enum failure why,
		   uint64_t now_ns)
{
	count(t, rq, true, now_ns);
	t->failures[why]++;
}

void tally_unsent(struct tally *t, double first_ns, double step_ns, uint64_t nr, uint64_t now_ns)
{
	/* A day's backlog in bounded time: neighbours share one value. */
	uint64_t group = nr / UNSENT_STEPS + 1;

	t->unsent += nr;
	for (uint64_t i = 0; i < nr; i += group) {
		uint64_t n = MIN(group, nr - i);
		double due_ns = first_ns + step_ns * ((double)i + (double)(n - 1) / 2);

		hist_record(&t->latency, due_ns < (double)now_ns ? now_ns - (uint64_t)due_ns : 0,
			    n);
	}
}

void tally_second(struct tally *t)
{
	t->second_requests = t->second_errors = 0;
	hist_reset(&t->second);
}

double tally_seconds(const struct tally *t)
{
	return t->end_ns > t->start_ns ? (double)(t->end_ns - t->start_ns) / 1e9 : 1e-9;
}
