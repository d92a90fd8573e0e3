// SPDX-License-Identifier: GPL-2.0-or-later
#include "run_daemon.h"
#include "run_roles.h"

static int describe(void *ctx, const char *container_id, struct target *ret)
{
	return targets_describe(ctx, container_id, ret);
}

static size_t find(void *ctx, const struct target_selector *s, struct target *ret, size_t max)
{
	return targets_find(ctx, s, ret, max);
}

int run_targets_open(struct daemon *d)
{
	/* Whoever does not watch has no containers of his own. */
	if (!role_watches(d))
		return 0;
	int err = targets_new(d->config->observe.docker_socket, &d->targets);

	/* The first look is ready before the first listener asks for it. */
	if (!err && d->config->observe.discover)
		targets_refresh(d->targets, 0);
	return err;
}

struct registry_targets run_targets_ops(struct daemon *d)
{
	if (!d->targets)
		return (struct registry_targets){ 0 };
	return (struct registry_targets){ .ctx = d->targets, .describe = describe, .find = find };
}

int run_target_asked(const char *const texts[static TARGET_UNIT + 1], struct target_selector *ret,
		     struct problem *p)
{
	for (enum target_kind kind = TARGET_CONTAINER; kind <= TARGET_UNIT; kind++)
		if (*texts[kind])
			return target_selector_parse(kind, texts[kind], ret, p) ?: 1;
	return 0;
}
