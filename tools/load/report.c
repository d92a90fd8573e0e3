// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/report.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define RED "\033[31;1m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"

static double ms(const struct hist *h, double q)
{
	return (double)hist_quantile(h, q) / 1e6;
}

static double elapsed_s(const struct report *r, uint64_t now_ns)
{
	return (double)(now_ns - MIN(r->t->start_ns, now_ns)) / 1e9;
}

static double remaining_s(const struct report *r, uint64_t now_ns)
{
	double left = (double)r->planned_ns / 1e9 - elapsed_s(r, now_ns);

	return left > 0 ? left : 0;
}

static double ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

void report_progress(struct buf *b, const struct report *r, uint64_t now_ns)
{
	const struct tally *t = r->t;

	buf_addf(b,
		 "{\"type\":\"progress\",\"wall_ms\":%" PRId64
		 ",\"elapsed_s\":%.1f,\"remaining_s\":",
		 clock_mono_to_wall_ms(now_ns), elapsed_s(r, now_ns));
	if (r->planned_ns)
		buf_addf(b, "%.1f", remaining_s(r, now_ns));
	else
		buf_addstr(b, "null");
	buf_addf(b,
		 ",\"vus\":%u,\"rate_per_s\":%" PRIu64 ",\"requests\":%" PRIu64
		 ",\"errors\":%" PRIu64
		 ",\"latency_ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f},\"second\":{"
		 "\"requests\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"slow\":%" PRIu64 "}}",
		 r->users, t->second_requests, t->requests, t->errors, ms(&t->second, .5),
		 ms(&t->second, .9), ms(&t->second, .99), t->second_requests, t->second_errors,
		 r->second_slow);
}

static void add_hist(struct buf *b, const char *name, const struct hist *h)
{
	buf_addf(b,
		 ",\"%s\":{\"min\":%.3f,\"mean\":%.3f,\"p50\":%.3f,\"p75\":%.3f,\"p90\":%.3f,"
		 "\"p95\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}",
		 name, (double)h->min_ns / 1e6, hist_mean(h) / 1e6, ms(h, .5), ms(h, .75),
		 ms(h, .9), ms(h, .95), ms(h, .99), ms(h, .999), (double)h->max_ns / 1e6);
}

static void add_subject(struct buf *b, const struct report *r)
{
	if (r->url) {
		buf_addstr(b, ",\"url\":");
		text_json(b, r->url);
		buf_addf(b, ",\"connections\":%u,\"pipeline\":%u,\"rate_asked_per_s\":",
			 r->connections, r->depth);
		if (r->rate_per_s)
			buf_addf(b, "%.10g", r->rate_per_s);
		else
			buf_addstr(b, "null");
	} else {
		buf_addstr(b, ",\"shape\":");
		text_json(b, r->shape);
		buf_addf(b, ",\"vus_max\":%u,\"with_failures\":%s", r->users_max,
			 r->with_failures ? "true" : "false");
	}
}

static void add_counts(struct buf *b, const struct tally *t)
{
	buf_addf(
		b,
		",\"elapsed_s\":%.3f,\"remaining_s\":0,\"vus\":0,\"rate_per_s\":%.3f,\"requests\":%" PRIu64
		",\"errors\":%" PRIu64 ",\"error_ratio\":%.6f,\"unsent\":%" PRIu64
		",\"connects\":%" PRIu64 ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64
		",\"iterations\":%" PRIu64 ",\"interrupted\":%" PRIu64 ",\"failures\":{",
		tally_seconds(t), (double)t->requests / tally_seconds(t), t->requests, t->errors,
		ratio(t->errors, t->requests), t->unsent, t->connects, t->bytes_in, t->bytes_out,
		t->iterations, t->interrupted);
	for (int i = 0; i < NR_FAILURES; i++)
		buf_addf(b, "%s\"%s\":%" PRIu64, i ? "," : "", failure_name((enum failure)i),
			 t->failures[i]);
	buf_addstr(b, "},\"status\":{");
	const char *comma = "";
	for (int i = 0; i < TALLY_STATUS_MAX; i++) {
		if (!t->status[i])
			continue;
		buf_addf(b, "%s\"%d\":%" PRIu64, comma, i, t->status[i]);
		comma = ",";
	}
	buf_addstr(b, "}");
}

bool report_passed(const struct report *r)
{
	double v;

	for (unsigned int i = 0; i < r->nr_thresholds; i++)
		if (!threshold_met(&r->thresholds[i], r->t, &v))
			return false;
	return r->t->requests > 0;
}

static void add_thresholds(struct buf *b, const struct report *r)
{
	buf_addstr(b, ",\"thresholds\":[");
	for (unsigned int i = 0; i < r->nr_thresholds; i++) {
		double v = -1;
		bool ok = threshold_met(&r->thresholds[i], r->t, &v);

		buf_addf(b, "%s{\"expr\":", i ? "," : "");
		text_json(b, r->thresholds[i].text);
		buf_addf(b, ",\"ok\":%s,\"value\":", ok ? "true" : "false");
		if (v < 0)
			buf_addstr(b, "null}");
		else
			buf_addf(b, "%.10g}", v);
	}
	buf_addstr(b, "]");
}

void report_summary(struct buf *b, const struct report *r)
{
	const struct tally *t = r->t;

	buf_addstr(b, "{\"type\":\"summary\"");
	add_subject(b, r);
	add_counts(b, t);
	add_hist(b, "latency_ms", &t->latency);
	add_hist(b, "service_ms", &t->service);
	buf_addstr(b, ",\"checks\":[");
	const char *comma = "";
	for (unsigned int i = 0; i < t->nr_checks; i++) {
		if (!t->checks[i].ok && !t->checks[i].fails)
			continue; /* never came to it */
		buf_addf(b, "%s{\"name\":", comma);
		comma = ",";
		text_json(b, t->checks[i].name);
		buf_addf(b, ",\"ok\":%" PRIu64 ",\"fails\":%" PRIu64 "}", t->checks[i].ok,
			 t->checks[i].fails);
	}
	buf_addstr(b, "]");
	add_thresholds(b, r);
	buf_addf(b, ",\"stopped\":%s,\"passed\":%s}", r->stopped ? "true" : "false",
		 report_passed(r) ? "true" : "false");
}

void report_line(struct buf *b, const struct report *r, uint64_t now_ns, bool colour)
{
	const struct tally *t = r->t;

	buf_addf(b, "%4.0f s", elapsed_s(r, now_ns));
	if (r->planned_ns)
		buf_addf(b, " of %.0f s", (double)r->planned_ns / 1e9);
	if (r->shape)
		buf_addf(b, "  %u users", r->users);
	buf_addf(b, "  %" PRIu64 "/s  %s%" PRIu64 " failed%s  p50 %.1f  p90 %.1f  p99 %.1f ms",
		 t->second_requests, colour && t->errors ? RED : "", t->errors,
		 colour && t->errors ? PLAIN : "", ms(&t->second, .5), ms(&t->second, .9),
		 ms(&t->second, .99));
}

static void text_hist(struct buf *b, const char *name, const struct hist *h)
{
	buf_addf(
		b,
		"  %-13s min %.3f  mean %.3f  p50 %.3f  p90 %.3f  p95 %.3f  p99 %.3f  p99.9 %.3f  max %.3f ms\n",
		name, (double)h->min_ns / 1e6, hist_mean(h) / 1e6, ms(h, .5), ms(h, .9), ms(h, .95),
		ms(h, .99), ms(h, .999), (double)h->max_ns / 1e6);
}

static void text_subject(struct buf *b, const struct report *r)
{
	if (r->shape)
		buf_addf(b, "%s, up to %u users%s\n", r->shape, r->users_max,
			 r->with_failures ? ", with failures armed on db and auth" : "");
	else if (r->rate_per_s)
		buf_addf(b, "%s\n  open loop, %.10g requests/s asked, %u connections\n", r->url,
			 r->rate_per_s, r->connections);
	else
		buf_addf(b, "%s\n  closed loop, %u connections with %u under way each\n", r->url,
			 r->connections, r->depth);
}

static void text_errors(struct buf *b, const struct tally *t)
{
	for (int i = 0; i < NR_FAILURES; i++)
		if (t->failures[i])
			buf_addf(b, "  %-13s %" PRIu64 "\n", failure_name((enum failure)i),
				 t->failures[i]);
	for (int i = 0; i < TALLY_STATUS_MAX; i++)
		if (t->status[i])
			buf_addf(b, "  status %-6d %" PRIu64 "\n", i, t->status[i]);
	if (t->unsent)
		buf_addf(b,
			 "  %-13s %" PRIu64
			 " were due and never sent; latency has what they waited until the end\n",
			 "unsent", t->unsent);
	if (t->latency.clamped)
		buf_addf(b, "  %-13s %" PRIu64 " took longer than the histogram tells apart\n",
			 "clamped", t->latency.clamped);
}

void report_text(struct buf *b, const struct report *r, bool colour)
{
	const struct tally *t = r->t;

	text_subject(b, r);
	buf_addf(b, "  %-13s %" PRIu64 " in %.2f s, %.1f/s, %.2f MiB in\n", "requests", t->requests,
		 tally_seconds(t), (double)t->requests / tally_seconds(t),
		 (double)t->bytes_in / (1 << 20));
	buf_addf(b, "  %-13s %" PRIu64 ", %.2f %%\n", "failed", t->errors,
		 100 * ratio(t->errors, t->requests));
	text_errors(b, t);
	text_hist(b, "latency", &t->latency);
	if (r->rate_per_s && r->url)
		text_hist(b, "service time", &t->service);
	if (t->iterations || t->interrupted)
		buf_addf(b, "  %-13s %" PRIu64 " whole, %" PRIu64 " broken off at the end\n",
			 "journeys", t->iterations, t->interrupted);
	for (unsigned int i = 0; i < t->nr_checks; i++)
		if (t->checks[i].ok || t->checks[i].fails)
			buf_addf(b, "  %s %-24s %" PRIu64 " of %" PRIu64 "\n",
				 t->checks[i].fails ? "not always" : "always    ",
				 t->checks[i].name, t->checks[i].ok,
				 t->checks[i].ok + t->checks[i].fails);
	for (unsigned int i = 0; i < r->nr_thresholds; i++) {
		double v = -1;
		bool ok = threshold_met(&r->thresholds[i], t, &v);

		buf_addf(b, "  %s%s%s %s", colour ? (ok ? GREEN : RED) : "",
			 ok ? "holds " : "BROKEN", colour ? PLAIN : "", r->thresholds[i].text);
		if (v >= 0)
			buf_addf(b, "  (%.6g)\n", v);
		else
			buf_addstr(b, "  (nothing was measured)\n");
	}
}
