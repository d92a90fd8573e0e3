// SPDX-License-Identifier: GPL-2.0-or-later
/* Prometheus text 0.0.4 and OpenMetrics 1.0, from a snapshot. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "serve/metrics_family.h"

#define NUMBER_MAX 40

struct writer {
	struct buf *out;
	bool openmetrics;
	/* Of the family at hand: a full table has some 100,000 lines that end in one of these. */
	char bounds[METRICS_BOUNDS_MAX + 1][NUMBER_MAX];
};

/* The shortest text that reads back as @v; OpenMetrics wants a point or an exponent. */
static void write_number(const struct writer *w, double v, char text[static NUMBER_MAX])
{
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, NUMBER_MAX - 3, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	if (w->openmetrics && !strpbrk(text, ".en"))
		snprintf(text + strlen(text), 3, ".0");
}

static int add_number(struct writer *w, double v)
{
	char text[NUMBER_MAX];

	write_number(w, v, text);
	return buf_addstr(w->out, text);
}

static int add_count(struct writer *w, uint64_t n)
{
	char text[24], *at = text + sizeof(text);

	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	return buf_add(w->out, at, (size_t)(text + sizeof(text) - at));
}

/* In OpenMetrics a counter's family has no _total; its samples have. */
static int add_head(struct writer *w, const struct metric_family *f)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram" };
	size_t len = strlen(f->name);

	if (w->openmetrics && f->kind == METRIC_COUNTER)
		len -= strlen("_total");
	return buf_addf(w->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)len, f->name, f->help,
			(int)len, f->name, kinds[f->kind]);
}

static int add_exemplar(struct writer *w, const struct metric_exemplar *ex)
{
	int err = buf_addstr(w->out, " # {trace_id=");

	err = err ?: text_json(w->out, ex->trace_id) ?: buf_addstr(w->out, "} ");
	err = err ?: add_number(w, ex->value);
	return err ?:
		     buf_addf(w->out, " %lld.%03d", (long long)(ex->wall_ms / 1000),
			      (int)(ex->wall_ms % 1000));
}

static int add_bucket(struct writer *w, const struct metric_family *f,
		      const struct metric_series *s, size_t i, uint64_t cumulative)
{
	int err = buf_addstr(w->out, f->name) ?: buf_addstr(w->out, "_bucket{");

	err = err ?: buf_addstr(w->out, s->labels);
	err = err ?: buf_addstr(w->out, *s->labels ? ",le=\"" : "le=\"");
	err = err ?: buf_addstr(w->out, w->bounds[i]) ?: buf_addstr(w->out, "\"} ");
	err = err ?: add_count(w, cumulative);
	if (!err && w->openmetrics && s->exemplars && *s->exemplars[i].trace_id)
		err = add_exemplar(w, &s->exemplars[i]);
	return err ?: buf_addstr(w->out, "\n");
}

static int add_plain(struct writer *w, const char *name, const char *suffix,
		     const struct metric_series *s, double v)
{
	int err = buf_addf(w->out, "%s%s", name, suffix);

	if (!err && *s->labels)
		err = buf_addf(w->out, "{%s}", s->labels);
	err = err ?: buf_addstr(w->out, " ");
	err = err ?: add_number(w, v);
	return err ?: buf_addstr(w->out, "\n");
}

static int add_series(struct writer *w, const struct metric_family *f,
		      const struct metric_series *s)
{
	uint64_t cumulative = 0;
	int err = 0;

	if (f->kind != METRIC_HISTOGRAM)
		return add_plain(w, f->name, "", s, s->value);
	for (size_t i = 0; i <= f->nr_bounds && !err; i++) {
		cumulative += s->buckets[i];
		err = add_bucket(w, f, s, i, cumulative);
	}
	err = err ?: add_plain(w, f->name, "_sum", s, s->sum_ns / 1e9);
	err = err ?: buf_addf(w->out, "%s_count", f->name);
	if (!err && *s->labels)
		err = buf_addf(w->out, "{%s}", s->labels);
	return err ?: buf_addf(w->out, " %llu\n", (unsigned long long)cumulative);
}

static int add_overflow_counts(struct writer *w, const struct metrics *m)
{
	const struct metric_family *f = metric_family(METRIC_SERIES_OVERFLOW);
	bool begun = false;
	int err = 0;

	for (size_t i = 0; i < NR_METRICS && !err; i++) {
		if (!m->table[i].folded)
			continue;
		err = begun ? 0 : add_head(w, f);
		begun = true;
		err = err ?:
			    buf_addf(w->out, "%s{metric=\"%s\"} %llu\n", f->name,
				     metric_family((enum metric)i)->name,
				     (unsigned long long)m->table[i].folded);
	}
	return err;
}

static void begin_family(struct writer *w, const struct metric_family *f)
{
	for (size_t i = 0; i < f->nr_bounds; i++)
		write_number(w, (double)f->bounds[i] / 1e9, w->bounds[i]);
	snprintf(w->bounds[f->nr_bounds], NUMBER_MAX, "+Inf");
}

int metrics_render(const struct metrics *m, bool openmetrics, struct buf *out)
{
	struct writer w = { .out = out, .openmetrics = openmetrics };
	int err = 0;

	for (size_t i = 0; i < NR_METRICS && !err; i++) {
		const struct metric_family *f = metric_family((enum metric)i);
		if (!m->table[i].series && !m->table[i].overflow)
			continue;
		begin_family(&w, f);
		err = add_head(&w, f);
		for (const struct metric_series *s = m->table[i].series; s && !err; s = s->hh.next)
			err = add_series(&w, f, s);
		if (!err && m->table[i].overflow)
			err = add_series(&w, f, m->table[i].overflow);
	}
	err = err ?: add_overflow_counts(&w, m);
	if (!err && openmetrics)
		err = buf_addstr(out, "# EOF\n");
	return err;
}

/* The weight that one media range of an Accept header has; 1 where it says none. */
static double weight(const char *range, size_t len)
{
	const char *q = memmem(range, len, "q=", 2);

	return q ? strtod(q + 2, NULL) : 1;
}

bool metrics_wants_openmetrics(const char *accept)
{
	static const char open_type[] = "application/openmetrics-text";
	double open = 0, plain = 0;

	while (accept && *accept) {
		accept += strspn(accept, ", \t");
		size_t len = strcspn(accept, ",");
		if (!strncasecmp(accept, open_type, sizeof(open_type) - 1))
			open = MAX(open, weight(accept, len));
		else if (!strncasecmp(accept, "text/plain", 10) || !strncmp(accept, "*/*", 3))
			plain = MAX(plain, weight(accept, len));
		accept += len;
	}
	return open > 0 && open >= plain;
}
