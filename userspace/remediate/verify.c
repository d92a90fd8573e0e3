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

static void take(struct verify *v, const struct verify_tick *t, bool good)
{
	v->good = v->good << 1 | good;
	v->spoke++;
	if (!good) {
		v->bad++;
		v->first_good_ns = 0;
	} else if (!v->first_good_ns) {
		v->first_good_ns = t->at_ns;
	}
}

enum verify_result verify_step(struct verify *v, const struct verify_limits *l,
			       const struct verify_tick *t)
{
	uint64_t since = t->at_ns > v->started_ns ? t->at_ns - v->started_ns : 0;
	uint32_t mask = l->of >= 32 ? UINT32_MAX : (1U << l->of) - 1;

	/* What answers now may have been asked before the action: judging it would praise or blame the wrong thing. */
	if (since < l->settle_ns)
		return VERIFY_PENDING;

	bool late = t->oldest_ns > l->late_ns;
	if (t->suspect || late)
		take(v, t, false);
	else if (t->answered)
		take(v, t, true);

	if ((unsigned)__builtin_popcount(v->good & mask) >= l->need)
		return VERIFY_VERIFIED;
	if (since < l->settle_ns + l->window_ns)
		return VERIFY_PENDING;
	return v->bad ? VERIFY_FAILED : VERIFY_UNVERIFIED;
}
