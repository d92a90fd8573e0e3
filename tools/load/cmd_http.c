// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "base/util.h"
#include "tools/load/commands.h"
#include "tools/load/gen.h"
#include "tools/load/options.h"
#include "tools/load/show.h"

#define HEADERS_MAX 32

struct http {
	struct gen_options gen;
	struct gen_request request;
	const char *headers[HEADERS_MAX + 1];
	unsigned int nr_headers;
	struct threshold thresholds[THRESHOLDS_MAX];
	bool json, json_lines;
	struct report report;
	struct show show;
	struct tally tally;
};

static int number(const char *value, uint64_t min, uint64_t max, uint64_t *ret)
{
	return text_to_u64(value, min, max, ret);
}

static int take_connections(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;
	uint64_t v;

	*allowed = "1 to 4096";
	if (number(value, 1, GEN_CONNECTIONS_MAX, &v))
		return -EINVAL;
	h->gen.connections = (unsigned int)v;
	return 0;
}

static int take_depth(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;
	uint64_t v;

	*allowed = "1 to 64";
	if (number(value, 1, CONN_DEPTH_MAX, &v))
		return -EINVAL;
	h->gen.depth = (unsigned int)v;
	return 0;
}

static int take_duration(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;

	*allowed = "a time above 0, at most 24h: 10, 500ms, 2m";
	if (text_to_duration_ns(value, &h->gen.duration_ns) || !h->gen.duration_ns ||
	    h->gen.duration_ns > 86400 * NSEC_PER_SEC)
		return -EINVAL;
	return 0;
}

static int take_requests(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;

	*allowed = "1 to 1000000000000";
	return number(value, 1, 1000000000000ULL, &h->gen.requests);
}

static int take_rate(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;

	*allowed = "0.01 to 1000000";
	return text_to_double(value, 0.01, GEN_RATE_MAX, &h->gen.rate_per_s);
}

static int take_timeout(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;

	*allowed = "1ms to 1h";
	if (text_to_duration_ns(value, &h->gen.timeout_ns) || h->gen.timeout_ns < NSEC_PER_MSEC ||
	    h->gen.timeout_ns > 3600 * NSEC_PER_SEC)
		return -EINVAL;
	return 0;
}

static int take_method(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;
	size_t len = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	*allowed = "1 to 16 capital letters, and not CONNECT";
	if (!len || len > 16 || value[len] || !strcmp(value, "CONNECT"))
		return -EINVAL;
	h->request.method = value;
	return 0;
}

static int take_body(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;

	(void)allowed;
	h->request.body = value;
	h->request.body_len = strlen(value);
	return 0;
}

static int take_header(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;

	*allowed = "one of at most 32";
	if (h->nr_headers == HEADERS_MAX)
		return -EINVAL;
	h->headers[h->nr_headers++] = value;
	return 0;
}

static int take_close(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;

	(void)value, (void)allowed;
	h->request.close = true;
	return 0;
}

static int take_threshold(void *ctx, const char *value, const char **allowed)
{
	struct http *h = ctx;

	*allowed = "one of at most 16";
	if (h->report.nr_thresholds == THRESHOLDS_MAX ||
	    threshold_parse(value, &h->thresholds[h->report.nr_thresholds], allowed))
		return -EINVAL;
	h->report.nr_thresholds++;
	return 0;
}

static int take_json(void *ctx, const char *value, const char **allowed)
{
	(void)value, (void)allowed;
	((struct http *)ctx)->json = true;
	return 0;
}

static int take_json_lines(void *ctx, const char *value, const char **allowed)
{
	(void)value, (void)allowed;
	((struct http *)ctx)->json_lines = true;
	return 0;
}

static const struct options_entry entries[] = {
	{ 'c', "connections", "N", "kept open; default 10", take_connections },
	{ 'p', "pipeline", "N", "requests under way on each, 1 to 64; default 1", take_depth },
	{ 'd', "duration", "TIME", "default 10s, or until --requests", take_duration },
	{ 'n', "requests", "N", "end after so many", take_requests },
	{ 'r', "rate", "R", "open loop: so many a second, whatever the server does", take_rate },
	{ 't', "timeout", "TIME", "for an answer; default 10s", take_timeout },
	{ 'X', "method", "M", "default GET, or POST with a body", take_method },
	{ 'b', "body", "TEXT", "sent with each request", take_body },
	{ 'H', "header", "'NAME: VALUE'", "sent with each; may be said again", take_header },
	{ 0, "close", NULL, "a new connection for each request", take_close },
	{ 0, "threshold", "EXPR", "must hold; may be said again", take_threshold },
	{ 0, "json", NULL, "the summary as JSON", take_json },
	{ 0, "json-lines", NULL, "a JSON object a second, the summary at the end",
	  take_json_lines },
};

static const struct options_command command = {
	.usage = "usage: archaic-load http URL [OPTION...]",
	.says = "Sends one request again and again over keep-alive connections. Without --rate each\n"
		"connection waits for its answers (closed loop). With it, requests have a schedule of\n"
		"their own, and latency counts from when each was due: what waits because the server\n"
		"stalls is not left out (no coordinated omission).",
	.ends = "Thresholds, as k6 writes them: http_req_duration:p(99)<50 (also avg, min, med, max; ms),\n"
		"http_req_failed:rate<0.01, http_reqs:rate>1000, http_reqs:count>=500.\n"
		"Exit status: 0 they hold, 99 one does not, 1 nothing could be measured, 2 usage,\n"
		"130 or 143 stopped by Ctrl-C or SIGTERM.\n\n"
		"EXAMPLES\n"
		"  archaic-load http http://127.0.0.1:8002/products -c 8 -d 10s\n"
		"  archaic-load http http://127.0.0.1:8002/products -r 500 -d 30s --threshold 'http_req_duration:p(99)<50'\n"
		"  archaic-load http http://[::1]:8002/products -c 16 -p 16 -n 1000000 --json | jq .rate_per_s\n",
	.entries = entries,
	.nr = ARRAY_SIZE(entries),
};

static int second(void *ctx, const struct tally *t, uint64_t now_ns)
{
	struct http *h = ctx;

	(void)t;
	return show_second(&h->show, &h->report, now_ns);
}

static void init(struct http *h)
{
	h->gen = (struct gen_options){ .connections = 10,
				       .depth = 1,
				       .timeout_ns = 10 * NSEC_PER_SEC,
				       .second = second,
				       .ctx = h };
	h->request = (struct gen_request){ .headers = h->headers };
}

static void complete(struct http *h, const char *url)
{
	if (!h->gen.duration_ns && !h->gen.requests)
		h->gen.duration_ns = 10 * NSEC_PER_SEC;
	if (!h->request.method)
		h->request.method = h->request.body ? "POST" : "GET";
	h->gen.head_only = !strcmp(h->request.method, "HEAD");
	h->report.t = &h->tally;
	h->report.url = url;
	h->report.connections = h->gen.connections;
	h->report.depth = h->gen.depth;
	h->report.rate_per_s = h->gen.rate_per_s;
	h->report.planned_ns = h->gen.duration_ns;
	h->report.thresholds = h->thresholds;
	show_init(&h->show, h->json, h->json_lines);
}

static int fail(const char *url, const char *why)
{
	fprintf(stderr, "archaic-load: %.200s: %s\n", url, why);
	return LOAD_COULD_NOT;
}

static int go(struct http *h, struct target *target, const struct buf *text)
{
	int signal = 0;

	int err = target_connect(target, (unsigned int)(h->gen.timeout_ns / NSEC_PER_MSEC));
	if (err)
		return fail(h->report.url,
			    err == -ENOENT ? "there is no such host" : strerror(-err));
	h->gen.target = target;
	h->gen.text = text->data;
	h->gen.text_len = text->len;
	err = gen_run(&h->gen, &h->tally, &signal);
	if (err && err != -EINTR)
		return fail(h->report.url, strerror(-err));
	h->report.stopped = signal;
	if (show_summary(&h->show, &h->report))
		return fail("the output", strerror(EPIPE));
	if (signal)
		return LOAD_SIGNAL + signal;
	if (!h->tally.requests)
		return fail(h->report.url, "no request has ended");
	return report_passed(&h->report) ? LOAD_PASSED : LOAD_BROKEN;
}

int command_http(int argc, char **argv)
{
	static struct http h; /* histograms: too large for a stack */
	struct target target;
	struct buf text;
	const char *url, *why;

	init(&h);
	int err = options_read(&command, argc, argv, &h, &url);
	if (err)
		return err > 0 ? 0 : LOAD_USAGE;
	if (!url || target_parse(url, &target, &why)) {
		fprintf(stderr, "%.200s is no address: %s\n", url ?: "nothing",
			url ? why : "it must look like http://127.0.0.1:8003/products");
		return LOAD_USAGE;
	}
	complete(&h, url);
	buf_init(&text, GEN_REQUEST_MAX);
	err = gen_build(&target, &h.request, &text);
	if (err)
		fprintf(stderr,
			err == -EINVAL ?
				"a --header must look like 'Name: value', and give no length\n" :
				"the request is over 1 MiB\n");
	int status = err ? LOAD_USAGE : go(&h, &target, &text);
	buf_release(&text);
	return status;
}
