// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/series_answer.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

#define UNIX_MAX_S 253402300799.0 /* the end of the year 9999 */

/* "Z", "+02:00" or "-05:30" after the time of day; seconds east of UTC. */
static bool parse_zone(const char *text, int64_t *ret)
{
	int hours, minutes, end = 0;

	if (!strcmp(text, "Z") || !strcmp(text, "z")) {
		*ret = 0;
		return true;
	}
	if ((*text != '+' && *text != '-') || strlen(text) != 6 ||
	    sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &end) != 2 || end != 5 || hours > 23 ||
	    minutes > 59 || hours < 0 || minutes < 0)
		return false;
	*ret = (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return true;
}

static int parse_rfc3339(const char *text, int64_t *ret)
{
	struct tm t = { 0 };
	int64_t zone;
	int end = 0;

	if (strlen(text) < 20 || (text[10] != 'T' && text[10] != 't') ||
	    sscanf(text, "%4d-%2d-%2d%*1[Tt]%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday,
		   &t.tm_hour, &t.tm_min, &t.tm_sec, &end) != 6 ||
	    end != 19)
		return -EINVAL;
	const char *rest = text + end;
	if (*rest == '.') {
		size_t digits = strspn(rest + 1, "0123456789");
		if (!digits)
			return -EINVAL;
		rest += 1 + digits;
	}
	struct tm given = t;
	if (t.tm_mon < 1 || t.tm_mon > 12 || !parse_zone(rest, &zone))
		return -EINVAL;
	t.tm_year -= 1900;
	t.tm_mon--;
	int64_t at = timegm(&t);
	/* timegm() takes the 31st of April for the 1st of May. */
	if (t.tm_mday != given.tm_mday || t.tm_hour != given.tm_hour || t.tm_min != given.tm_min ||
	    t.tm_sec != given.tm_sec || at - zone < 0)
		return -EINVAL;
	*ret = at - zone;
	return 0;
}

int series_parse_time(const char *text, int64_t *ret)
{
	double at;

	if (!text_to_double(text, 0, UNIX_MAX_S, &at)) {
		*ret = (int64_t)floor(at);
		return 0;
	}
	return parse_rfc3339(text, ret);
}

uint32_t series_auto_step(int64_t span_s)
{
	static const uint32_t steps[] = { 1,   2,   5,   10,   20,   30,   60,    120,
					  300, 600, 900, 1800, 3600, 7200, 14400, 43200 };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (span_s <= (int64_t)steps[i] * SERIES_AUTO_POINTS)
			return steps[i];
	return SERIES_STEP_MAX_S;
}

int series_parse_metrics(const char *text, unsigned *metrics, bool *heat)
{
	enum series_metric m;

	*heat = false;
	*metrics = text ? 0 : SERIES_ALL;
	for (const char *p = text; p; p = *p ? p + 1 : NULL) {
		size_t len = strcspn(p, ",");
		if (len == 4 && !strncmp(p, "heat", 4))
			*heat = true;
		else if (!series_metric_parse(p, len, &m))
			*metrics |= 1U << m;
		else
			return -EINVAL;
		p += len;
	}
	return 0;
}

/* Five digits: more than the history knows. */
static int render_values(const float *v, size_t nr, struct buf *to)
{
	int err = buf_addstr(to, "[");

	for (size_t i = 0; i < nr && !err; i++)
		err = isnan(v[i]) ? buf_addstr(to, i ? ",null" : "null") :
				    buf_addf(to, "%s%.5g", i ? "," : "", (double)v[i]);
	return err ?: buf_addstr(to, "]");
}

static int render_heat(const struct series_window *w, struct buf *to)
{
	int err = buf_addstr(to, ",\"heat\":{\"bounds_ms\":[");

	for (size_t k = 0; k < SERIES_HEAT_BUCKETS - 1 && !err; k++)
		err = buf_addf(to, "%s%g", k ? "," : "", series_heat_bound_ms(k));
	err = err ?: buf_addstr(to, "],\"counts\":[");
	for (size_t i = 0; i < w->nr && !err; i++) {
		err = buf_addstr(to, i ? "," : "");
		if (!w->heat_known[i]) {
			err = err ?: buf_addstr(to, "null");
			continue;
		}
		for (size_t k = 0; k < SERIES_HEAT_BUCKETS && !err; k++)
			err = buf_addf(to, "%c%u", k ? ',' : '[', w->heat[i][k]);
		err = err ?: buf_addstr(to, "]");
	}
	return err ?: buf_addstr(to, "]}");
}

int series_render(const struct series_window *w, const char *service, unsigned metrics, bool heat,
		  struct buf *to)
{
	bool first = true;
	int err = buf_addstr(to, "{\"service\":") ?: text_json(to, service);

	err = err ?:
		    buf_addf(to, ",\"from\":%lld,\"to\":%lld,\"step_s\":%u,\"series\":[",
			     (long long)w->from_s, (long long)(w->from_s + (int64_t)w->nr * w->step_s),
			     w->step_s);
	for (int m = 0; m < NR_SERIES_METRICS && !err; m++) {
		if (!(metrics & 1U << m))
			continue;
		err = buf_addf(to,
			       "%s{\"metric\":\"%s\",\"unit\":\"%s\",\"values\":", first ? "" : ",",
			       series_metric_name(m), series_metric_unit(m));
		err = err ?: render_values(w->values[m], w->nr, to);
		err = err ?: buf_addstr(to, "}");
		first = false;
	}
	err = err ?: buf_addstr(to, "]");
	if (heat && !err)
		err = render_heat(w, to);
	return err ?: buf_addstr(to, "}\n");
}
