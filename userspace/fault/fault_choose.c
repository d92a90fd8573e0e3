// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which back end a fault gets: the first of its type's that works on this kernel,
 * on these devices, and for this service.
 */
#include <string.h>

#include "fault/fault_internal.h"
#include "kernel/qdisc.h"

#define FQ_FOREIGN_HORIZON_NS (10 * NSEC_PER_SEC) /* fq's default, where somebody else made it */

/* fq must hold on every device that a response may leave by; else stamps are just ignored there. */
static const char *fq_why(uint64_t delay_ns)
{
	static _Thread_local char why[160];
	struct tc_device dev[TC_DEVICES_MAX];
	int n = tc_devices(dev);

	if (n < 0)
		return "there are more network devices than we look after";
	for (int i = 0; i < n; i++) {
		struct qdisc_info info = { .kind = "unreadable" };

		if (qdisc_look(dev[i].ifindex, &info) < 0 || info.root == QDISC_ROOT_FOREIGN) {
			snprintf(why, sizeof(why), "%s has a root qdisc of somebody else (%s)",
				 dev[i].name, info.kind);
			return why;
		}
		if (info.root == QDISC_ROOT_FQ && delay_ns > FQ_FOREIGN_HORIZON_NS) {
			snprintf(why, sizeof(why),
				 "the fq on %s is somebody else's and drops what waits over 10 s",
				 dev[i].name);
			return why;
		}
	}
	return NULL;
}

static bool is_avoided(const struct faults_config *cfg, const char *name)
{
	size_t len = strlen(name);

	for (const char *s = cfg->avoid; *s; s += strcspn(s, ","), s += *s == ',')
		if (strcspn(s, ",") == len && !memcmp(s, name, len))
			return true;
	return false;
}

const char *backend_lack(const char *name, uint64_t delay_ns, const struct faults_config *cfg)
{
	const char *why = is_avoided(cfg, name) ? "the configuration says to avoid it" :
						  probe_why(probe_cached(), name);

	return why || strcmp(name, "fq") != 0 ? why : fq_why(delay_ns);
}

static uint64_t delay_of(const struct fault_request *r)
{
	if (r->given & 1u << FAULT_P_DELAY_MS)
		return (uint64_t)(r->delay_ms * 1e6);
	return 2 * NSEC_PER_SEC * r->intensity;
}

const char *backend_choose(const struct fault_request *r, const struct service *s,
			   const struct faults_config *cfg, struct problem *p)
{
	const struct fault_type_desc *t = &fault_types()[r->type];
	char all[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < FAULT_BACKENDS_MAX && t->backends[i].name; i++) {
		const char *name = t->backends[i].name;
		const char *why = backend_lack(name, delay_of(r), cfg);

		/* The caller is where it is to be made, or has said why it cannot be. */
		if (!why && fault_is_elsewhere(r, s))
			why = "the service lives in another network namespace";
		if (!why)
			return name;
		if (n < sizeof(all))
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s: %s", i ? "; " : "",
					      name, why);
	}
	problem_set(p, 503, "%s cannot be made here: %s", t->name, all);
	return NULL;
}
