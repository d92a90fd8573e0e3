// SPDX-License-Identifier: GPL-2.0-or-later
#include "kube/kube.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/http_client.h"
#include "base/json.h"

#define JSON_TYPE "application/json"
#define MERGE_TYPE "application/merge-patch+json"
#define PATCH_TYPE "application/json-patch+json"
#define SAID_MAX 300

struct kube {
	struct http_client *http;
	struct kube_config config;
	const atomic_bool *cancel;
	uint32_t timeout_ms;
	int status;
	char why[480];
};

int kube_new(struct kube_config *config, const atomic_bool *cancel, struct kube **ret)
{
	CLEANUP(kube_freep) struct kube *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	int err = http_client_new(&k->http);
	if (err)
		return err;
	k->config = *config;
	*config = (struct kube_config){ 0 };
	k->cancel = cancel;
	k->timeout_ms = KUBE_TIMEOUT_MS;
	*ret = TAKE_PTR(k);
	return 0;
}

void kube_free(struct kube *k)
{
	if (!k)
		return;
	http_client_free(k->http);
	kube_config_release(&k->config);
	free(k);
}

const char *kube_namespace(const struct kube *k)
{
	return k->config.namespace_;
}

void kube_timeout(struct kube *k, uint32_t ms)
{
	k->timeout_ms = ms;
}

const char *kube_why(const struct kube *k)
{
	return k->why;
}

int kube_status(const struct kube *k)
{
	return k->status;
}

bool kube_cancelled(const struct kube *k)
{
	return k->cancel && atomic_load(k->cancel);
}

static int fail(struct kube *k, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail(struct kube *k, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(k->why, sizeof(k->why), fmt, ap);
	va_end(ap);
	return err;
}

/* ---- one call */

static void wiped(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
}

/* "Authorization: Bearer …", owned; NULL where there is no token. */
static int authorization(struct kube *k, char **ret)
{
	CLEANUP(wiped) char *read = NULL;
	const char *token = k->config.token;

	*ret = NULL;
	if (k->config.token_file[0]) {
		int err = kube_read_file(k->config.token_file, KUBE_TOKEN_MAX, &read);
		if (err)
			return fail(k, err, "the token %s: %s", k->config.token_file,
				    strerror(-err));
		read[strcspn(read, " \r\n\t")] = '\0';
		token = read;
	}
	if (!token || !*token)
		return 0;
	return asprintf(ret, "Authorization: Bearer %s", token) < 0 ?
		fail(k, -ENOMEM, "out of memory") :
		0;
}

/* The only place that knows what the API's statuses mean. */
static int errno_of_status(int status)
{
	switch (status) {
	case 400:
	case 422:
		return -EINVAL;
	case 401:
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 409:
		return -EBUSY;
	case 410:
		return -ESTALE;
	case 429:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

/* An API's Status says what was wrong, in its "message"; a stranger's text: printable ASCII of it only. */
static int refused(struct kube *k, const char *method, const struct http_client_response *r)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why = NULL, *said = NULL;
	char text[SAID_MAX + 1];
	size_t n = 0;

	if (!json_parse_deep(buf_str(&r->body), r->body.len, KUBE_DEPTH_MAX, &j, &why))
		said = json_str(j, "message");
	for (; said && *said && n < SAID_MAX; said++)
		text[n++] = *said >= ' ' && *said < 0x7f ? *said : '?';
	text[n] = '\0';
	return fail(k, errno_of_status(r->status), "the API answers %d to %s%s%s", r->status,
		    method, n ? ": " : "", text);
}

struct call {
	const char *method;
	const char *path; /* with its query */
	const char *type; /* of the body */
	const char *body; /* NULL: none */
	uint32_t timeout_ms;
	int (*on_data)(void *ctx, const char *data, size_t len);
	void *ctx;
};

static int do_call(struct kube *k, const struct call *c, struct http_client_response *r)
{
	CLEANUP(freep) char *url = NULL;
	CLEANUP(wiped) char *token = NULL;
	char type[64];
	const struct http_client_tls tls = { k->config.ca, k->config.cert, k->config.key };

	*r = (struct http_client_response){ 0 };
	k->status = 0;
	k->why[0] = '\0';
	int err = authorization(k, &token);
	if (err)
		return err;
	if (asprintf(&url, "%s%s", k->config.server, c->path) < 0)
		return fail(k, -ENOMEM, "out of memory");
	snprintf(type, sizeof(type), "Content-Type: %s", c->type ?: JSON_TYPE);
	const char *headers[] = { "Accept: application/json", token ?: type, token ? type : NULL,
				  NULL };
	const struct http_client_request req = {
		.url = url,
		.method = c->method,
		.headers = headers,
		.body = c->body,
		.body_len = c->body ? strlen(c->body) : 0,
		.timeout_ms = c->timeout_ms ?: k->timeout_ms,
		.body_max = KUBE_BODY_MAX,
		.tls = &tls,
		.on_data = c->on_data,
		.ctx = c->ctx,
		.cancel = k->cancel,
	};
	err = http_client_do(k->http, &req, r);
	if (err)
		return fail(k, err, "the API at %s: %s", k->config.server, r->why);
	k->status = r->status;
	return r->status >= 200 && r->status < 300 ? 0 : refused(k, c->method, r);
}

/* A call that answers an object. @ret may be NULL: then whatever it says is not looked at. */
static int call_json(struct kube *k, const struct call *c, cJSON **ret)
{
	CLEANUP(http_client_response_release) struct http_client_response r;
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why = NULL;
	int err = do_call(k, c, &r);

	if (err || !ret)
		return err;
	err = json_parse_deep(buf_str(&r.body), r.body.len, KUBE_DEPTH_MAX, &j, &why);
	if (err)
		return fail(k, err == -EINVAL ? -EPROTO : err, "the API's answer: %s", why);
	if (!cJSON_IsObject(j))
		return fail(k, -EPROTO, "the API's answer is no object");
	*ret = TAKE_PTR(j);
	return 0;
}

static int path_for(struct kube *k, const struct kube_ref *ref, char *path, size_t size)
{
	int err = kube_path(ref, path, size);

	k->status = 0;
	return err ? fail(k, err, "that is no name that Kubernetes could have given") : 0;
}

/* ---- reading */

int kube_get(struct kube *k, const struct kube_ref *ref, cJSON **ret)
{
	char path[1024];
	int err = path_for(k, ref, path, sizeof(path));

	return err ? err : call_json(k, &(struct call){ .method = "GET", .path = path }, ret);
}

static int escape(struct kube *k, const char *text, char **ret)
{
	char *e = curl_easy_escape(NULL, text, 0);

	if (!e)
		return fail(k, -ENOMEM, "out of memory");
	*ret = e;
	return 0;
}

static void curl_freep(char **s)
{
	curl_free(*s);
}

struct pages {
	const char *path, *selector; /* escaped */
	int (*each)(void *ctx, const cJSON *item);
	void *ctx;
	char *version;
	size_t nr;
};

/* One page. @next: where it goes on; "" after the last one. */
static int list_page(struct kube *k, struct pages *p, const char *from, char **next)
{
	CLEANUP(freep) char *url = NULL;
	CLEANUP(json_freep) cJSON *j = NULL;
	const cJSON *item;

	if (asprintf(&url, "%s?limit=%d%s%s%s%s", p->path, KUBE_PAGE,
		     p->selector ? "&labelSelector=" : "", p->selector ?: "",
		     *from ? "&continue=" : "", from) < 0)
		return fail(k, -ENOMEM, "out of memory");
	int err = call_json(k, &(struct call){ .method = "GET", .path = url }, &j);
	if (err)
		return err;
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(j, "items");
	if (!cJSON_IsArray(items) && !cJSON_IsNull(items))
		return fail(k, -EPROTO, "the API's answer is no list");
	cJSON_ArrayForEach(item, items) {
		if (++p->nr > KUBE_ITEMS_MAX)
			return fail(k, -EMSGSIZE, "the list has more than %d items",
				    KUBE_ITEMS_MAX);
		err = p->each(p->ctx, item);
		if (err)
			return err;
	}
	if (p->version)
		snprintf(p->version, KUBE_VERSION_MAX, "%s", kube_meta(j, "resourceVersion"));
	/* An opaque text, of a kilobyte at times. */
	const char *more = cJSON_GetStringValue(kube_at(j, "metadata", "continue", NULL));
	return escape(k, more ?: "", next);
}

int kube_list(struct kube *k, const struct kube_ref *ref, const char *selector,
	      int (*each)(void *ctx, const cJSON *item), void *ctx, char *version)
{
	CLEANUP(curl_freep) char *chosen = NULL;
	CLEANUP(curl_freep) char *from = NULL;
	char path[1024];
	struct pages p = { path, NULL, each, ctx, version, 0 };
	int err = path_for(k, ref, path, sizeof(path));

	if (!err && selector)
		err = escape(k, selector, &chosen);
	p.selector = chosen;
	/* Ends: each page has an item, or is the last one; items are counted. */
	while (!err) {
		CLEANUP(curl_freep) char *next = NULL;
		size_t before = p.nr;
		err = list_page(k, &p, from ?: "", &next);
		if (err || !*next)
			break;
		if (p.nr == before)
			return fail(k, -EPROTO, "the API's list goes on without an item");
		curl_free(from);
		from = TAKE_PTR(next);
	}
	return err;
}

int kube_stream(struct kube *k, const char *path, uint32_t timeout_ms,
		int (*on_data)(void *ctx, const char *data, size_t len), void *ctx)
{
	CLEANUP(http_client_response_release) struct http_client_response r;
	const struct call c = { .method = "GET",
				.path = path,
				.timeout_ms = timeout_ms,
				.on_data = on_data,
				.ctx = ctx };

	return do_call(k, &c, &r);
}

/* ---- changing */

static int send_one(struct kube *k, const char *method, const char *path, const char *query,
		    const char *type, const char *body, cJSON **ret)
{
	char url[1100];
	const struct call c = { .method = method, .path = url, .type = type, .body = body };

	snprintf(url, sizeof(url), "%s%s", path, query);
	return call_json(k, &c, ret);
}

/* In the air first, then on the ground. */
static int send_twice(struct kube *k, const char *method, const struct kube_ref *ref,
		      const char *type, const cJSON *body, bool dry_only, cJSON **ret)
{
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(body);
	char path[1024];
	int err = path_for(k, ref, path, sizeof(path));

	if (err)
		return err;
	if (!text)
		return fail(k, -ENOMEM, "out of memory");
	err = send_one(k, method, path, "?dryRun=All", type, text, dry_only ? ret : NULL);
	if (err || dry_only)
		return err;
	return send_one(k, method, path, "", type, text, ret);
}

int kube_create(struct kube *k, const struct kube_ref *ref, const cJSON *body, cJSON **ret)
{
	return send_twice(k, "POST", ref, JSON_TYPE, body, false, ret);
}

int kube_replace(struct kube *k, const struct kube_ref *ref, const cJSON *body, cJSON **ret)
{
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(body);
	char path[1024];
	int err = path_for(k, ref, path, sizeof(path));

	if (err)
		return err;
	if (!text)
		return fail(k, -ENOMEM, "out of memory");
	if (!*kube_meta(body, "resourceVersion"))
		return fail(k, -EINVAL, "a replacement without the version that it replaces");
	return send_one(k, "PUT", path, "", JSON_TYPE, text, ret);
}

/* The version that a patch is meant for: the API refuses it where the object has another by then. */
static bool bind_version(cJSON *body, const char *version)
{
	cJSON *to = cJSON_GetObjectItemCaseSensitive(body, "metadata");

	if (cJSON_IsArray(body)) {
		cJSON *op = cJSON_CreateObject();
		if (!op || !cJSON_AddItemToArray(body, op)) {
			cJSON_Delete(op);
			return false;
		}
		cJSON_AddStringToObject(op, "op", "replace");
		cJSON_AddStringToObject(op, "path", "/metadata/resourceVersion");
		return cJSON_AddStringToObject(op, "value", version);
	}
	if (!to)
		to = cJSON_AddObjectToObject(body, "metadata");
	cJSON_DeleteItemFromObjectCaseSensitive(to, "resourceVersion");
	return cJSON_AddStringToObject(to, "resourceVersion", version);
}

int kube_patch(struct kube *k, const struct kube_ref *ref, cJSON *body, const char *version,
	       bool dry_only, cJSON **ret)
{
	if (!version || !*version)
		return fail(k, -EINVAL, "a patch without the version that it changes");
	if (!bind_version(body, version))
		return fail(k, -ENOMEM, "out of memory");
	return send_twice(k, "PATCH", ref, cJSON_IsArray(body) ? PATCH_TYPE : MERGE_TYPE, body,
			  dry_only, ret);
}

/* Options in a body make the API pass over the query: there too, or the dry run would be the deed. */
static int delete_once(struct kube *k, const char *path, const cJSON *options, bool dry)
{
	CLEANUP(json_freep) cJSON *body = cJSON_Duplicate(options, true);
	CLEANUP(json_textp) char *text = NULL;
	cJSON *all = dry ? cJSON_AddArrayToObject(body, "dryRun") : NULL;

	if (dry && !cJSON_AddItemToArray(all, cJSON_CreateString("All")))
		return fail(k, -ENOMEM, "out of memory");
	text = cJSON_PrintUnformatted(body);
	if (!text)
		return fail(k, -ENOMEM, "out of memory");
	return send_one(k, "DELETE", path, dry ? "?dryRun=All" : "", JSON_TYPE, text, NULL);
}

int kube_delete(struct kube *k, const struct kube_ref *ref, const char *uid, const char *version,
		int grace_s)
{
	CLEANUP(json_freep) cJSON *body = cJSON_CreateObject();
	char path[1024];

	if (!uid || !*uid || !version || !*version || !ref->name)
		return fail(k, -EINVAL, "a deletion without the uid and the version of what goes");
	cJSON_AddStringToObject(body, "apiVersion", "v1");
	cJSON_AddStringToObject(body, "kind", "DeleteOptions");
	if (grace_s >= 0)
		cJSON_AddNumberToObject(body, "gracePeriodSeconds", grace_s);
	cJSON *only = cJSON_AddObjectToObject(body, "preconditions");
	cJSON_AddStringToObject(only, "uid", uid);
	if (!cJSON_AddStringToObject(only, "resourceVersion", version))
		return fail(k, -ENOMEM, "out of memory");
	int err = path_for(k, ref, path, sizeof(path));
	if (!err)
		err = delete_once(k, path, body, true);
	return err ? err : delete_once(k, path, body, false);
}
