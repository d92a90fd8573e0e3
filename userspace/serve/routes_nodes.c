// SPDX-License-Identifier: GPL-2.0-or-later
/* What agents push to a detector, and what an operator asks of it. */
#include <errno.h>

#include "serve/routes.h"

int route_sample(struct exchange *x)
{
	cJSON *json;
	int err = exchange_may_act(x, NULL);

	if (err)
		return err;
	if (!x->ops->sample)
		return problem_set(&x->problem, 404,
				   "this daemon merges no nodes; push to `archaic-ebpf detector`");
	return x->ops->sample(x->ctx, &x->caller, x->body, &json, &x->problem) ?:
		exchange_json(x, 200, json);
}

int route_nodes(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->nodes)
		return exchange_missing(x);
	return x->ops->nodes(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

int route_judgement(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->judgement)
		return exchange_missing(x);
	return x->ops->judgement(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}
