// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/act.h"

#include <string.h>

#include "base/json.h"

#define ANSWER_MAX ((size_t)64 << 10) /* of which a sentence is looked for */

static bool is_act(const struct exchange *x)
{
	const char *dry_run = exchange_query(x, "dry_run");

	return x->route && strcmp(x->route->method, "GET") != 0 && x->route->body != BODY_FORM &&
		!strstr(x->route->path, "/analyze") && !strstr(x->route->path, "/samples") &&
		!(dry_run && !strcmp(dry_run, "true"));
}

/* What the answer says of itself: a fault's sentence, or how many were ended. */
static void say_answer(const struct reply *r, char *to, size_t size)
{
	CLEANUP(json_freep) cJSON *answer = NULL;
	const char *why;

	*to = '\0';
	if (!r->body.len || r->body.len > ANSWER_MAX ||
	    json_parse(r->body.data, r->body.len, &answer, &why))
		return;
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(answer, "items");
	const char *says = json_str(answer, "detail") ?: json_str(answer, "says");
	if (says)
		snprintf(to, size, "%s", says);
	else if (items)
		snprintf(to, size, "%d ended", cJSON_GetArraySize(items));
	else
		snprintf(to, size, "done");
}

void act_tell(struct exchange *x)
{
	char answer[400], path[ROUTER_TARGET_MAX + 1];
	const char *rest = x->route ? x->route->path : "";
	size_t len = 0, arg = 0;

	if (!x->ops->acted || !is_act(x))
		return;
	/* The matched path with its arguments as they were understood. */
	while (*rest && len < sizeof(path) - 1) {
		size_t n = strcspn(rest, "{");
		len += (size_t)snprintf(path + len, sizeof(path) - len, "%.*s%s", (int)n, rest,
					rest[n] && x->args[arg] ? x->args[arg++] : "");
		len = MIN(len, sizeof(path) - 1);
		rest += n;
		rest += strcspn(rest, "}");
		rest += *rest == '}';
	}
	say_answer(x->reply, answer, sizeof(answer));
	x->ops->acted(x->ctx,
		      &(struct control_act){
			      .who = &x->caller,
			      .method = x->route->method,
			      .path = path,
			      .query = x->query_text,
			      .body = x->body,
			      .status = x->reply->status,
			      .answer = answer,
		      });
}
