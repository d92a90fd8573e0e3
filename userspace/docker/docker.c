// SPDX-License-Identifier: GPL-2.0-or-later
#include "docker/docker.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/http_client.h"
#include "docker/docker_read.h"

struct docker {
	struct http_client *http;
	const atomic_bool *cancel;
	uint32_t timeout_ms;
	char socket[108]; /* sun_path */
	char why[320];
};

int docker_new(const char *socket, const atomic_bool *cancel, struct docker **ret)
{
	const char *path = socket ?: DOCKER_SOCKET;
	CLEANUP(docker_freep) struct docker *d = NULL;

	if (!*path || strlen(path) >= sizeof(d->socket))
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	int err = http_client_new(&d->http);
	if (err)
		return err;
	snprintf(d->socket, sizeof(d->socket), "%s", path);
	d->cancel = cancel;
	d->timeout_ms = DOCKER_TIMEOUT_MS;
	*ret = TAKE_PTR(d);
	return 0;
}

void docker_free(struct docker *d)
{
	if (!d)
		return;
	http_client_free(d->http);
	free(d);
}

void docker_timeout(struct docker *d, uint32_t ms)
{
	d->timeout_ms = ms;
}

const char *docker_why(const struct docker *d)
{
	return d->why;
}

static int fail(struct docker *d, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail(struct docker *d, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
	return err;
}

/* The only place that knows what an Engine's status means. */
static int errno_of_status(int status)
{
	switch (status) {
	case 401:
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 409:
		return -EBUSY;
	default:
		return -EIO;
	}
}

/* @want: the status that means success. @ret: to be released in every case. */
static int call(struct docker *d, const char *method, const char *path, uint32_t timeout_ms,
		int want, struct http_client_response *ret)
{
	char url[512], said[160];
	int len = snprintf(url, sizeof(url), "http://docker%s", path);
	const struct http_client_request req = {
		.url = url,
		.method = method,
		.body = strcmp(method, "POST") ? NULL : "",
		.timeout_ms = timeout_ms,
		.body_max = DOCKER_BODY_MAX,
		.unix_socket = d->socket,
		.cancel = d->cancel,
	};

	*ret = (struct http_client_response){ 0 };
	d->why[0] = '\0';
	if (len < 0 || (size_t)len >= sizeof(url))
		return fail(d, -EINVAL, "the container's name is too long");
	int err = http_client_do(d->http, &req, ret);
	if (err)
		return fail(d, err, "the Docker Engine at %s: %s", d->socket, ret->why);
	if (ret->status == want)
		return 0;
	docker_read_message(buf_str(&ret->body), ret->body.len, said, sizeof(said));
	return fail(d, errno_of_status(ret->status), "the Docker Engine answers %d%s%s",
		    ret->status, said[0] ? ": " : "", said);
}

int docker_list(struct docker *d, struct docker_list *ret)
{
	CLEANUP(http_client_response_release) struct http_client_response r;
	const char *why = NULL;
	int err = call(d, "GET", "/containers/json", d->timeout_ms, 200, &r);

	if (err)
		return err;
	err = docker_read_list(buf_str(&r.body), r.body.len, ret, &why);
	return err ? fail(d, err, "the Docker Engine's list: %s", why) : 0;
}

int docker_inspect(struct docker *d, const char *id, struct docker_container *ret)
{
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	CLEANUP(freep) struct docker_container *c = NULL;
	const char *why = NULL;
	char path[DOCKER_NAME_MAX + 32];

	if (!docker_name_valid(id))
		return fail(d, -EINVAL, "that cannot be a container's id or name");
	snprintf(path, sizeof(path), "/containers/%s/json", id);
	int err = call(d, "GET", path, d->timeout_ms, 200, &r);
	if (err)
		return err;
	c = calloc(1, sizeof(*c));
	if (!c)
		return fail(d, -ENOMEM, "out of memory");
	err = docker_read_inspect(buf_str(&r.body), r.body.len, c, &why);
	if (err)
		return fail(d, err, "the Docker Engine's word on %s: %s", id, why);
	*ret = *c;
	return 0;
}

int docker_restart(struct docker *d, const char *id)
{
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	char path[DOCKER_ID_MAX + 40];

	if (!docker_id_valid(id))
		return fail(d, -EINVAL, "a restart needs the container's whole id");
	snprintf(path, sizeof(path), "/containers/%s/restart?t=%d", id, DOCKER_STOP_S);
	return call(d, "POST", path, DOCKER_RESTART_TIMEOUT_MS, 204, &r);
}

void docker_list_release(struct docker_list *l)
{
	free(l->items);
	*l = (struct docker_list){ 0 };
}

const char *docker_label(const struct docker_container *c, const char *key)
{
	for (size_t i = 0; i < c->nr_labels; i++)
		if (!strcmp(c->labels[i].key, key))
			return c->labels[i].value;
	return NULL;
}
