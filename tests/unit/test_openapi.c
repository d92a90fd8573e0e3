// SPDX-License-Identifier: GPL-2.0-or-later
/* The table and its description, compared both ways: what is not in the file does not exist, and nothing else does. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "serve/router.h"

static cJSON *doc;

static int setup(void **state)
{
	(void)state;
	/* JSON_DEPTH_MAX is for strangers' bodies; ours is deeper. */
	doc = cJSON_ParseWithLength(openapi_json, (size_t)(openapi_json_end - openapi_json));
	if (!doc)
		fprintf(stderr, "openapi.json is not JSON\n");
	return doc ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	cJSON_Delete(doc);
	return 0;
}

static cJSON *get(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

/* "#/components/x/Y" -> that object; what is no reference is itself. */
static const cJSON *resolve(const cJSON *o)
{
	const char *ref = json_str(o, "$ref");
	char part[64];

	if (!ref)
		return o;
	const cJSON *at = doc;
	for (const char *p = ref + 2; at && *p; p += strcspn(p, "/"), p += *p == '/') {
		snprintf(part, sizeof(part), "%.*s", (int)strcspn(p, "/"), p);
		at = get(at, part);
	}
	if (!at)
		fail_msg("%s leads nowhere", ref);
	return at;
}

static cJSON *operation(const struct route *r)
{
	char method[8];
	size_t i = 0;

	for (; r->method[i]; i++)
		method[i] = (char)tolower((unsigned char)r->method[i]);
	method[i] = '\0';
	return get(get(get(doc, "paths"), r->path), method);
}

static bool listed(const char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

static bool has_parameter(const cJSON *op, const char *in, const char *name)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, get(op, "parameters")) {
		const cJSON *q = resolve(p);
		if (!strcmp(json_str(q, "in"), in) && !strcmp(json_str(q, "name"), name))
			return true;
	}
	return false;
}

static void test_openapi_describes_every_route(void **state)
{
	size_t nr;
	const struct route *routes = router_routes(&nr);

	(void)state;
	assert_true(nr > 30);
	for (size_t i = 0; i < nr; i++) {
		const struct route *r = &routes[i];
		const cJSON *op = operation(r);
		if (!op)
			fail_msg("%s %s is not in openapi.json", r->method, r->path);
		for (const char *const *q = r->query; q && *q; q++)
			if (!has_parameter(op, "query", *q))
				fail_msg("%s %s: query parameter %s is not in openapi.json",
					 r->method, r->path, *q);
		for (const char *p = r->path; (p = strchr(p, '{')); p++) {
			char name[32];
			snprintf(name, sizeof(name), "%.*s", (int)strcspn(p + 1, "}"), p + 1);
			if (!has_parameter(op, "path", name))
				fail_msg("%s %s: path parameter %s is not in openapi.json",
					 r->method, r->path, name);
		}
		if (!strcmp(r->method, "POST") && r->body != BODY_FORM &&
		    !has_parameter(op, "header", "Idempotency-Key"))
			fail_msg("%s %s: Idempotency-Key is not in openapi.json", r->method,
				 r->path);
		if (!get(get(op, "responses"), "default"))
			fail_msg("%s %s: no default response", r->method, r->path);
	}
}

static const struct route *route_of(const char *path, const char *method)
{
	size_t nr;
	const struct route *routes = router_routes(&nr);

	for (size_t i = 0; i < nr; i++)
		if (!strcmp(routes[i].path, path) && !strcasecmp(routes[i].method, method))
			return &routes[i];
	return NULL;
}

static void test_openapi_describes_nothing_else(void **state)
{
	const cJSON *path, *op, *p;
	size_t operations = 0, nr;

	(void)state;
	cJSON_ArrayForEach(path, get(doc, "paths"))
		cJSON_ArrayForEach(op, path) {
			const struct route *r = route_of(path->string, op->string);
			if (!r)
				fail_msg("%s %s has no route", op->string, path->string);
			operations++;
			cJSON_ArrayForEach(p, get(op, "parameters")) {
				const cJSON *q = resolve(p);
				if (!strcmp(json_str(q, "in"), "query") &&
				    !listed(r->query, json_str(q, "name")))
					fail_msg("%s %s: no such query parameter %s", op->string,
						 path->string, json_str(q, "name"));
			}
		}
	router_routes(&nr);
	assert_int_equal(operations, nr);
}

static const char *const part_names[] = { "socket", "8005", "8006", "7000", "8080" };

static void test_openapi_says_where_each_is_answered(void **state)
{
	size_t nr;
	const struct route *routes = router_routes(&nr);

	(void)state;
	for (size_t i = 0; i < nr; i++) {
		const cJSON *ports = get(operation(&routes[i]), "x-archaic-ports"), *p;
		unsigned parts = 0;
		cJSON_ArrayForEach(p, ports)
			for (unsigned k = 0; k < ARRAY_SIZE(part_names); k++)
				if (!strcmp(p->valuestring, part_names[k]))
					parts |= 1U << k;
		if (parts != routes[i].parts)
			fail_msg("%s %s: x-archaic-ports is wrong", routes[i].method,
				 routes[i].path);
	}
}

static void test_openapi_lists_every_field_of_bodies(void **state)
{
	size_t nr;
	const struct route *routes = router_routes(&nr);

	(void)state;
	for (size_t i = 0; i < nr; i++) {
		const struct route *r = &routes[i];
		const cJSON *body = get(operation(r), "requestBody"), *p;
		if (!!body != (r->body != BODY_NONE))
			fail_msg("%s %s: whether there is a body", r->method, r->path);
		if (!r->fields)
			continue;
		const cJSON *schema =
			resolve(get(get(get(body, "content"), "application/json"), "schema"));
		size_t listed_fields = 0;
		cJSON_ArrayForEach(p, get(schema, "properties"))
			if (!listed(r->fields, p->string))
				fail_msg("%s %s: no such field %s", r->method, r->path, p->string);
			else
				listed_fields++;
		for (size_t k = 0; r->fields[k]; k++)
			if (!get(get(schema, "properties"), r->fields[k]))
				fail_msg("%s %s: field %s is not in openapi.json", r->method,
					 r->path, r->fields[k]);
		assert_true(listed_fields > 0);
		assert_true(cJSON_IsFalse(get(schema, "additionalProperties")));
		assert_int_equal(cJSON_IsTrue(get(body, "required")), r->body == BODY_JSON);
	}
}

static void check_references(const cJSON *o)
{
	const cJSON *c;

	if (cJSON_IsObject(o))
		resolve(o);
	cJSON_ArrayForEach(c, o)
		check_references(c);
}

static void test_openapi_references_lead_somewhere_and_ids_differ(void **state)
{
	const cJSON *path, *op;
	const char *ids[128];
	size_t nr = 0;

	(void)state;
	check_references(doc);
	cJSON_ArrayForEach(path, get(doc, "paths"))
		cJSON_ArrayForEach(op, path) {
			const char *id = json_str(op, "operationId");
			assert_non_null(id);
			for (size_t i = 0; i < nr; i++)
				assert_string_not_equal(ids[i], id);
			assert_true(nr < ARRAY_SIZE(ids));
			ids[nr++] = id;
		}
}

/* The build must notice when only the description changed. */
static void test_openapi_is_embedded_as_it_stands(void **state)
{
	CLEANUP(fclosep) FILE *f = fopen("userspace/serve/openapi.json", "re");
	size_t len = (size_t)(openapi_json_end - openapi_json);

	(void)state;
	if (!f) {
		printf("SKIP test_openapi_is_embedded_as_it_stands: not run in the tree's root\n");
		skip();
	}
	CLEANUP(freep) char *text = malloc(len + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, len + 1, f), len);
	assert_memory_equal(text, openapi_json, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openapi_describes_every_route),
		cmocka_unit_test(test_openapi_describes_nothing_else),
		cmocka_unit_test(test_openapi_says_where_each_is_answered),
		cmocka_unit_test(test_openapi_lists_every_field_of_bodies),
		cmocka_unit_test(test_openapi_references_lead_somewhere_and_ids_differ),
		cmocka_unit_test(test_openapi_is_embedded_as_it_stands),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
