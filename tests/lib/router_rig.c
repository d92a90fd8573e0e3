// SPDX-License-Identifier: GPL-2.0-or-later
#include "router_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/json.h"
#include "base/util.h"

struct router *router;
struct reply reply;

int router_group_setup(void **state)
{
	(void)state;
	return sodium_init() < 0 ? -1 : router_new(&fake_control_ops, &fake, NULL, &router);
}

int router_group_teardown(void **state)
{
	(void)state;
	router_free(router);
	return 0;
}

int router_setup(void **state)
{
	(void)state;
	fake_control_init(&fake);
	return 0;
}

int router_teardown(void **state)
{
	(void)state;
	reply_release(&reply);
	return 0;
}

struct inbound root_asks(const char *method, const char *target, const char *body)
{
	return (struct inbound){
		.part = SERVER_CONTROL,
		.method = method,
		.target = target,
		.content_type = body ? "application/json" : NULL,
		.body = body ?: "",
		.body_len = body ? strlen(body) : 0,
		.caller = { .transport = TRANSPORT_UNIX, .is_root = true, .pid = 4711 },
	};
}

int ask_as(const struct inbound *in)
{
	reply_release(&reply);
	router_handle(router, in, &reply);
	return reply.status;
}

int ask(const char *method, const char *target, const char *body)
{
	struct inbound in = root_asks(method, target, body);

	return ask_as(&in);
}

int user_asks(const char *method, const char *target, const char *body, const char *self)
{
	struct inbound in = root_asks(method, target, body);

	in.caller.is_root = false;
	in.caller.uid = 1000;
	snprintf(fake.self, sizeof(fake.self), "%s", self);
	return ask_as(&in);
}

void assert_problem(const char *what, const char *parameter)
{
	CLEANUP(json_freep) cJSON *j = cJSON_ParseWithLength(buf_str(&reply.body), reply.body.len);

	if (!reply.content_type || strcmp(reply.content_type, "application/problem+json") != 0)
		fail_msg("%s: content type %s", what, reply.content_type ?: "(none)");
	if (!j)
		fail_msg("%s: not JSON: %s", what, buf_str(&reply.body));
	assert_string_equal(json_str(j, "type"), "about:blank");
	assert_int_equal((int)json_num(j, "status", 0), reply.status);
	if (!json_str(j, "title") || !*json_str(j, "title") || !json_str(j, "detail") ||
	    !*json_str(j, "detail"))
		fail_msg("%s: no title or detail: %s", what, buf_str(&reply.body));
	if (parameter && strcmp(json_str(j, "parameter") ?: "", parameter) != 0)
		fail_msg("%s: parameter is not %s: %s", what, parameter, buf_str(&reply.body));
}
