// SPDX-License-Identifier: GPL-2.0-or-later
/* What a detector answers to a sample. */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "observe/wire.h"
#include "observe/wire_read.h"

void wire_answer_release(struct wire_answer *a)
{
	free(a->endpoints);
	a->endpoints = NULL;
	a->nr_endpoints = 0;
}

cJSON *wire_answer_json(const struct wire_answer *a)
{
	CLEANUP(json_freep) cJSON *j = cJSON_CreateObject();
	bool ok = cJSON_AddNumberToObject(j, "version", WIRE_VERSION) &&
		cJSON_AddNumberToObject(j, "peers_version", (double)a->version);
	cJSON *list = ok && a->has_list ? cJSON_AddArrayToObject(j, "peers") : NULL;

	for (size_t i = 0; list && i < a->nr_endpoints && ok; i++) {
		const struct wire_endpoint *e = &a->endpoints[i];
		cJSON *o = cJSON_CreateObject();

		ok = cJSON_AddItemToArray(list, o) && cJSON_AddStringToObject(o, "node", e->node) &&
			cJSON_AddStringToObject(o, "address", e->address);
		if (ok && *e->service)
			ok = cJSON_AddStringToObject(o, "service", e->service) &&
				cJSON_AddNumberToObject(o, "port", e->port);
	}
	return ok && (list || !a->has_list) ? TAKE_PTR(j) : NULL;
}

static int read_endpoint(const struct wire_reader *r, const cJSON *o, struct wire_endpoint *e)
{
	static const char *const known[] = { "node", "service", "address", "port", NULL };
	uint64_t port = 0;

	if (!cJSON_IsObject(o) || json_unknown(o, known))
		return wire_wrong(r, "a peer must be an object of node, service, address and port");
	int err = wire_name(r, o, "node", true, e->node);
	err = err ?: wire_name(r, o, "service", false, e->service);
	err = err ?: wire_take_address(r, wire_member(o, "address"), e->address);
	err = err ?: wire_number(r, o, "port", UINT16_MAX, &port);
	if (!err && port && !*e->service)
		err = wire_wrong(r, "a port is a service's");
	e->port = (uint16_t)port;
	return err;
}

int wire_answer_decode(const cJSON *j, struct wire_answer *ret, char *why, size_t size)
{
	static const char *const known[] = { "version", "peers_version", "peers", NULL };
	CLEANUP(wire_answer_release) struct wire_answer a = { 0 };
	const struct wire_reader r = { why, size };
	const cJSON *o;
	size_t nr;

	if (!cJSON_IsObject(j) || json_unknown(j, known))
		return wire_wrong(
			&r, "the answer must be an object of version, peers_version and peers");
	if (json_num(j, "version", 0) != WIRE_VERSION)
		return wire_wrong(&r, "the answer is of another version");
	if (wire_number(&r, j, "peers_version", WIRE_COUNT_MAX, &a.version) ||
	    wire_length(&r, j, "peers", WIRE_ENDPOINTS_MAX, &nr))
		return -EINVAL;
	a.has_list = wire_member(j, "peers");
	a.endpoints = calloc(nr ?: 1, sizeof(*a.endpoints));
	if (!a.endpoints)
		return -ENOMEM;
	cJSON_ArrayForEach(o, wire_member(j, "peers"))
		if (read_endpoint(&r, o, &a.endpoints[a.nr_endpoints++]))
			return -EINVAL;
	*ret = a;
	a = (struct wire_answer){ 0 };
	return 0;
}
