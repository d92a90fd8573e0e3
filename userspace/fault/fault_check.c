// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <sys/random.h>

#include "fault/fault_internal.h"

static const char *const default_keys[] = { "name", "price" };

static int over(struct problem *p, const char *name, double given, const char *limit)
{
	char value[32];

	snprintf(value, sizeof(value), "%.10g", given);
	return problem_parameter(p, 422, name, value, limit);
}

int fault_check_limits(const struct faults_config *c, const struct fault *a, struct problem *p)
{
	const struct fault_request *r = &a->req;
	char limit[128];

	if (!(c->allowed_types & 1u << r->type))
		return problem_parameter(
			p, 422, "type", fault_types()[r->type].name,
			"one of the types that this daemon's configuration allows (types in [faults])");
	if (r->duration_ns > c->max_duration_ns) {
		snprintf(limit, sizeof(limit), "at most %.10g: the daemon's limit max_duration",
			 (double)c->max_duration_ns / 1e9);
		return over(p, "duration_s", (double)r->duration_ns / 1e9, limit);
	}
	if (r->given & 1u << FAULT_P_INTENSITY && r->intensity > c->max_intensity) {
		snprintf(limit, sizeof(limit), "at most %u: the daemon's limit max_intensity",
			 c->max_intensity);
		return over(p, "intensity", r->intensity, limit);
	}
	if (r->type == FAULT_TIMEOUT && a->delay_ns > c->max_delay_ns) {
		bool native = r->given & 1u << FAULT_P_DELAY_MS;

		snprintf(limit, sizeof(limit), "at most %.10g: the daemon's limit max_delay",
			 (double)c->max_delay_ns / (native ? 1e6 : 2e9));
		return over(p, native ? "delay_ms" : "intensity",
			    native ? r->delay_ms : r->intensity, limit);
	}
	return 0;
}

void fault_resolve(const struct faults_config *c, struct fault *a)
{
	struct fault_request *r = &a->req;

	if (!r->duration_ns)
		r->duration_ns = c->max_duration_ns;
	if (!(r->given & 1u << FAULT_P_SEED) &&
	    getrandom(&r->seed, sizeof(r->seed), 0) == sizeof(r->seed))
		r->seed &= (1ULL << 53) - 1; /* so that JSON can say it */
	if (r->type == FAULT_TIMEOUT)
		a->delay_ns = r->given & 1u << FAULT_P_DELAY_MS ? (uint64_t)(r->delay_ms * 1e6) :
								  2 * NSEC_PER_SEC * r->intensity;
	a->status = r->given & 1u << FAULT_P_STATUS ? r->status : 500;
	a->percent = r->given & 1u << FAULT_P_PERCENT ? r->percent : fmin(95, 20.0 * r->intensity);
	if (r->type == FAULT_BAD_DATA && !r->nr_keys)
		for (size_t i = 0; i < ARRAY_SIZE(default_keys); i++)
			snprintf(r->keys[r->nr_keys++], FAULT_KEY_MAX, "%s", default_keys[i]);
}

int fault_check_service(const struct fault *a, const struct service *s, struct problem *p)
{
	const char *name = fault_types()[a->req.type].name;
	bool at_once = a->req.type == FAULT_CRASH && a->req.probability >= 1;

	if (a->req.type == FAULT_CPU || a->req.type == FAULT_CRASH) {
		if (!s->nr_pids)
			return problem_set(p, 409, "%s has no process now, and %s needs one",
					   s->name, name);
		if (s->pids[0] == getpid())
			return problem_set(p, 422,
					   "%s is this daemon itself: it does not hurt itself",
					   s->name);
	}
	if (a->req.type == FAULT_CPU || at_once)
		return 0;
	if (!s->nr_ports)
		return problem_set(p, 409, "%s listens on no port now, and %s needs one", s->name,
				   name);
	if (!s->cgroup[0])
		return problem_set(p, 409,
				   "the cgroup of %s is not known, and %s is attached there",
				   s->name, name);
	return 0;
}
