// SPDX-License-Identifier: GPL-2.0-or-later
#include "kube/kube_workload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "base/util.h"

static const struct {
	const char *kind, *plural;
} kinds[] = {
	{ "Deployment", "deployments" },
	{ "StatefulSet", "statefulsets" },
	{ "DaemonSet", "daemonsets" },
	{ "ReplicaSet", "replicasets" },
};

static const char *plural_of(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].kind, kind))
			return kinds[i].plural;
	return NULL;
}

/* Whole or empty: half a uid would be another's. */
static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from && strlen(from) < size ? from : "");
}

static unsigned number(const cJSON *j, const char *name, unsigned fallback)
{
	double n = json_num(j, name, fallback);

	return n >= 0 && n <= KUBE_REPLICAS_MAX ? (unsigned)n : fallback;
}

/* The one of ownerReferences that is marked as the controller. */
static const cJSON *controller_of(const cJSON *object)
{
	const cJSON *o;

	cJSON_ArrayForEach(o, kube_at(object, "metadata", "ownerReferences", NULL)) {
		if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "controller")))
			return o;
	}
	return NULL;
}

static bool pod_ready(const cJSON *pod)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, kube_at(pod, "status", "conditions", NULL)) {
		const char *type = json_str(c, "type"), *status = json_str(c, "status");
		if (type && status && !strcmp(type, "Ready"))
			return !strcmp(status, "True");
	}
	return false;
}

int kube_pod_read(struct kube *k, const char *namespace_, const char *name, struct kube_pod *ret)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const struct kube_ref ref = { "/api/v1", namespace_, "pods", name, NULL };
	struct kube_pod p = { 0 };
	int err = kube_get(k, &ref, &j);

	if (err)
		return err;
	const cJSON *owner = controller_of(j);
	copy(p.namespace_, sizeof(p.namespace_), namespace_);
	copy(p.name, sizeof(p.name), name);
	copy(p.uid, sizeof(p.uid), kube_meta(j, "uid"));
	copy(p.version, sizeof(p.version), kube_meta(j, "resourceVersion"));
	copy(p.owner_kind, sizeof(p.owner_kind), json_str(owner, "kind"));
	copy(p.owner_name, sizeof(p.owner_name), json_str(owner, "name"));
	copy(p.owner_uid, sizeof(p.owner_uid), json_str(owner, "uid"));
	p.ready = pod_ready(j);
	p.ending = *kube_meta(j, "deletionTimestamp") != '\0';
	if (!p.uid[0] || !p.version[0])
		return -EPROTO;
	*ret = p;
	return 0;
}

/* "app=db,tier=x" of the labels alone; "" where something else selects as well. */
static void read_selector(const cJSON *spec, char *ret, size_t size)
{
	const cJSON *l, *selector = cJSON_GetObjectItemCaseSensitive(spec, "selector");
	size_t used = 0;

	*ret = '\0';
	if (cJSON_GetObjectItemCaseSensitive(selector, "matchExpressions"))
		return;
	cJSON_ArrayForEach(l, cJSON_GetObjectItemCaseSensitive(selector, "matchLabels")) {
		int n = cJSON_IsString(l) ? snprintf(ret + used, size - used, "%s%s=%s",
						     used ? "," : "", l->string, l->valuestring) :
					    -1;
		if (n < 0 || (size_t)n >= size - used) {
			*ret = '\0';
			return;
		}
		used += (size_t)n;
	}
}

/* An int, or "25%" of @replicas rounded down, as the Deployment controller does. */
static unsigned share(const cJSON *j, unsigned replicas, unsigned fallback)
{
	const char *text = cJSON_GetStringValue(j);
	uint64_t percent = 0;
	char digits[8];

	if (cJSON_IsNumber(j))
		return j->valuedouble >= 0 && j->valuedouble <= KUBE_REPLICAS_MAX ?
			(unsigned)j->valuedouble :
			fallback;
	size_t len = text ? strlen(text) : 0;
	if (len < 2 || len > sizeof(digits) || text[len - 1] != '%')
		return fallback;
	snprintf(digits, sizeof(digits), "%.*s", (int)len - 1, text);
	return text_to_u64(digits, 0, 100, &percent) ? fallback :
						       (unsigned)(replicas * percent / 100);
}

static void read_strategy(const cJSON *spec, struct kube_workload *w)
{
	bool deployment = !strcmp(w->kind, "Deployment");
	const cJSON *s =
		cJSON_GetObjectItemCaseSensitive(spec, deployment ? "strategy" : "updateStrategy");
	const char *type = json_str(s, "type");
	unsigned fallback = deployment ? w->replicas / 4 : 1;

	w->rolling = type && !strcmp(type, "RollingUpdate");
	w->unavailable_max =
		share(kube_at(s, "rollingUpdate", "maxUnavailable", NULL), w->replicas, fallback);
	/* The controllers round up to one where nothing else could go on. */
	if (!deployment)
		w->unavailable_max = MAX(w->unavailable_max, 1U);
}

static void read_status(const cJSON *j, struct kube_workload *w)
{
	const cJSON *meta = cJSON_GetObjectItemCaseSensitive(j, "metadata");
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(j, "status");
	bool seen = json_num(status, "observedGeneration", 0) >= json_num(meta, "generation", 1e18);
	uint64_t revision = 0;
	const char *text = cJSON_GetStringValue(
		kube_at(meta, "annotations", "deployment.kubernetes.io/revision", NULL));

	if (!strcmp(w->kind, "DaemonSet")) {
		w->replicas = number(status, "desiredNumberScheduled", 0);
		w->ready = number(status, "numberReady", 0);
		w->settled = seen && number(status, "updatedNumberScheduled", 0) == w->replicas &&
			number(status, "numberAvailable", 0) == w->replicas;
		return;
	}
	w->ready = number(status, "readyReplicas", 0);
	w->settled = seen && number(status, "updatedReplicas", 0) == w->replicas &&
		number(status, "replicas", 0) == w->replicas &&
		number(status, "availableReplicas", 0) == w->replicas;
	if (text && !text_to_u64(text, 1, 1U << 31, &revision))
		w->revision = (unsigned)revision;
}

int kube_workload_read(struct kube *k, const char *namespace_, const char *kind, const char *name,
		       struct kube_workload *ret)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	struct kube_workload w = { .plural = plural_of(kind) };
	const struct kube_ref ref = { KUBE_API_APPS, namespace_, w.plural, name, NULL };

	if (!w.plural)
		return -ENOENT;
	int err = kube_get(k, &ref, &j);
	if (err)
		return err;
	const cJSON *spec = cJSON_GetObjectItemCaseSensitive(j, "spec");
	copy(w.namespace_, sizeof(w.namespace_), namespace_);
	copy(w.kind, sizeof(w.kind), kind);
	copy(w.name, sizeof(w.name), name);
	copy(w.uid, sizeof(w.uid), kube_meta(j, "uid"));
	copy(w.version, sizeof(w.version), kube_meta(j, "resourceVersion"));
	w.generation = json_num(cJSON_GetObjectItemCaseSensitive(j, "metadata"), "generation", -1);
	w.replicas = number(spec, "replicas", 1);
	w.paused = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(spec, "paused"));
	read_selector(spec, w.selector, sizeof(w.selector));
	read_status(j, &w);
	read_strategy(spec, &w);
	if (!w.uid[0] || !w.version[0])
		return -EPROTO;
	*ret = w;
	return 0;
}

/* A ReplicaSet's own controller; @name empty where it has none. */
static int deployment_of(struct kube *k, const struct kube_pod *pod, char *name, size_t size)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const struct kube_ref ref = { KUBE_API_APPS, pod->namespace_, "replicasets",
				      pod->owner_name, NULL };
	int err = kube_get(k, &ref, &j);

	if (err)
		return err;
	const cJSON *owner = controller_of(j);
	const char *kind = json_str(owner, "kind");
	copy(name, size, kind && !strcmp(kind, "Deployment") ? json_str(owner, "name") : "");
	return 0;
}

int kube_workload_of(struct kube *k, const struct kube_pod *pod, struct kube_workload *ret)
{
	char name[KUBE_NAME_MAX] = "";
	int err = 0;

	if (!pod->owner_name[0] || !plural_of(pod->owner_kind))
		return -ENOENT;
	if (!strcmp(pod->owner_kind, "ReplicaSet"))
		err = deployment_of(k, pod, name, sizeof(name));
	if (err)
		return err;
	return name[0] ?
		kube_workload_read(k, pod->namespace_, "Deployment", name, ret) :
		kube_workload_read(k, pod->namespace_, pod->owner_kind, pod->owner_name, ret);
}

struct counting {
	const char *owner_uid, *but_uid;
	unsigned nr;
};

static int count_ready(void *ctx, const cJSON *pod)
{
	struct counting *c = ctx;
	const char *owner = json_str(controller_of(pod), "uid");

	c->nr += owner && !strcmp(owner, c->owner_uid) &&
		strcmp(kube_meta(pod, "uid"), c->but_uid) != 0 &&
		!*kube_meta(pod, "deletionTimestamp") && pod_ready(pod);
	return 0;
}

int kube_pods_ready(struct kube *k, const char *namespace_, const char *selector,
		    const char *owner_uid, const char *but_uid, unsigned *ret)
{
	struct counting c = { owner_uid, but_uid, 0 };
	const struct kube_ref ref = { "/api/v1", namespace_, "pods", NULL, NULL };
	int err = kube_list(k, &ref, *selector ? selector : NULL, count_ready, &c, NULL);

	if (!err)
		*ret = c.nr;
	return err;
}

struct scaling {
	const struct kube_workload *w;
	bool found;
};

static int find_scaler(void *ctx, const cJSON *hpa)
{
	struct scaling *s = ctx;
	const cJSON *target = kube_at(hpa, "spec", "scaleTargetRef", NULL);
	const char *kind = json_str(target, "kind"), *name = json_str(target, "name");

	s->found |= kind && name && !strcmp(kind, s->w->kind) && !strcmp(name, s->w->name);
	return 0;
}

int kube_autoscaled(struct kube *k, const struct kube_workload *w, bool *ret)
{
	struct scaling s = { w, false };
	const struct kube_ref ref = { "/apis/autoscaling/v2", w->namespace_,
				      "horizontalpodautoscalers", NULL, NULL };
	int err = kube_list(k, &ref, NULL, find_scaler, &s, NULL);

	if (!err)
		*ret = s.found;
	return err;
}
