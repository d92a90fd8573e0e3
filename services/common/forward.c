// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/forward.h"

#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#define HEALTH_TIMEOUT_MS 150 /* of the 200 that a caller of /health may wait */
#define ARM_TIMEOUT_MS 15000  /* arming ends with the daemon's canary */
#define PROBLEM_TYPE "application/problem+json"

static struct {
	const char *service, *token;
	bool bad_data;
	struct dependency daemon, daemon_health;
} g;

static const char *const parameters[] = { "type", "intensity", "probability", "duration", NULL };

/* Of the daemon's faults, those that this address has; the last only where there is data to spoil. */
static const char *const types[] = { "timeout", "error", "cpu", "crash", "bad_data" };

int forward_init(const char *service, const char *socket, const char *token, bool bad_data)
{
	g.service = service;
	g.bad_data = bad_data;
	g.token = token;
	return dependency_init(&g.daemon, "archaic-ebpf", "http://localhost", socket ?: FORWARD_SOCKET, ARM_TIMEOUT_MS) ?:
		dependency_init(&g.daemon_health, "archaic-ebpf", "http://localhost",
				socket ?: FORWARD_SOCKET, HEALTH_TIMEOUT_MS);
}

void forward_release(void)
{
	dependency_release(&g.daemon);
	dependency_release(&g.daemon_health);
}

static cJSON *armed_faults(const struct answer *a)
{
	cJSON *list = cJSON_CreateArray();
	cJSON *items = cJSON_GetObjectItemCaseSensitive(a->json, "items");

	for (cJSON *f = cJSON_IsArray(items) ? items->child : NULL, *next; f; f = next) {
		const char *state = json_str(f, "state");
		next = f->next;
		if (state && !strcmp(state, "armed"))
			cJSON_AddItemToArray(list, cJSON_DetachItemViaPointer(items, f));
	}
	return list;
}

int forward_health(struct request *rq)
{
	struct answer a;
	const char *daemon = "running";

	if (request_no_query(rq))
		return rq->status;

	request_call(rq, &g.daemon_health, "GET", "/v1/faults?service=self", NULL, NULL, &a);
	if (a.result == CALL_LATE)
		daemon = "not answering";
	else if (a.result == CALL_UNREACHABLE)
		daemon = "not running";
	else if (a.result == CALL_OK && a.status == 404)
		daemon = "running, but it does not watch this service";
	else if (a.result != CALL_OK || a.status != 200)
		daemon = "running, but its answer cannot be read";

	cJSON *j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "service", g.service);
	cJSON_AddStringToObject(j, "status", "healthy");
	cJSON_AddItemToObject(j, "faults", armed_faults(&a));
	cJSON_AddStringToObject(j, "daemon", daemon);
	answer_release(&a);
	return reply_json(rq, 200, j);
}

/* A browser sends Origin with every POST; a page of another machine has no business here. */
static bool foreign_origin(const struct request *rq)
{
	const char *origin = request_header(rq, "Origin"), *host = request_header(rq, "Host");
	const char *rest = origin ? strstr(origin, "://") : NULL;

	if (!origin)
		return false;
	if (rest && host && !strcasecmp(rest + 3, host))
		return false;
	if (!rest)
		return true;

	char name[64];
	snprintf(name, sizeof(name), "%s", rest + 3);
	if (name[0] != '[')
		name[strcspn(name, ":")] = '\0';
	return strcasecmp(name, "localhost") != 0 && strcmp(name, "127.0.0.1") != 0 &&
		strncmp(name, "[::1]", 5) != 0;
}

static int refuse_stranger(struct request *rq)
{
	const char *given = request_bearer(rq);

	if (foreign_origin(rq))
		return reply_error(rq, 403, "a page of another origin may not do this");
	if (g.token &&
	    (!given || strlen(given) != strlen(g.token) ||
	     sodium_memcmp(given, g.token, strlen(g.token)) != 0))
		return reply_error(
			rq, 401,
			"this service listens off loopback: the token of ARCHAIC_TOKEN is needed "
			"as Authorization: Bearer");
	return 0;
}

/* One parameter as the text it was given as: from the query or the body, never both. 0, or the status replied. */
static int parameter(struct request *rq, const cJSON *body, const char *name, char *text,
		     size_t size, bool *ret_given)
{
	const char *query = uri_query(&rq->uri, name);
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(body, name);

	*ret_given = query || member;
	if (query && member)
		return reply_parameter(rq, name, "given twice",
				       "in the query or in the body, not in both");
	if (query) {
		snprintf(text, size, "%s", query);
	} else if (cJSON_IsString(member) && !strcmp(name, "type")) {
		snprintf(text, size, "%s", member->valuestring);
	} else if (cJSON_IsNumber(member) && strcmp(name, "type") != 0) {
		snprintf(text, size, "%.17g", member->valuedouble);
	} else if (member) {
		char *given = cJSON_PrintUnformatted(member);
		int status = reply_parameter(rq, name, given ?: "",
					     strcmp(name, "type") ? "a number" : "text");
		cJSON_free(given);
		return status;
	}
	return 0;
}

static int add_intensity(struct request *rq, const cJSON *body, cJSON *fault)
{
	char text[96] = "1";
	double v;
	bool given;

	int status = parameter(rq, body, "intensity", text, sizeof(text), &given);
	if (status)
		return status;
	if (text_to_double(text, 1, 100, &v) || v != floor(v))
		return reply_parameter(rq, "intensity", text, "a whole number from 1 to 100");
	cJSON *params = cJSON_AddObjectToObject(fault, "params");
	cJSON_AddNumberToObject(params, "intensity", v);
	return 0;
}

static int add_probability(struct request *rq, const cJSON *body, cJSON *fault)
{
	char text[96] = "1";
	double v;
	bool given;

	int status = parameter(rq, body, "probability", text, sizeof(text), &given);
	if (status)
		return status;
	if (text_to_double(text, 0, 1, &v))
		return reply_parameter(rq, "probability", text, "a number from 0 to 1");
	cJSON_AddNumberToObject(fault, "probability", v);
	return 0;
}

static int add_duration(struct request *rq, const cJSON *body, cJSON *fault)
{
	char text[96];
	double v;
	bool given;

	int status = parameter(rq, body, "duration", text, sizeof(text), &given);
	if (status || !given)
		return status;
	/* How long is too long is the daemon's limit (422); this only has to be a number. */
	if (text_to_double(text, 0, 1e12, &v) || v <= 0)
		return reply_parameter(rq, "duration", text, "a number of seconds above 0");
	cJSON_AddNumberToObject(fault, "duration_s", v);
	return 0;
}

static bool known_type(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types) - !g.bad_data; i++)
		if (!strcmp(types[i], type))
			return true;
	return false;
}

static int add_type(struct request *rq, const cJSON *body, cJSON *fault)
{
	char text[96] = "";
	bool given;

	int status = parameter(rq, body, "type", text, sizeof(text), &given);
	if (status)
		return status;
	if (!known_type(text))
		return reply_parameter(rq, "type", given ? text : "missing",
				       g.bad_data ? "timeout, error, cpu, crash or bad_data" :
						    "timeout, error, cpu or crash");
	cJSON_AddStringToObject(fault, "service", "self");
	cJSON_AddStringToObject(fault, "slot", "inject-failure");
	cJSON_AddStringToObject(fault, "type", text);
	return 0;
}

int forward_fault(struct request *rq, cJSON **ret)
{
	CLEANUP(json_freep) cJSON *body = NULL;
	CLEANUP(json_freep) cJSON *fault = cJSON_CreateObject();

	for (size_t i = 0; i < rq->uri.nr_query; i++) {
		size_t k = 0;
		while (parameters[k] && strcmp(parameters[k], rq->uri.query[i].name) != 0)
			k++;
		if (!parameters[k])
			return reply_unknown(rq, rq->uri.query[i].name, rq->uri.query[i].value,
					     "type, intensity, probability, duration");
	}
	int status = request_json(rq, parameters, true, &body) ?:
		add_type(rq, body, fault)                      ?:
		add_intensity(rq, body, fault)                 ?:
		add_probability(rq, body, fault)               ?:
								 add_duration(rq, body, fault);
	if (status)
		return status;
	*ret = TAKE_PTR(fault);
	return 0;
}

static int no_daemon(struct request *rq, const struct answer *a)
{
	return reply_error(
		rq, 503,
		"no daemon answers on %s (%s); start one as root with: archaic-ebpf run, or: make up",
		g.daemon.unix_path, a->why);
}

/* The daemon refuses a parameter under its own name of it: say the name that it was given under. */
static void rename_parameter(char *text)
{
	static const char theirs[] = "duration_s";

	for (char *at = text; at && (at = strstr(at, theirs));)
		memmove(at + strlen(theirs) - 2, at + strlen(theirs),
			strlen(at + strlen(theirs)) + 1);
}

/* The daemon's answer as it stands, problem documents included. */
static int relay(struct request *rq, const struct answer *a, int status)
{
	if (a->result == CALL_UNREACHABLE)
		return no_daemon(rq, a);
	if (a->result != CALL_OK || !a->status)
		return reply_dependency(rq, &g.daemon, a, NULL);
	if (a->status >= 400)
		rename_parameter(a->body);
	return reply_text(rq, status, a->status >= 400 ? PROBLEM_TYPE : "application/json",
			  a->body ?: "{}");
}

int forward_inject(struct request *rq)
{
	CLEANUP(json_freep) cJSON *fault = NULL;
	CLEANUP(json_textp) char *text = NULL;
	CLEANUP(answer_release) struct answer a = { 0 };

	int status = refuse_stranger(rq) ?: forward_fault(rq, &fault);
	if (status)
		return status;
	text = cJSON_PrintUnformatted(fault);
	if (!text)
		return reply_error(rq, 500, "no memory");
	request_call(rq, &g.daemon, "POST", "/v1/faults", text, NULL, &a);
	return relay(rq, &a, a.status == 201 ? 200 : a.status);
}

int forward_reset(struct request *rq)
{
	CLEANUP(json_freep) cJSON *body = NULL;
	CLEANUP(answer_release) struct answer a = { 0 };

	int status = refuse_stranger(rq) ?:
		request_no_query(rq)     ?:
		request_json(rq, (const char *const[]){ NULL }, true, &body);
	if (status)
		return status;
	request_call(rq, &g.daemon, "DELETE", "/v1/faults?service=self", NULL, NULL, &a);
	if (a.result == CALL_OK && (a.status == 404 || a.status == 204)) {
		cJSON *j = cJSON_CreateObject();
		cJSON_AddArrayToObject(j, "items");
		return reply_json(rq, 200, j);
	}
	return relay(rq, &a, a.status);
}
