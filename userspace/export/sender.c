// SPDX-License-Identifier: GPL-2.0-or-later
#include "export/sender.h"

#include <errno.h>
#include <string.h>

#include "base/http_client.h"
#include "base/text.h"
#include "observe/requests.h"

#define ANSWER_MAX ((size_t)64 << 10) /* bytes */
#define OWN_HEADERS 2

struct sender {
	struct http_client *client;
	char url[OTLP_URL_MAX];
	char *text; /* the headers file; lines are ended in place */
	const char *headers[OWN_HEADERS + SENDER_HEADERS_MAX + 1];
};

void sender_free(struct sender *s)
{
	if (!s)
		return;
	http_client_free(s->client);
	if (s->text)
		explicit_bzero(s->text, strlen(s->text));
	free(s->text);
	free(s);
}

static int read_text(struct sender *s, const char *path, struct problem *p)
{
	CLEANUP(fclosep) FILE *f = fopen(path, "re");

	if (!f)
		return problem_set(p, 400, "cannot read the headers from %s: %s", path,
				   strerror(errno));
	s->text = calloc(1, SENDER_HEADERS_FILE_MAX + 1);
	if (!s->text)
		return -ENOMEM;
	if (fread(s->text, 1, SENDER_HEADERS_FILE_MAX + 1, f) > SENDER_HEADERS_FILE_MAX) {
		s->text[SENDER_HEADERS_FILE_MAX] = '\0';
		return problem_set(p, 400, "%s is larger than %d bytes", path,
				   SENDER_HEADERS_FILE_MAX);
	}
	return 0;
}

/* A name is a token of RFC 9110; what a value holds is the receiver's business, but no control character. */
static bool is_header(const char *line)
{
	size_t name = strspn(line,
			     "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (!name || line[name] != ':')
		return false;
	for (const char *c = line + name; *c; c++)
		if ((unsigned char)*c < 0x20 && *c != '\t')
			return false;
	return true;
}

/* The line itself is not told: it holds a key. */
static int read_headers(struct sender *s, const char *path, struct problem *p)
{
	size_t n = OWN_HEADERS, nr = 0;
	char *rest;
	int err = read_text(s, path, p);

	for (char *line = err ? NULL : s->text; line; line = rest) {
		nr++;
		rest = strchr(line, '\n');
		if (rest)
			*rest++ = '\0';
		line[strcspn(line, "\r")] = '\0';
		if (!*line || *line == '#')
			continue;
		if (!is_header(line))
			return problem_set(p, 400, "%s:%zu: not a header, \"Name: value\"", path,
					   nr);
		if (n == OWN_HEADERS + SENDER_HEADERS_MAX)
			return problem_set(p, 400, "%s: more than %d headers", path,
					   SENDER_HEADERS_MAX);
		s->headers[n++] = line;
	}
	return err;
}

int sender_new(const char *endpoint, const char *headers_file, struct sender **ret,
	       struct problem *p)
{
	CLEANUP(sender_freep) struct sender *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->headers[0] = "Content-Type: application/json";
	s->headers[1] = "User-Agent: archaic-ebpf/" ARCHAIC_VERSION;
	if (otlp_url(endpoint, s->url) < 0)
		return problem_set(p, 400, "the OTLP endpoint is too long");
	int err = *headers_file ? read_headers(s, headers_file, p) : 0;
	err = err ?: http_client_new(&s->client);
	if (!err)
		*ret = TAKE_PTR(s);
	return err;
}

const char *sender_url(const struct sender *s)
{
	return s->url;
}

/* Seconds; the other form, a date, is as good as not said. */
static uint64_t retry_after_ns(const struct http_client_response *r)
{
	const char *value;
	char text[16];
	uint64_t seconds;
	size_t len;

	if (!http_client_header(r, "Retry-After", &value, &len) || len >= sizeof(text))
		return 0;
	memcpy(text, value, len);
	text[len] = '\0';
	return text_to_u64(text, 0, 86400, &seconds) ? 0 : seconds * NSEC_PER_SEC;
}

void sender_send(void *ctx, const char *body, size_t len, const atomic_bool *cancel,
		 struct otlp_answer *ret)
{
	struct sender *s = ctx;
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	const struct http_client_request req = {
		.url = s->url,
		.headers = s->headers,
		.body = body,
		.body_len = len,
		.timeout_ms = SENDER_TIMEOUT_MS,
		.body_max = ANSWER_MAX,
		.cancel = cancel,
	};

	*ret = (struct otlp_answer){ 0 };
	int err = http_client_do(s->client, &req, &r);
	ret->status = r.status;
	ret->retry_after_ns = retry_after_ns(&r);
	if (err)
		request_printable(r.why, ret->why, sizeof(ret->why));
	else if (otlp_judge(ret) == OTLP_TAKEN)
		otlp_read_body(buf_str(&r.body), r.body.len, ret);
	else
		snprintf(ret->why, sizeof(ret->why), "it answered with status %d", r.status);
}
