// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "remediate/judgement.h"

#define COUNT_MAX 9007199254740992.0
#define SECONDS_MAX 1e9

/* A whole number from 0 to @max; what is anything else is 0. */
static uint64_t whole(const cJSON *o, const char *name, double max)
{
	double v = json_num(o, name, 0);

	return v > 0 && v <= max ? (uint64_t)v : 0;
}

static uint64_t seconds(const cJSON *o, const char *name)
{
	double v = json_num(o, name, 0);

	return v > 0 && v < SECONDS_MAX ? (uint64_t)(v * 1e9) : 0;
}

/* An age into a time of ours; 0 where there is none. */
static uint64_t time_of(const cJSON *o, const char *name, uint64_t end_ns)
{
	double v = json_num(o, name, NAN);

	if (!isfinite(v) || v < 0 || v > SECONDS_MAX)
		return 0;
	uint64_t ago = (uint64_t)(v * 1e9);
	return ago < end_ns ? end_ns - ago : 1;
}

static void text(const cJSON *o, const char *name, char *to, size_t size)
{
	snprintf(to, size, "%s", json_str(o, name) ?: "");
}

static bool truth(const cJSON *o, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, name));
}

static bool name_of(const cJSON *o, const char *name, char to[static SERVICE_NAME_MAX])
{
	const char *given = json_str(o, name);

	if (!given || !service_name_valid(given))
		return false;
	snprintf(to, SERVICE_NAME_MAX, "%s", given);
	return true;
}

/* Whoever has an id and a name. */
static bool who_of(const cJSON *o, uint32_t *id, char name[static SERVICE_NAME_MAX])
{
	*id = (uint32_t)whole(o, "id", UINT32_MAX);
	return *id && name_of(o, "name", name);
}

/* The index of @given among @nr words; @nr where it is none. */
static int word(const char *given, const char *(*word_of)(int), int nr)
{
	int i = 0;

	while (i < nr && (!given || strcmp(given, word_of(i)) != 0))
		i++;
	return i;
}

static const char *scorer_word(int i)
{
	return scorer_name((enum scorer)i);
}

static const char *feature_word(int i)
{
	return feature_name((enum feature)i);
}

static const char *class_word(int i)
{
	return fault_class_name((enum fault_class)i);
}

static double number(const cJSON *o, const char *name)
{
	double v = json_num(o, name, 0);

	return isfinite(v) ? v : 0;
}

static bool read_verdict(const cJSON *o, uint64_t end_ns, struct verdict *v)
{
	const cJSON *f;
	int scorer = word(json_str(o, "scorer"), scorer_word, SCORER_TOTAL_LOSS + 1);

	*v = (struct verdict){ .at_ns = time_of(o, "age_s", end_ns) };
	if (!who_of(o, &v->service, v->name) || scorer > SCORER_TOTAL_LOSS)
		return false;
	v->scorer = (enum scorer)scorer;
	v->anomalous = truth(o, "anomalous");
	v->opened = truth(o, "opened");
	v->closed = truth(o, "closed");
	v->suspect = truth(o, "suspect");
	v->warm = truth(o, "warm");
	v->score = number(o, "score");
	v->classic_score = number(o, "classic_score");
	v->threshold = number(o, "threshold");
	v->baseline_samples = whole(o, "baseline_samples", UINT32_MAX);
	v->onset_ns = time_of(o, "onset_s", end_ns);
	v->opened_ns = time_of(o, "opened_s", end_ns);
	v->suspect_ns = time_of(o, "suspect_s", end_ns);
	text(o, "why", v->why, sizeof(v->why));
	cJSON_ArrayForEach(f, cJSON_GetObjectItemCaseSensitive(o, "top")) {
		int feature = word(json_str(f, "feature"), feature_word, NR_FEATURES);
		if (feature == NR_FEATURES || v->nr_top == ARRAY_SIZE(v->top))
			return false;
		v->top[v->nr_top++] = (struct feature_credit){
			.feature = (enum feature)feature,
			.share = number(f, "share"),
			.value = number(f, "value"),
			.normal = number(f, "normal"),
			.z = number(f, "z"),
		};
	}
	return true;
}

static bool read_cause(const cJSON *o, struct cause *c)
{
	const cJSON *r;
	int class = word(json_str(o, "resource"), class_word, FAULT_CLASS_DOWN + 1);

	*c = (struct cause){ .confidence = number(o, "confidence") };
	if (!who_of(o, &c->service, c->name) || class > FAULT_CLASS_DOWN)
		return false;
	c->resource = (enum fault_class) class;
	cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(o, "reasons")) {
		if (!cJSON_IsString(r) || c->nr_reasons == DIAGNOSIS_REASONS_MAX)
			return false;
		snprintf(c->reasons[c->nr_reasons++], sizeof(c->reasons[0]), "%s", r->valuestring);
	}
	return true;
}

static bool read_diagnosis(const cJSON *o, uint64_t end_ns, struct diagnosis *d)
{
	const cJSON *c;

	*d = (struct diagnosis){ .known = truth(o, "known"), .at_ns = time_of(o, "age_s", end_ns) };
	text(o, "why", d->why, sizeof(d->why));
	cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(o, "causes"))
		if (d->nr_causes == DIAGNOSIS_CAUSES_MAX ||
		    !read_cause(c, &d->causes[d->nr_causes++]))
			return false;
	cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(o, "victims")) {
		if (d->nr_victims == DIAGNOSIS_VICTIMS_MAX ||
		    !who_of(c, &d->victims[d->nr_victims].service, d->victims[d->nr_victims].name))
			return false;
		d->nr_victims++;
	}
	return !d->known || d->nr_causes;
}

static bool read_facts(const cJSON *o, uint64_t end_ns, struct service_facts *f)
{
	const cJSON *p;

	*f = (struct service_facts){ .at_ns = end_ns };
	if (!who_of(o, &f->service, f->name))
		return false;
	f->supervised = truth(o, "supervised");
	facts_workload(f, FACTS_REACH_KUBE, json_str(o, "namespace"), json_str(o, "pod"), "", "");
	f->replicas = (unsigned)whole(o, "replicas", 1e6);
	f->replicas = MAX(f->replicas, 1U);
	f->nr_pids = whole(o, "processes", SERVICE_PIDS_MAX);
	f->answered = whole(o, "answered", COUNT_MAX);
	f->failed = whole(o, "failed", COUNT_MAX);
	f->in_flight = (uint32_t)whole(o, "in_flight", UINT32_MAX);
	f->oldest_ns = seconds(o, "oldest_s");
	f->cpu_cores = number(o, "cpu_cores");
	f->window_answered = whole(o, "window_answered", COUNT_MAX);
	f->window_failed = whole(o, "window_failed", COUNT_MAX);
	f->window_caller_timeouts = whole(o, "window_caller_timeouts", COUNT_MAX);
	f->silent_ns = seconds(o, "silent_s");
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(o, "ports")) {
		if (!cJSON_IsNumber(p) || p->valuedouble < 1 || p->valuedouble > UINT16_MAX ||
		    f->nr_ports == SERVICE_PORTS_MAX)
			return false;
		f->ports[f->nr_ports++] = (uint16_t)p->valuedouble;
	}
	return true;
}

static bool read_place(const cJSON *o, struct judgement_place *p)
{
	unsigned char raw[sizeof(struct in6_addr)];

	*p = (struct judgement_place){ .port = (uint16_t)whole(o, "port", UINT16_MAX) };
	if (!who_of(o, &p->service, p->name) || !name_of(o, "local", p->local) ||
	    !name_of(o, "node", p->node))
		return false;
	text(o, "address", p->address, sizeof(p->address));
	return !*p->address ||
		inet_pton(strchr(p->address, ':') ? AF_INET6 : AF_INET, p->address, raw) == 1;
}

static int wrong(char *why, size_t size, const char *what)
{
	snprintf(why, size, "the detector's judgement holds %s that cannot be", what);
	return -EINVAL;
}

int judgement_read(const cJSON *json, uint64_t now_ns, struct judgement *ret, char *why,
		   size_t size)
{
	const cJSON *o, *diagnosis = cJSON_GetObjectItemCaseSensitive(json, "diagnosis");
	uint64_t age = seconds(json, "age_s"), end = now_ns > age ? now_ns - age : 1;

	if (json_num(json, "version", 0) != JUDGEMENT_VERSION)
		return wrong(why, size, "a version");
	ret->life = whole(json, "life", COUNT_MAX);
	ret->tick = whole(json, "tick", COUNT_MAX);
	ret->age_ns = age;
	ret->at_ns = end;
	ret->nr_verdicts = ret->nr_facts = ret->nr_places = 0;
	cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(json, "verdicts"))
		if (ret->nr_verdicts == SERVICE_MAX ||
		    !read_verdict(o, end, &ret->verdicts[ret->nr_verdicts++]))
			return wrong(why, size, "a verdict");
	cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(json, "facts"))
		if (ret->nr_facts == SERVICE_MAX ||
		    !read_facts(o, end, &ret->facts[ret->nr_facts++]))
			return wrong(why, size, "facts");
	cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(json, "nodes"))
		if (ret->nr_places == SERVICE_MAX || !read_place(o, &ret->places[ret->nr_places++]))
			return wrong(why, size, "a place");
	ret->has_diagnosis = cJSON_IsObject(diagnosis);
	if (ret->has_diagnosis && !read_diagnosis(diagnosis, end, &ret->diagnosis))
		return wrong(why, size, "a diagnosis");
	return 0;
}
