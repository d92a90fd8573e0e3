// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/http_client.h"
#include "base/json.h"
#include "cmd/cmd.h"

#define TIMEOUT_MS 60000 /* a repair's plan or a doctor's probes may take a while */
#define ANSWER_MAX ((size_t)32 << 20)

/* What a refusal means to a script. */
static int status_of(int http)
{
	switch (http) {
	case 400:
		return CLI_USAGE;
	case 422:
		return CLI_REFUSED;
	case 503:
		return CLI_UNABLE;
	default:
		return CLI_FAILED;
	}
}

static int no_daemon(struct cli *c, int err, const char *why)
{
	if (err == -ETIMEDOUT)
		return cli_complain(c, CLI_FAILED, "the daemon did not answer on %s in time",
				    c->socket);
	if (err != -EHOSTUNREACH)
		return cli_complain(c, CLI_FAILED, "the call to the daemon on %s failed: %s",
				    c->socket, why);
	if (!access(c->socket, F_OK) && access(c->socket, W_OK))
		return cli_complain(c, CLI_NO_DAEMON,
				    "%s is for root and group archaic; say it with sudo",
				    c->socket);
	return cli_complain(
		c, CLI_NO_DAEMON,
		"no daemon answers on %s; start one: archaic-ebpf run, or name its socket with --socket",
		c->socket);
}

static int refused(struct cli *c, const struct http_client_response *r)
{
	CLEANUP(json_freep) cJSON *p = cJSON_ParseWithLength(buf_str(&r->body), r->body.len);
	const char *detail = json_str(p, "detail"), *name = json_str(p, "parameter");
	int status = status_of(r->status);

	if (!detail)
		return cli_complain(c, status, "the daemon answered %d", r->status);
	if (name && !strstr(detail, name))
		return cli_complain(c, status, "%s: %s", name, detail);
	return cli_complain(c, status, "%s", detail);
}

static int call(struct cli *c, const char *method, const char *target, const char *body,
		struct http_client_response *ret)
{
	static const char *const json[] = { "Content-Type: application/json", NULL };
	CLEANUP(http_client_freep) struct http_client *client = NULL;
	char url[2048];

	*ret = (struct http_client_response){ 0 };
	if (http_client_new(&client))
		return cli_complain(c, CLI_FAILED, "out of memory");
	snprintf(url, sizeof(url), "http://localhost%s", target);
	const struct http_client_request ask = {
		.url = url,
		.method = method,
		.headers = body ? json : NULL,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.timeout_ms = TIMEOUT_MS,
		.body_max = ANSWER_MAX,
		.unix_socket = c->socket,
	};
	int err = http_client_do(client, &ask, ret);
	if (err)
		return no_daemon(c, err, ret->why);
	return ret->status >= 300 ? refused(c, ret) : CLI_DONE;
}

int cli_call(struct cli *c, const char *method, const char *target, const cJSON *body, cJSON **ret)
{
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	CLEANUP(json_textp) char *text = body ? cJSON_PrintUnformatted(body) : NULL;

	if (body && !text)
		return cli_complain(c, CLI_FAILED, "out of memory");
	int status = call(c, method, target, text, &r);
	if (status || !ret)
		return status;
	cJSON *json = r.body.len ? cJSON_ParseWithLength(buf_str(&r.body), r.body.len) : NULL;
	if (!json && r.body.len)
		return cli_complain(c, CLI_FAILED, "the daemon's answer is not JSON");
	*ret = json;
	return CLI_DONE;
}

int cli_call_text(struct cli *c, const char *target, char **ret)
{
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	int status = call(c, "GET", target, NULL, &r);

	if (status)
		return status;
	*ret = buf_take(&r.body);
	return *ret ? CLI_DONE : cli_complain(c, CLI_FAILED, "out of memory");
}

bool cli_daemon_there(struct cli *c)
{
	CLEANUP(http_client_freep) struct http_client *client = NULL;
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	const struct http_client_request ask = {
		.url = "http://localhost/v1/health",
		.timeout_ms = 2000,
		.unix_socket = c->socket,
	};

	return !http_client_new(&client) && !http_client_do(client, &ask, &r);
}

const char *cli_escape(const char *text, char *to, size_t size)
{
	size_t len = 0;

	for (; *text && len + 4 <= size; text++)
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			to[len++] = *text;
		else
			len += (size_t)snprintf(to + len, size - len, "%%%02X",
						(unsigned char)*text);
	to[len] = '\0';
	return to;
}

bool cli_show(struct cli *c, const cJSON *json)
{
	if (!c->json)
		return false;
	CLEANUP(json_textp) char *text = json ? cJSON_Print(json) : NULL;
	if (text)
		fprintf(c->out, "%s\n", text);
	return true;
}
