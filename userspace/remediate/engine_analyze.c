// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "remediate/engine_internal.h"

#define ALERTS_MAX 64 /* taken of one webhook: the rest comes with the repetition */

/* One alert of either form, in our terms. Text is borrowed from the body. */
struct alert {
	const char *source; /* static */
	char key[72];
	char name[SERVICE_NAME_MAX]; /* as it was given, for people */
	char text[PLAN_WHY_MAX];
	const struct service_facts *service; /* NULL: not one of ours */
	bool resolved;
	double score, threshold;
	enum scorer scorer;
};

/* ---- whose is it? */

static const struct service_facts *by_name(const struct engine *e, const char *name)
{
	static const char suffix[] =
		"-service"; /* "db-service" on a cluster is "db" here, and the other way round */
	size_t n = strlen(name), cut = n;

	if (n > sizeof(suffix) - 1 && !strcmp(name + n - (sizeof(suffix) - 1), suffix))
		cut = n - (sizeof(suffix) - 1);
	for (size_t k = 0; k < e->nr_facts; k++)
		if (!strcmp(e->facts[k].name, name))
			return &e->facts[k];
	for (size_t k = 0; k < e->nr_facts; k++) {
		const char *ours = e->facts[k].name;
		size_t m = strlen(ours);
		if (m == cut && cut != n && !strncmp(ours, name, cut))
			return &e->facts[k];
		if (m == n + sizeof(suffix) - 1 && !strncmp(ours, name, n) &&
		    !strcmp(ours + n, suffix))
			return &e->facts[k];
	}
	return NULL;
}

/* "host:8002": the port is what we can know it by, when just one of ours has it. */
static const struct service_facts *by_instance(const struct engine *e, const char *instance)
{
	const char *colon = strrchr(instance, ':');
	char *end = NULL;
	unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
	const struct service_facts *found = NULL;

	if (!port || port > 65535 || *end)
		return NULL;
	for (size_t k = 0; k < e->nr_facts; k++)
		for (size_t p = 0; p < e->facts[k].nr_ports; p++)
			if (e->facts[k].ports[p] == port) {
				if (found && found != &e->facts[k])
					return NULL;
				found = &e->facts[k];
			}
	return found;
}

static void resolve(const struct engine *e, const cJSON *labels, struct alert *a)
{
	static const char *const names[] = { "service", "service_name", "app", "job" };
	const char *first = NULL, *instance = json_str(labels, "instance");

	for (size_t k = 0; k < ARRAY_SIZE(names) && !a->service; k++) {
		const char *name = json_str(labels, names[k]);
		first = first ? first : name;
		a->service = name ? by_name(e, name) : NULL;
	}
	if (!a->service && instance) {
		a->service = by_instance(e, instance);
		first = first ? first : instance;
	}
	char clean[PLAN_WHY_MAX];
	llm_clean_why(a->service ? a->service->name : first ? first : "", clean);
	snprintf(a->name, sizeof(a->name), "%.63s", clean);
	incident_trim(a->name);
}

/* ---- the two forms */

static enum scorer scorer_of(const char *name)
{
	for (int s = SCORER_NONE; name && s <= SCORER_TOTAL_LOSS; s++)
		if (!strcmp(name, scorer_name((enum scorer)s)))
			return (enum scorer)s;
	return SCORER_NONE;
}

static int is_resolved(const cJSON *body, bool *ret, struct problem *p)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(body, "status");
	const char *status = cJSON_GetStringValue(j);

	*ret = false;
	if (!j)
		*ret = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(body, "anomalous"));
	else if (status && !strcmp(status, "resolved"))
		*ret = true;
	else if (!status || strcmp(status, "firing") != 0)
		return problem_parameter(p, 400, "status", status ? status : "not text",
					 "\"firing\" or \"resolved\"");
	return 0;
}

static int read_detector(const struct engine *e, const cJSON *body, struct alert *a,
			 struct problem *p)
{
	const char *service = json_str(body, "service"), *why = json_str(body, "why");

	*a = (struct alert){ .source = "analyze" };
	if (!service || !*service)
		return problem_set(
			p, 400,
			"the body is neither an anomaly (an object with \"service\") nor an Alertmanager webhook "
			"(version \"4\" with \"alerts\")");
	resolve(e, body, a);
	llm_clean_why(why ? why : "an anomaly was sent", a->text);
	snprintf(a->key, sizeof(a->key), "service:%s", a->name);
	a->score = json_num(body, "score", 0);
	a->threshold = json_num(body, "threshold", 0);
	a->scorer = scorer_of(json_str(body, "scorer"));
	return is_resolved(body, &a->resolved, p);
}

static int read_alertmanager(const struct engine *e, const cJSON *alert, struct alert *a,
			     struct problem *p)
{
	const cJSON *labels = cJSON_GetObjectItemCaseSensitive(alert, "labels");
	const cJSON *notes = cJSON_GetObjectItemCaseSensitive(alert, "annotations");
	const char *fingerprint = json_str(alert, "fingerprint"),
		   *name = json_str(labels, "alertname");
	const char *summary = json_str(notes, "summary");
	char text[PLAN_WHY_MAX] = "";

	*a = (struct alert){ .source = "alertmanager" };
	if (!cJSON_IsObject(labels))
		return problem_set(p, 400, "an alert has no \"labels\"");
	resolve(e, labels, a);
	summary = summary ? summary : json_str(notes, "description");
	llm_clean_why(name ? name : "an alert", text);
	text[80] = '\0';
	incident_trim(text);
	snprintf(a->text, sizeof(a->text), "%.80s: ", text);
	llm_clean_why(summary ? summary : "no summary", text);
	snprintf(a->text + strlen(a->text), sizeof(a->text) - strlen(a->text), "%.180s", text);
	incident_trim(a->text);
	if (fingerprint && *fingerprint)
		snprintf(a->key, sizeof(a->key), "fp:%.63s", fingerprint);
	else
		snprintf(a->key, sizeof(a->key), "am:%.63s", a->name);
	return is_resolved(alert, &a->resolved, p);
}

/* ---- into incidents */

static struct incident_external *external_of(struct incident *i, const char *key)
{
	for (size_t k = 0; k < i->nr_external; k++)
		if (!strcmp(i->external[k].key, key))
			return &i->external[k];
	return NULL;
}

static struct incident *with_external(struct engine *e, const char *key)
{
	for (size_t k = 0; k < e->nr; k++)
		if (e->table[k]->live && external_of(e->table[k], key))
			return e->table[k];
	return NULL;
}

static struct incident *with_member(struct engine *e, uint32_t service)
{
	for (size_t k = 0; k < e->nr; k++)
		if (e->table[k]->live && e->table[k]->state != INCIDENT_REPAIRED &&
		    incident_has_member(e->table[k], service))
			return e->table[k];
	return NULL;
}

/* All strangers share one incident: a sender of many names must not fill the table. */
static struct incident *of_strangers(struct engine *e)
{
	for (size_t k = 0; k < e->nr; k++)
		if (e->table[k]->live && !e->table[k]->nr_members)
			return e->table[k];
	return NULL;
}

static void remember(struct engine *e, struct incident *i, const struct alert *a, uint64_t now_ns)
{
	struct incident_external *x = external_of(i, a->key);

	if (!x && i->nr_external == INCIDENT_EXTERNAL_MAX) {
		i->dropped++;
		return;
	}
	if (!x) {
		x = &i->external[i->nr_external++];
		memcpy(x->key, a->key, sizeof(x->key));
	}
	x->until_ns = now_ns + e->config.external_ttl_ns;
	i->calm_since_ns = 0;
}

static void add_evidence(struct incident *i, const struct alert *a, uint64_t now_ns)
{
	struct incident_evidence *x = incident_add_evidence(i);

	if (!x)
		return;
	x->service = a->service ? a->service->service : 0;
	memcpy(x->service_name, a->name, sizeof(x->service_name));
	x->at_ns = now_ns;
	snprintf(x->source, sizeof(x->source), "%s", a->source);
	x->scorer = a->scorer;
	x->score = a->score;
	x->threshold = a->threshold;
	snprintf(x->text, sizeof(x->text), "%.230s", a->text);
	incident_trim(x->text);
}

static struct incident *fire(struct engine *e, const struct alert *a, uint64_t now_ns)
{
	struct incident *i = a->service ? with_member(e, a->service->service) : of_strangers(e);
	bool fresh = !i, repeated = i && external_of(i, a->key);

	if (fresh)
		i = engine_open(e, now_ns);
	if (!i)
		return NULL;
	remember(e, i, a, now_ns);
	if (repeated)
		return i;
	if (fresh) {
		cJSON *j = cJSON_CreateObject();
		cJSON_AddStringToObject(j, "service", a->name);
		cJSON_AddStringToObject(j, "source", a->source);
		engine_audit(e, i, a->source, "opened", now_ns, j);
		incident_note(i, now_ns, "onset", "reported from outside");
	}
	incident_note(i, now_ns, "anomaly", "%.63s, from outside (%s): %.150s",
		      a->name[0] ? a->name : "no service named", a->source, a->text);
	add_evidence(i, a, now_ns);
	if (a->service) {
		incident_add_member(i, a->service->service);
		engine_adopt_external(e, i, a->service, a->text, now_ns);
	} else {
		engine_escalate(
			e, i, now_ns,
			"the service is not known here: its root cause cannot be looked for");
	}
	return i;
}

/* What it alone kept open is calm from here on; the next ticks close it when our own eyes agree. */
static struct incident *resolve_alert(struct engine *e, const struct alert *a, uint64_t now_ns)
{
	struct incident *i = with_external(e, a->key);

	if (!i && a->service && !strncmp(a->key, "service:", 8))
		i = with_member(e, a->service->service);
	struct incident_external *x = i ? external_of(i, a->key) : NULL;
	if (!x)
		return i;
	*x = i->external[--i->nr_external];
	incident_note(i, now_ns, "note", "resolved from outside: %.63s", a->name);
	bool idle = i->state == INCIDENT_OPEN || i->state == INCIDENT_PLANNED ||
		i->state == INCIDENT_ESCALATED || i->state == INCIDENT_AWAITING_APPROVAL;
	bool only_outside = i->external_diagnosis || !i->nr_members;
	if (idle && only_outside && !i->nr_external && !incident_acted(i)) {
		i->result = INCIDENT_RESULT_HEALED;
		e->stats.healed++;
		engine_count(e, i, "healed");
		incident_note(i, now_ns, "healed", "resolved with no action of ours");
		engine_close(e, i, INCIDENT_CLOSED, now_ns);
	}
	return i;
}

static int take(struct engine *e, const struct alert *a, uint64_t now_ns,
		const struct incident **first, struct problem *p)
{
	struct incident *i = a->resolved ? resolve_alert(e, a, now_ns) : fire(e, a, now_ns);

	if (!i && !a->resolved)
		return problem_set(p, 422, "%d incidents are open: no more are opened (limit)",
				   ENGINE_LIVE_MAX);
	if (!*first)
		*first = i;
	return 0;
}

static int analyze_webhook(struct engine *e, uint64_t now_ns, const cJSON *body,
			   const struct incident **first, struct problem *p)
{
	const cJSON *alerts = cJSON_GetObjectItemCaseSensitive(body, "alerts"), *one;
	const char *version = json_str(body, "version");
	struct alert list[ALERTS_MAX];
	size_t nr = 0;

	if (!version || strcmp(version, "4") != 0)
		return problem_parameter(p, 400, "version", version ? version : "missing",
					 "\"4\" (Alertmanager's webhook)");
	if (!cJSON_IsArray(alerts) || !alerts->child)
		return problem_set(p, 400, "\"alerts\" must be an array of one or more alerts");
	/* Read all before any is taken: a bad one must not leave half of them behind. */
	cJSON_ArrayForEach(one, alerts) {
		if (nr == ALERTS_MAX)
			break;
		int err = read_alertmanager(e, one, &list[nr++], p);
		if (err)
			return err;
	}
	for (size_t k = 0; k < nr; k++) {
		int err = take(e, &list[k], now_ns, first, p);
		if (err)
			return err;
	}
	return 0;
}

int engine_analyze(struct engine *e, uint64_t now_ns, const cJSON *body,
		   const struct incident **ret, struct problem *p)
{
	const struct incident *first = NULL;
	struct alert a;
	int err;

	if (cJSON_GetObjectItemCaseSensitive(body, "alerts")) {
		err = analyze_webhook(e, now_ns, body, &first, p);
	} else {
		err = read_detector(e, body, &a, p);
		if (!err)
			err = take(e, &a, now_ns, &first, p);
	}
	engine_flush(e, now_ns);
	if (!err)
		*ret = first;
	return err;
}
