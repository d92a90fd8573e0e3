// SPDX-License-Identifier: GPL-2.0-or-later
#include "observe/sample.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

void tick_release(struct tick *t)
{
	free(t->services);
	free(t->edges);
	t->services = NULL;
	t->edges = NULL;
	t->nr_services = t->nr_edges = 0;
}

static void *copy_array(const void *from, size_t nr, size_t size)
{
	void *to = calloc(nr ?: 1, size);

	if (to && nr)
		memcpy(to, from, nr * size);
	return to;
}

int tick_copy(const struct tick *from, struct tick *ret)
{
	CLEANUP(freep) struct service_sample *services =
		copy_array(from->services, from->nr_services, sizeof(*services));
	CLEANUP(freep) struct edge_sample *edges =
		copy_array(from->edges, from->nr_edges, sizeof(*edges));

	if (!services || !edges)
		return -ENOMEM;
	*ret = *from;
	ret->services = TAKE_PTR(services);
	ret->edges = TAKE_PTR(edges);
	return 0;
}

const struct service_sample *tick_service(const struct tick *t, uint32_t id)
{
	for (size_t i = 0; i < t->nr_services; i++)
		if (t->services[i].id == id)
			return &t->services[i];
	return NULL;
}

uint64_t hist_upper_ns(size_t i)
{
	static const uint64_t steps[] = ABI_HIST_STEPS;
	uint64_t base = ABI_HIST_FIRST_NS;

	if (i >= ABI_HIST_BUCKETS - 1)
		return UINT64_MAX;
	for (size_t decade = i / ABI_HIST_PER_DECADE; decade; decade--)
		base *= 10;
	return base * steps[i % ABI_HIST_PER_DECADE] / 100;
}

uint64_t hist_count(const struct hist *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++)
		n += h->n[i];
	return n;
}

void hist_add(struct hist *to, const struct hist *from)
{
	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++)
		to->n[i] += from->n[i];
}

double hist_quantile_ns(const struct hist *h, double q)
{
	double rank = q * (double)hist_count(h), seen = 0;

	if (rank <= 0)
		rank = 1e-9; /* the first one that is there */
	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++) {
		double n = (double)h->n[i];
		double lower = i ? (double)hist_upper_ns(i - 1) : 0;

		if (n > 0 && seen + n >= rank) {
			if (i == ABI_HIST_BUCKETS - 1)
				return lower;
			return lower + ((double)hist_upper_ns(i) - lower) * (rank - seen) / n;
		}
		seen += n;
	}
	return 0;
}
