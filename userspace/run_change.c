// SPDX-License-Identifier: GPL-2.0-or-later
/* Repairs that a Kubernetes API, a Docker Engine or systemd carries out: who may be asked, by the options. */
#include <string.h>

#include "base/clock.h"
#include "remediate/change.h"
#include "run_daemon.h"

#define ACCOUNT "account"

static int prepare(void *ctx, enum action_kind kind, const struct service_facts *target,
		   struct change *ret, char *says, size_t size)
{
	return change_prepare(((struct daemon *)ctx)->changer, kind, target, clock_wall_ms(), ret,
			      says, size);
}

static int change(void *ctx, const struct change *c, char *says, size_t size)
{
	return change_do(((struct daemon *)ctx)->changer, c, clock_wall_ms(), says, size);
}

static int undo(void *ctx, const struct change *c, char *says, size_t size)
{
	return change_undo(((struct daemon *)ctx)->changer, c, says, size);
}

int run_change_open(struct daemon *d)
{
	const char *kubernetes = d->config->remediate.kubernetes;
	const char *docker = d->config->remediate.docker;
	const struct changer_config c = {
		.kubernetes = *kubernetes != '\0',
		.kubeconfig = strcmp(kubernetes, ACCOUNT) ? kubernetes : "",
		.docker = docker,
		.bus = d->config->remediate.systemd ? "system" : "",
		.cancel = &d->worker.cancel,
	};
	unsigned reach = (*kubernetes ? FACTS_REACH_KUBE : 0) | (*docker ? FACTS_REACH_DOCKER : 0) |
		(d->config->remediate.systemd ? FACTS_REACH_SYSTEMD : 0);

	/* A detector asks nobody, and tells its operator. */
	facts_reach(d->facts, d->role == ROLE_DETECTOR ? FACTS_REACH_KUBE : reach);
	if (!reach)
		return 0;
	d->executor.prepare = prepare;
	d->executor.change = change;
	d->executor.undo = undo;
	log_info("repairs may go through:%s%s%s", *kubernetes ? " Kubernetes" : "",
		 *docker ? " a Docker Engine" : "", d->config->remediate.systemd ? " systemd" : "");
	return changer_new(&c, &d->changer);
}
