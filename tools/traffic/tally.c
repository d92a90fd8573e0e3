// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/traffic/tally.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

static struct {
	pthread_mutex_t lock;
	FILE *to;
	uint64_t slow_ns;
	/* Guarded by lock. */
	uint64_t total, total_errors;
	uint32_t in_flight, requests, errors, slow, lines, lines_dropped;
	double took_ms[TALLY_SAMPLES_MAX];
	uint32_t nr_samples;
} g = { .lock = PTHREAD_MUTEX_INITIALIZER };

void tally_init(FILE *to, uint64_t slow_ns)
{
	g.to = to;
	g.slow_ns = slow_ns;
}

void tally_begin(void)
{
	pthread_mutex_lock(&g.lock);
	g.in_flight++;
	pthread_mutex_unlock(&g.lock);
}

/* With the lock held: lines of threads never mix. */
static void write_request(const struct tally_request *r, double took_ms)
{
	struct buf b;

	if (g.lines == TALLY_LINES_PER_S) {
		g.lines_dropped++;
		return;
	}
	g.lines++;
	buf_init(&b, 4096);
	buf_addf(&b,
		 "{\"kind\":\"%s\",\"wall_ms\":%" PRId64 ",\"started_wall_ms\":%" PRId64
		 ",\"took_ms\":%.1f,\"service\":",
		 r->failed ? "failed" : "slow", clock_mono_to_wall_ms(r->ended_ns),
		 clock_mono_to_wall_ms(r->started_ns), took_ms);
	text_json(&b, r->service);
	buf_addf(&b,
		 ",\"method\":\"%s\",\"path\":\"%s\",\"status\":%d,\"trace_id\":\"%s\",\"why\":",
		 r->method, r->path, r->status, r->trace_id);
	text_json(&b, r->why);
	fprintf(g.to, "%s}\n", buf_str(&b));
	fflush(g.to);
	buf_release(&b);
}

void tally_end(const struct tally_request *r)
{
	double took_ms = (double)(r->ended_ns - r->started_ns) / 1e6;
	bool slow = r->ended_ns - r->started_ns >= g.slow_ns;

	pthread_mutex_lock(&g.lock);
	g.in_flight--;
	g.requests++;
	g.total++;
	g.slow += slow;
	if (r->failed) {
		g.errors++;
		g.total_errors++;
	}
	if (g.nr_samples < TALLY_SAMPLES_MAX)
		g.took_ms[g.nr_samples++] = took_ms;
	if (slow || r->failed)
		write_request(r, took_ms);
	pthread_mutex_unlock(&g.lock);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nearest rank, of sorted samples. */
static double quantile(double q)
{
	return g.nr_samples ? g.took_ms[(uint32_t)(q * (g.nr_samples - 1) + .5)] : 0;
}

void tally_second(void)
{
	pthread_mutex_lock(&g.lock);
	qsort(g.took_ms, g.nr_samples, sizeof(g.took_ms[0]), by_size);
	fprintf(g.to,
		"{\"kind\":\"second\",\"wall_ms\":%" PRId64
		",\"requests\":%u,\"errors\":%u,\"slow\":%u,\"in_flight\":%u,"
		"\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"lines_dropped\":%u}\n",
		clock_wall_ms(), g.requests, g.errors, g.slow, g.in_flight, quantile(.5),
		quantile(.99), g.lines_dropped);
	fflush(g.to);
	g.requests = g.errors = g.slow = g.lines = g.lines_dropped = g.nr_samples = 0;
	pthread_mutex_unlock(&g.lock);
}

void tally_totals(uint64_t *requests, uint64_t *errors)
{
	pthread_mutex_lock(&g.lock);
	*requests = g.total;
	*errors = g.total_errors;
	pthread_mutex_unlock(&g.lock);
}
