// SPDX-License-Identifier: GPL-2.0-or-later
/* One load test's record: from the generator's lines, to the interface's object. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "load/load_internal.h"

#define EXIT_THRESHOLDS 99 /* as k6 has it */
#define NUMBER_MAX 9007199254740992.0

static const struct load_shape shapes[] = {
	{ "normal", 10, 30, "10 users for 30 s: sign up, log in, look, fill the cart, pay" },
	{ "spike", 50, 45, "from none to 50 users and back to none, in 45 s" },
	{ "endurance", 5, 120, "5 users for 2 minutes" },
	{ "stress", 100, 70, "more and more users, up to 100, in 70 s" },
	{ 0 },
};

const struct load_shape *load_shapes(void)
{
	return shapes;
}

/* ---- lines */

static bool is_count(double v)
{
	return v >= 0 && v <= NUMBER_MAX;
}

static void take_count(const cJSON *o, const char *name, uint64_t *ret)
{
	double v = json_num(o, name, -1);

	if (is_count(v))
		*ret = (uint64_t)v;
}

static void take_number(const cJSON *o, const char *name, double *ret)
{
	double v = json_num(o, name, -1);

	if (is_count(v))
		*ret = v;
}

static void take_text(const cJSON *o, const char *name, char to[static LOAD_NAME_MAX])
{
	snprintf(to, LOAD_NAME_MAX, "%s", json_str(o, name) ?: "");
	/* A character that was cut in two is no text any more. */
	for (size_t n = strlen(to); n == LOAD_NAME_MAX - 1 && n && (to[n - 1] & 0x80); n--)
		to[n - 1] = '\0';
}

static void take_checks(struct load *l, const cJSON *list)
{
	const cJSON *o;

	l->nr_checks = 0;
	cJSON_ArrayForEach(o, list) {
		if (l->nr_checks == LOAD_CHECKS_MAX)
			break;
		struct load_check *c = &l->checks[l->nr_checks++];
		*c = (struct load_check){ 0 };
		take_text(o, "name", c->name);
		take_count(o, "ok", &c->ok);
		take_count(o, "fails", &c->fails);
	}
}

static void take_thresholds(struct load *l, const cJSON *list)
{
	const cJSON *o;

	l->nr_thresholds = 0;
	cJSON_ArrayForEach(o, list) {
		if (l->nr_thresholds == LOAD_THRESHOLDS_MAX)
			break;
		struct load_threshold *t = &l->thresholds[l->nr_thresholds++];
		take_text(o, "expr", t->expr);
		t->ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "ok"));
	}
}

static bool not_ours(struct load *l, const char *line, size_t len)
{
	l->bad_lines++;
	if (len) {
		snprintf(l->words, sizeof(l->words), "%.*s", (int)MIN(len, sizeof(l->words) - 1),
			 line);
		for (char *c = l->words; *c; c++)
			if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
				*c = '?';
	}
	return false;
}

bool load_line(struct load *l, const char *line, size_t len)
{
	CLEANUP(json_freep) cJSON *o = NULL;
	const char *why, *type;

	if (json_parse(line, len, &o, &why))
		return not_ours(l, line, len);
	type = json_str(o, "type");
	if (!type || (strcmp(type, "progress") != 0 && strcmp(type, "summary") != 0))
		return not_ours(l, line, len);
	const cJSON *latency = cJSON_GetObjectItemCaseSensitive(o, "latency_ms");
	l->heard = true;
	take_number(o, "remaining_s", &l->remaining_s);
	take_number(o, "rate_per_s", &l->rate_per_s);
	take_count(o, "vus", &l->vus);
	take_count(o, "requests", &l->requests);
	take_count(o, "errors", &l->errors);
	take_number(latency, "p50", &l->p50_ms);
	take_number(latency, "p90", &l->p90_ms);
	take_number(latency, "p99", &l->p99_ms);
	if (!strcmp(type, "summary")) {
		l->summed_up = true;
		take_checks(l, cJSON_GetObjectItemCaseSensitive(o, "checks"));
		take_thresholds(l, cJSON_GetObjectItemCaseSensitive(o, "thresholds"));
	}
	return true;
}

/* ---- the end */

static size_t broken_thresholds(const struct load *l)
{
	size_t nr = 0;

	for (size_t i = 0; i < l->nr_thresholds; i++)
		nr += !l->thresholds[i].ok;
	return nr;
}

static void say_error(struct load *l, int code, int status, bool late)
{
	l->state = LOAD_ERROR;
	if (late)
		snprintf(l->says, sizeof(l->says),
			 "the generator did not end in its time, and was killed");
	else if (code != CLD_EXITED)
		snprintf(l->says, sizeof(l->says), "the generator was killed by signal %d", status);
	else
		snprintf(l->says, sizeof(l->says), "the generator failed (exit status %d)%s%.120s",
			 status, *l->words ? ": " : "", l->words);
}

void load_ended(struct load *l, int code, int status, bool stopped, bool late, int64_t now_ms)
{
	l->ended_ms = now_ms;
	l->remaining_s = 0;
	l->vus = 0;
	if (stopped) {
		l->state = LOAD_STOPPED;
		snprintf(l->says, sizeof(l->says), "stopped after %.0f s, %llu requests",
			 (double)(now_ms - l->started_ms) / 1e3, (unsigned long long)l->requests);
	} else if (late || code != CLD_EXITED || (status != 0 && status != EXIT_THRESHOLDS)) {
		say_error(l, code, status, late);
	} else if (!l->summed_up) {
		l->state = LOAD_ERROR;
		snprintf(l->says, sizeof(l->says), "the generator ended without a summary");
	} else if (status == 0) {
		l->state = LOAD_PASSED;
		snprintf(l->says, sizeof(l->says), "passed: %llu requests, %llu errors",
			 (unsigned long long)l->requests, (unsigned long long)l->errors);
	} else {
		l->state = LOAD_FAILED;
		snprintf(l->says, sizeof(l->says), "failed: %zu of %zu thresholds do not hold",
			 broken_thresholds(l), l->nr_thresholds);
	}
}

/* ---- the object */

static void add_known(cJSON *to, const char *name, double v, bool known)
{
	if (known && isfinite(v))
		cJSON_AddNumberToObject(to, name, round(v * 1000) / 1000);
	else
		cJSON_AddNullToObject(to, name);
}

static void add_time(cJSON *to, const char *name, int64_t ms)
{
	char text[CLOCK_TEXT_SIZE];

	cJSON_AddStringToObject(to, name, clock_format(ms, text));
}

static void add_lists(cJSON *to, const struct load *l)
{
	cJSON *list = cJSON_AddArrayToObject(to, "checks");

	for (size_t i = 0; i < l->nr_checks; i++) {
		cJSON *o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "name", l->checks[i].name);
		cJSON_AddNumberToObject(o, "ok", (double)l->checks[i].ok);
		cJSON_AddNumberToObject(o, "fails", (double)l->checks[i].fails);
		cJSON_AddItemToArray(list, o);
	}
	list = cJSON_AddArrayToObject(to, "thresholds");
	for (size_t i = 0; i < l->nr_thresholds; i++) {
		cJSON *o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "expr", l->thresholds[i].expr);
		cJSON_AddBoolToObject(o, "ok", l->thresholds[i].ok);
		cJSON_AddItemToArray(list, o);
	}
}

cJSON *load_json(const struct load *l, int64_t now_ms)
{
	static const char *const states[] = {
		[LOAD_RUNNING] = "running", [LOAD_PASSED] = "passed", [LOAD_FAILED] = "failed",
		[LOAD_STOPPED] = "stopped", [LOAD_ERROR] = "error",
	};
	cJSON *o = cJSON_CreateObject();
	bool running = l->state == LOAD_RUNNING;

	cJSON_AddStringToObject(o, "id", l->id);
	cJSON_AddStringToObject(o, "shape", l->shape->name);
	cJSON_AddBoolToObject(o, "with_failures", l->with_failures);
	cJSON_AddStringToObject(o, "state", states[l->state]);
	add_time(o, "started_at", l->started_ms);
	add_time(o, "ends_at", running ? now_ms + (int64_t)(l->remaining_s * 1e3) : l->ended_ms);
	add_known(o, "remaining_s", l->remaining_s, true);
	add_known(o, "vus", (double)l->vus, l->heard);
	add_known(o, "rate_per_s", l->rate_per_s, l->heard);
	cJSON_AddNumberToObject(o, "requests", (double)l->requests);
	cJSON_AddNumberToObject(o, "errors", (double)l->errors);
	add_known(o, "error_ratio", l->requests ? (double)l->errors / (double)l->requests : NAN,
		  true);
	cJSON *latency = cJSON_AddObjectToObject(o, "latency_ms");
	add_known(latency, "p50", l->p50_ms, l->heard);
	add_known(latency, "p90", l->p90_ms, l->heard);
	add_known(latency, "p99", l->p99_ms, l->heard);
	add_lists(o, l);
	cJSON_AddStringToObject(o, "says", l->says);
	return o;
}
