// SPDX-License-Identifier: GPL-2.0-or-later
/* The log of every action: what was asked over the interface, by whom, and what it came to. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "incident/archive.h"
#include "incident/audit_list.h"
#include "run_live_internal.h"
#include "run_ops.h"

#define BODY_MAX 2048 /* of a body that is written down; a larger one is left out */

/* A flood of requests must not fill the disk. True: write it down; *left_out: how many were not, before it. */
static bool may_write(struct live *l, uint64_t now_ns, uint64_t *left_out)
{
	pthread_mutex_lock(&l->acts_lock);
	l->tokens = MIN(l->tokens + (double)(now_ns - l->tokens_ns) / 1e9 * LIVE_ACTS_PER_S,
			(double)LIVE_ACTS_BURST);
	l->tokens_ns = now_ns;
	bool yes = l->tokens >= 1;
	if (yes) {
		l->tokens--;
		*left_out = l->left_out;
		l->left_out = 0;
	} else {
		l->left_out++;
		l->left_out_ever++;
	}
	pthread_mutex_unlock(&l->acts_lock);
	return yes;
}

static char *entry_of(const struct control_act *a, uint64_t left_out)
{
	CLEANUP(json_freep) cJSON *j = cJSON_CreateObject();
	CLEANUP(json_textp) char *body = a->body ? cJSON_PrintUnformatted(a->body) : NULL;
	char path[512], query[256], says[640];

	request_printable(a->path, path, sizeof(path));
	request_printable(a->query, query, sizeof(query));
	snprintf(says, sizeof(says), "%.200s: %d%s%.380s", path, a->status, *a->answer ? ", " : "",
		 a->answer);
	cJSON_AddStringToObject(j, "path", path);
	if (*query)
		cJSON_AddStringToObject(j, "query", query);
	/* As text: it is a stranger's, however deep it is. */
	if (body && strlen(body) <= BODY_MAX)
		cJSON_AddStringToObject(j, "body", body);
	cJSON_AddNumberToObject(j, "status", a->status);
	incident_trim(says);
	cJSON_AddStringToObject(j, "says", says);
	if (left_out)
		cJSON_AddNumberToObject(j, "left_out_before", (double)left_out);
	return cJSON_PrintUnformatted(j);
}

static void remember(struct live *l, int64_t at_ms, const char *actor, const char *event,
		     char *json)
{
	pthread_mutex_lock(&l->acts_lock);
	struct live_act *a = &l->acts[l->next_act++ % LIVE_ACTS_KEPT];
	free(a->json);
	*a = (struct live_act){ .at_ms = at_ms, .json = json };
	snprintf(a->actor, sizeof(a->actor), "%s", actor);
	snprintf(a->event, sizeof(a->event), "%s", event);
	pthread_mutex_unlock(&l->acts_lock);
}

/* On the connection's own thread, before its answer leaves: what is answered is written down. */
void op_acted(void *ctx, const struct control_act *what)
{
	struct daemon *d = ctx;
	int64_t at_ms = clock_wall_ms();
	uint64_t left_out = 0;

	if (!may_write(d->live, clock_mono_ns(), &left_out))
		return;
	char *json = entry_of(what, left_out);
	if (!json)
		return;
	if (d->store) {
		if (audit_append(d->store, at_ms, ops_who(what->who), what->method, json))
			log_error("an action could not be written to the audit: %s",
				  store_error(d->store));
		free(json);
	} else {
		remember(d->live, at_ms, ops_who(what->who), what->method, json);
	}
}

static void list_remembered(struct live *l, size_t limit, cJSON *items)
{
	pthread_mutex_lock(&l->acts_lock);
	for (size_t i = l->next_act; i > 0 && l->next_act - i < MIN(limit, (size_t)LIVE_ACTS_KEPT);
	     i--) {
		const struct live_act *a = &l->acts[(i - 1) % LIVE_ACTS_KEPT];
		cJSON_AddItemToArray(items,
				     audit_entry_json(0, a->at_ms, a->actor, a->event, a->json));
	}
	pthread_mutex_unlock(&l->acts_lock);
}

int op_audit(void *ctx, size_t limit, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	cJSON *items = NULL;
	CLEANUP(json_freep) cJSON *j = ops_list(&items);

	if (!d->store) {
		list_remembered(d->live, limit, items);
	} else if (audit_list(d->store, limit, items)) {
		return problem_set(p, 503, "the audit cannot be read: %s", store_error(d->store));
	}
	return ops_give(TAKE_PTR(j), ret);
}
