// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/shape.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

/* The compiler runs in the tree's root. */
__asm__(".section .rodata\n"
	"load_shapes:\n"
	".incbin \"tools/load/shapes.json\"\n"
	"load_shapes_end:\n"
	".byte 0\n"
	".previous\n");
extern const char load_shapes[], load_shapes_end[];

static int refuse(const char **why, const char *sentence)
{
	*why = sentence;
	return -EINVAL;
}

static int parse_seconds(const cJSON *all, const char *name, uint64_t *ret)
{
	double s = json_num(all, name, -1);

	if (s < 0 || s > 3600)
		return -EINVAL;
	*ret = (uint64_t)(s * 1e9);
	return 0;
}

static int parse_stages(const cJSON *list, struct shape *s)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) {
		const char *text = json_str(item, "duration");
		double target = json_num(item, "target", -1);
		struct shape_stage *st = &s->stages[s->nr_stages];

		if (s->nr_stages == SHAPE_STAGES_MAX || !text ||
		    text_to_duration_ns(text, &st->duration_ns) || !st->duration_ns || target < 0 ||
		    target > SHAPE_USERS_MAX || target != floor(target))
			return -EINVAL;
		st->target = (unsigned int)target;
		s->nr_stages++;
	}
	return s->nr_stages ? 0 : -EINVAL;
}

static int parse_thresholds(const cJSON *object, struct shape *s, const char **why)
{
	const cJSON *metric, *expr;

	cJSON_ArrayForEach(metric, object) {
		cJSON_ArrayForEach(expr, metric) {
			char text[THRESHOLD_TEXT_MAX];

			if (!cJSON_IsString(expr) || s->nr_thresholds == THRESHOLDS_MAX)
				return refuse(why, "its thresholds are no texts, or too many");
			snprintf(text, sizeof(text), "%s:%s", metric->string, expr->valuestring);
			if (threshold_parse(text, &s->thresholds[s->nr_thresholds++], why))
				return -EINVAL;
		}
	}
	return s->nr_thresholds ? 0 : refuse(why, "it has no thresholds");
}

int shape_parse(const char *json, size_t len, const char *name, bool with_failures,
		struct shape *ret, const char **why)
{
	CLEANUP(json_freep) cJSON *all = NULL;
	struct shape s = { 0 };

	if (json_parse(json, len, &all, why))
		return -EINVAL;
	const cJSON *shapes = cJSON_GetObjectItemCaseSensitive(all, "shapes");
	const cJSON *found = cJSON_GetObjectItemCaseSensitive(shapes, name);
	if (!found)
		return -ENOENT;
	double start = json_num(found, "start_vus", -1);
	if (start < 0 || start > SHAPE_USERS_MAX || start != floor(start))
		return refuse(why, "its start_vus must be a whole number of 0 to 1000");
	s.start_users = (unsigned int)start;
	snprintf(s.name, sizeof(s.name), "%s", name);
	snprintf(s.says, sizeof(s.says), "%s", json_str(found, "says") ?: "");
	if (parse_seconds(all, "step_pause_s", &s.step_pause_ns) ||
	    parse_seconds(all, "pause_s", &s.pause_ns) ||
	    parse_seconds(all, "grace_s", &s.grace_ns))
		return refuse(why, "pauses and grace must be seconds, 0 to 3600");
	if (parse_stages(cJSON_GetObjectItemCaseSensitive(found, "stages"), &s))
		return refuse(why,
			      "its stages must have a duration and a target of 0 to 1000 users");
	int err = parse_thresholds(
		cJSON_GetObjectItemCaseSensitive(
			found, with_failures ? "thresholds_with_failures" : "thresholds"),
		&s, why);
	if (!err)
		*ret = s;
	return err;
}

int shape_find(const char *name, bool with_failures, struct shape *ret)
{
	const char *why;

	return shape_parse(load_shapes, (size_t)(load_shapes_end - load_shapes), name,
			   with_failures, ret, &why);
}

static void list_one(struct buf *b, const struct shape *s)
{
	buf_addf(b, "%s{\"name\":", b->data[b->len - 1] == '[' ? "" : ",");
	text_json(b, s->name);
	buf_addstr(b, ",\"says\":");
	text_json(b, s->says);
	buf_addf(b, ",\"duration_s\":%.0f,\"vus_max\":%u,\"stages\":[{\"at_s\":0,\"vus\":%u}",
		 (double)shape_duration_ns(s) / 1e9, shape_users_max(s), s->start_users);
	uint64_t at_ns = 0;
	for (unsigned int i = 0; i < s->nr_stages; i++) {
		at_ns += s->stages[i].duration_ns;
		buf_addf(b, ",{\"at_s\":%.0f,\"vus\":%u}", (double)at_ns / 1e9,
			 s->stages[i].target);
	}
	buf_addstr(b, "],\"thresholds\":[");
	for (unsigned int i = 0; i < s->nr_thresholds; i++) {
		if (i)
			buf_addstr(b, ",");
		text_json(b, s->thresholds[i].text);
	}
	buf_addstr(b, "]}");
}

int shape_list(struct buf *b)
{
	CLEANUP(json_freep) cJSON *all = NULL;
	const cJSON *item;
	const char *why;
	struct shape s;

	int err = json_parse(load_shapes, (size_t)(load_shapes_end - load_shapes), &all, &why) ?:
		buf_addstr(b, "{\"items\":[");
	if (err)
		return err;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(all, "shapes")) {
		err = shape_find(item->string, false, &s);
		if (err)
			return err;
		list_one(b, &s);
	}
	return buf_addstr(b, "]}");
}

uint64_t shape_duration_ns(const struct shape *s)
{
	uint64_t ns = 0;

	for (unsigned int i = 0; i < s->nr_stages; i++)
		ns += s->stages[i].duration_ns;
	return ns;
}

void shape_squeeze(struct shape *s, uint64_t total_ns)
{
	double by = (double)total_ns / (double)shape_duration_ns(s);

	for (unsigned int i = 0; i < s->nr_stages; i++)
		s->stages[i].duration_ns = (uint64_t)((double)s->stages[i].duration_ns * by);
}

unsigned int shape_users_max(const struct shape *s)
{
	unsigned int most = s->start_users;

	for (unsigned int i = 0; i < s->nr_stages; i++)
		most = MAX(most, s->stages[i].target);
	return most;
}

unsigned int shape_users(const struct shape *s, uint64_t elapsed_ns)
{
	double from = s->start_users;

	for (unsigned int i = 0; i < s->nr_stages; i++) {
		const struct shape_stage *st = &s->stages[i];

		if (elapsed_ns < st->duration_ns) {
			double done = (double)elapsed_ns / (double)st->duration_ns;

			return (unsigned int)(from + ((double)st->target - from) * done + .5);
		}
		elapsed_ns -= st->duration_ns;
		from = st->target;
	}
	return 0;
}
