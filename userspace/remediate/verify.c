// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/verify.h"

#include "base/util.h"

void verify_limits_default(struct verify_limits *l)
{
	*l = (struct verify_limits){ .settle_ns = 5 * NSEC_PER_SEC,
				     .window_ns = 120 * NSEC_PER_SEC,
				     .late_ns = NSEC_PER_SEC,
				     .need = 6,
				     .of = 8 };
}

const char *verify_result_name(enum verify_result r)
{
	static const char *const names[] = { "pending", "verified", "failed", "unverified" };

	return r < ARRAY_SIZE(names) ? names[r] : "unknown";
}

void verify_start(struct verify *v, uint64_t now_ns)
{
	*v = (struct verify){ .started_ns = now_ns };
}

static void take(struct verify *v, bool good)
{
	v->began_ns[v->spoke % VERIFY_OF_MAX] = good ? v->run_ns : 0;
	v->good = v->good << 1 | good;
	v->spoke++;
	v->bad += !good;
}

/* Verified: with the oldest good tick of the proof, and the good ones just before it, it had recovered. */
static uint64_t recovered_ns(const struct verify *v, const struct verify_limits *l)
{
	uint64_t ret = v->run_ns;

	for (unsigned i = 1; i <= MIN(l->of, v->spoke); i++) {
		uint64_t began_ns = v->began_ns[(v->spoke - i) % VERIFY_OF_MAX];
		if (began_ns)
			ret = began_ns;
	}
	return ret;
}

enum verify_result verify_step(struct verify *v, const struct verify_limits *l,
			       const struct verify_tick *t)
{
	uint64_t since = t->at_ns > v->started_ns ? t->at_ns - v->started_ns : 0;
	uint32_t mask = l->of >= VERIFY_OF_MAX ? UINT32_MAX : (1U << l->of) - 1;
	bool bad = t->suspect || t->oldest_ns > l->late_ns, spoke = bad || t->answered;

	if (spoke)
		v->run_ns = bad ? 0 : v->run_ns ?: t->at_ns;
	/* What answers now may have been asked before the action: judging it would praise or blame the wrong thing. */
	if (since < l->settle_ns)
		return VERIFY_PENDING;

	if (spoke)
		take(v, !bad);

	if ((unsigned)__builtin_popcount(v->good & mask) >= l->need) {
		v->first_good_ns = recovered_ns(v, l);
		return VERIFY_VERIFIED;
	}
	if (since < l->settle_ns + l->window_ns)
		return VERIFY_PENDING;
	return v->bad ? VERIFY_FAILED : VERIFY_UNVERIFIED;
}
