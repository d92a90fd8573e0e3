// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define TEXT_MAX (64 << 10)

void show_init(struct show *s, bool json, bool json_lines)
{
	const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
	bool colour = !plain || !*plain;

	*s = (struct show){ .json = json, .json_lines = json_lines };
	s->live = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
	s->colour_err = s->live && colour;
	s->colour_out = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 && colour;
}

static int put(const struct buf *b)
{
	return fputs(buf_str(b), stdout) < 0 || fflush(stdout) ? -EPIPE : 0;
}

int show_second(struct show *s, const struct report *r, uint64_t now_ns)
{
	struct buf b;
	int err = 0;

	buf_init(&b, TEXT_MAX);
	if (s->live) {
		report_line(&b, r, now_ns, s->colour_err);
		fprintf(stderr, "\r\033[K%s", buf_str(&b));
		buf_reset(&b);
	}
	if (s->json_lines) {
		report_progress(&b, r, now_ns);
		buf_addstr(&b, "\n");
		if (s->dropped)
			buf_addf(&b, "{\"type\":\"dropped\",\"lines\":%u}\n", s->dropped);
		err = put(&b);
	}
	buf_release(&b);
	s->lines = s->dropped = 0;
	return err;
}

void show_request(struct show *s, const struct crowd_request *rq)
{
	struct buf b;

	if (!s->json_lines)
		return;
	if (s->lines == SHOW_REQUESTS_PER_S) {
		s->dropped++;
		return;
	}
	s->lines++;
	buf_init(&b, TEXT_MAX);
	buf_addf(&b,
		 "{\"type\":\"%s\",\"wall_ms\":%" PRId64 ",\"started_wall_ms\":%" PRId64
		 ",\"took_ms\":%.1f,\"service\":\"%s\",\"method\":\"%s\",\"path\":\"%s\","
		 "\"status\":%d,\"trace_id\":\"%s\",\"why\":\"%s\"}\n",
		 rq->failed ? "failed" : "slow", clock_mono_to_wall_ms(rq->ended_ns),
		 clock_mono_to_wall_ms(rq->started_ns),
		 (double)(rq->ended_ns - rq->started_ns) / 1e6, rq->service, rq->method, rq->path,
		 rq->status, rq->trace_id, rq->status ? "" : failure_name(rq->why));
	put(&b); /* a reader that has gone is noticed at the second */
	buf_release(&b);
}

int show_summary(struct show *s, const struct report *r)
{
	struct buf b;

	if (s->live)
		fputs("\r\033[K", stderr);
	buf_init(&b, TEXT_MAX);
	if (s->json || s->json_lines) {
		report_summary(&b, r);
		buf_addstr(&b, "\n");
	} else {
		report_text(&b, r, s->colour_out);
	}
	int err = put(&b);
	buf_release(&b);
	return err;
}
