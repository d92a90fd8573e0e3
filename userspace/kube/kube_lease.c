// SPDX-License-Identifier: GPL-2.0-or-later
#include "kube/kube_lease.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/util.h"

#define DURATION_MAX_S 3600

int kube_lease_init(struct kube_lease *l, const char *namespace_, const char *name,
		    const char *identity, unsigned duration_s)
{
	duration_s = duration_s ?: KUBE_LEASE_DURATION_S;
	if (!kube_name_valid(namespace_) || strlen(namespace_) >= sizeof(l->namespace_) ||
	    !kube_name_valid(name) || !kube_name_valid(identity) || duration_s > DURATION_MAX_S)
		return -EINVAL;
	*l = (struct kube_lease){ .duration_s = duration_s };
	snprintf(l->namespace_, sizeof(l->namespace_), "%s", namespace_);
	snprintf(l->name, sizeof(l->name), "%s", name);
	snprintf(l->identity, sizeof(l->identity), "%s", identity);
	return 0;
}

static struct kube_ref ref_of(const struct kube_lease *l, bool named)
{
	return (struct kube_ref){ .api = "/apis/coordination.k8s.io/v1",
				  .namespace_ = l->namespace_,
				  .plural = "leases",
				  .name = named ? l->name : NULL };
}

/* MicroTime, as the API wants it: "2024-01-15T10:30:00.000000Z". */
static void add_time(cJSON *to, const char *name, int64_t wall_ms)
{
	char text[48];
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&s, &tm);
	size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03d000Z", (int)(wall_ms % 1000));
	cJSON_DeleteItemFromObjectCaseSensitive(to, name);
	cJSON_AddStringToObject(to, name, text);
}

static void set_number(cJSON *to, const char *name, double n)
{
	cJSON_DeleteItemFromObjectCaseSensitive(to, name);
	cJSON_AddNumberToObject(to, name, n);
}

/* What a Lease says. Another version than before: it lives, from now on its time runs anew. */
static void see(struct kube_lease *l, const cJSON *lease, uint64_t now_ns)
{
	const cJSON *spec = cJSON_GetObjectItemCaseSensitive(lease, "spec");
	const char *version = kube_meta(lease, "resourceVersion");
	const char *holder = json_str(spec, "holderIdentity");
	double duration = json_num(spec, "leaseDurationSeconds", 0);
	double transitions = json_num(spec, "leaseTransitions", 0);

	if (strcmp(version, l->version) != 0) {
		snprintf(l->version, sizeof(l->version), "%s", version);
		l->seen_ns = now_ns;
	}
	snprintf(l->holder, sizeof(l->holder), "%s", holder ?: "");
	/* Longer than anybody's would keep everybody out for good; shorter than a second is no time. */
	l->seen_duration_s = duration >= 1 && duration <= DURATION_MAX_S ? (unsigned)duration :
									   l->duration_s;
	l->transitions = transitions >= 0 && transitions < 1e9 ? (unsigned)transitions : 0;
}

static bool ours(const struct kube_lease *l)
{
	return !strcmp(l->holder, l->identity);
}

static bool expired(const struct kube_lease *l, uint64_t now_ns)
{
	return !l->holder[0] || now_ns - l->seen_ns >= l->seen_duration_s * NSEC_PER_SEC;
}

/* We wrote it: from @now_ns, which was before we did. */
static void hold(struct kube_lease *l, uint64_t now_ns)
{
	atomic_store(&l->until_ns, now_ns + l->duration_s * NSEC_PER_SEC * 2 / 3);
}

static int create(struct kube *k, struct kube_lease *l, uint64_t now_ns, int64_t wall_ms)
{
	CLEANUP(json_freep) cJSON *j = cJSON_CreateObject();
	CLEANUP(json_freep) cJSON *now = NULL;
	const struct kube_ref ref = ref_of(l, false);

	cJSON_AddStringToObject(j, "apiVersion", "coordination.k8s.io/v1");
	cJSON_AddStringToObject(j, "kind", "Lease");
	cJSON *meta = cJSON_AddObjectToObject(j, "metadata");
	cJSON_AddStringToObject(meta, "name", l->name);
	cJSON_AddStringToObject(meta, "namespace", l->namespace_);
	cJSON *spec = cJSON_AddObjectToObject(j, "spec");
	cJSON_AddStringToObject(spec, "holderIdentity", l->identity);
	cJSON_AddNumberToObject(spec, "leaseDurationSeconds", l->duration_s);
	cJSON_AddNumberToObject(spec, "leaseTransitions", 0);
	add_time(spec, "acquireTime", wall_ms);
	add_time(spec, "renewTime", wall_ms);
	int err = kube_create(k, &ref, j, &now);
	if (err)
		return err;
	see(l, now, now_ns);
	if (ours(l))
		hold(l, now_ns);
	return 0;
}

/* Write @lease, as it was read, with @holder as its holder. */
static int write_lease(struct kube *k, struct kube_lease *l, cJSON *lease, const char *holder,
		       unsigned duration_s, int64_t wall_ms, cJSON **ret)
{
	const struct kube_ref ref = ref_of(l, true);
	cJSON *spec = cJSON_GetObjectItemCaseSensitive(lease, "spec");

	if (!cJSON_IsObject(spec)) {
		cJSON_DeleteItemFromObjectCaseSensitive(lease, "spec");
		spec = cJSON_AddObjectToObject(lease, "spec");
	}
	if (!ours(l)) {
		set_number(spec, "leaseTransitions", l->transitions + 1.0);
		add_time(spec, "acquireTime", wall_ms);
	}
	cJSON_DeleteItemFromObjectCaseSensitive(spec, "holderIdentity");
	cJSON_AddStringToObject(spec, "holderIdentity", holder);
	set_number(spec, "leaseDurationSeconds", duration_s);
	add_time(spec, "renewTime", wall_ms);
	return kube_replace(k, &ref, lease, ret);
}

int kube_lease_step(struct kube *k, struct kube_lease *l, uint64_t now_ns, int64_t wall_ms)
{
	CLEANUP(json_freep) cJSON *lease = NULL;
	CLEANUP(json_freep) cJSON *now = NULL;
	const struct kube_ref ref = ref_of(l, true);
	int err = kube_get(k, &ref, &lease);

	if (err == -ENOENT)
		return create(k, l, now_ns, wall_ms);
	if (err)
		return err;
	see(l, lease, now_ns);
	if (!ours(l)) {
		/* Whoever holds it, we do not: even where our own time has not run out. */
		atomic_store(&l->until_ns, 0);
		if (!expired(l, now_ns))
			return 0;
	}
	err = write_lease(k, l, lease, l->identity, l->duration_s, wall_ms, &now);
	if (err)
		return err;
	see(l, now, now_ns);
	if (ours(l))
		hold(l, now_ns);
	return 0;
}

bool kube_lease_held(const struct kube_lease *l, uint64_t now_ns)
{
	return now_ns < atomic_load(&l->until_ns);
}

int kube_lease_release(struct kube *k, struct kube_lease *l, uint64_t now_ns, int64_t wall_ms)
{
	CLEANUP(json_freep) cJSON *lease = NULL;
	const struct kube_ref ref = ref_of(l, true);

	atomic_store(&l->until_ns, 0);
	int err = kube_get(k, &ref, &lease);
	if (err)
		return err;
	see(l, lease, now_ns);
	return ours(l) ? write_lease(k, l, lease, "", 1, wall_ms, NULL) : 0;
}
