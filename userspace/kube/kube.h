/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kube.h - a small client of the Kubernetes API: get, list, create, replace, patch, delete.
 *
 * Turns a reference (group, namespace, kind in plural, name) into one call and its answer into a
 * cJSON tree. Answers are untrusted: bounded in size, nesting and number; what is looked up in
 * them is checked where it is used. Paths are made of checked names alone, so that no outside
 * text can name another object.
 *
 * What changes something is asked with dryRun=All first and only then in earnest: a denial, a
 * conflict or an admission's no is known before anything has happened. Patches and replacements
 * carry the resourceVersion that was read, deletions it and the uid: what has changed meanwhile is
 * left alone (-EBUSY).
 *
 * Blocks for up to the time-out of each call: never on the sampler's thread. One thread at a
 * time per struct kube; make one per thread. A token in a file is read anew for each call.
 */
#ifndef ARCHAIC_KUBE_H
#define ARCHAIC_KUBE_H

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/kube_config.h"

#define KUBE_NAME_MAX 254        /* a DNS subdomain and the NUL */
#define KUBE_BODY_MAX (8u << 20) /* bytes of an answer */
#define KUBE_DEPTH_MAX 40        /* managedFields nest deep */
#define KUBE_PAGE 200            /* items asked for at once */
#define KUBE_ITEMS_MAX 10000     /* of one list */
#define KUBE_TIMEOUT_MS 5000
#define KUBE_SELECTOR_MAX 512

struct kube;

/* Borrowed texts; NULL: not given. */
struct kube_ref {
	const char *api;        /* "/api/v1", "/apis/apps/v1" */
	const char *namespace_; /* NULL: of the cluster, or of all namespaces */
	const char *plural;     /* "pods" */
	const char *name;       /* NULL: the list */
	const char *sub;        /* "scale", "status" */
};

/** kube_new() - @config: taken over (and zeroed) on success. @cancel: true ends a call soon; may be NULL. 0 or -ENOMEM. */
int kube_new(struct kube_config *config, const atomic_bool *cancel, struct kube **ret);
void kube_free(struct kube *k);

/** kube_namespace() - ours. */
const char *kube_namespace(const struct kube *k);

/** kube_timeout() - bound each call by @ms instead of KUBE_TIMEOUT_MS. */
void kube_timeout(struct kube *k, uint32_t ms);

/** kube_why() - the last failure in one sentence, with what the API said where it said something. */
const char *kube_why(const struct kube *k);

/** kube_status() - the HTTP status of the last answer; 0: there was none. */
int kube_status(const struct kube *k);

/**
 * kube_get() - one object (or with @ref->name NULL a list as it is). @ret: owned by the caller, on success.
 *
 * Errors here and below: -EACCES (401, 403), -ENOENT (404), -EBUSY (409: changed or exists), -ESTALE
 * (410), -EINVAL (400, 422, or a reference with an invalid name: then nothing was asked), -EAGAIN (429),
 * -EIO (other statuses), -EHOSTUNREACH, -ETIMEDOUT, -EBADE (TLS), -EMSGSIZE (too large), -EPROTO
 * (not what an API says), -ECANCELED, -ENOMEM, and what reading the token's file says.
 */
int kube_get(struct kube *k, const struct kube_ref *ref, cJSON **ret);

/**
 * kube_list() - every item of a list, page by page. @selector: labels, "app=db,tier!=x"; NULL: all.
 * @each: gets each item, borrowed; non-zero ends the list and is returned.
 * @version: the list's resourceVersion, where a watch goes on; may be NULL. KUBE_VERSION_MAX bytes.
 */
#define KUBE_VERSION_MAX 64
int kube_list(struct kube *k, const struct kube_ref *ref, const char *selector,
	      int (*each)(void *ctx, const cJSON *item), void *ctx, char *version);

/** kube_create() - POST @body to the list of @ref. dryRun first. @ret: may be NULL. */
int kube_create(struct kube *k, const struct kube_ref *ref, const cJSON *body, cJSON **ret);

/** kube_replace() - PUT @body, whose metadata.resourceVersion must be there (-EINVAL). No dry run: for what is ours (a Lease). */
int kube_replace(struct kube *k, const struct kube_ref *ref, const cJSON *body, cJSON **ret);

/**
 * kube_patch() - a JSON merge patch, or where @body is an array a JSON patch (RFC 6902). dryRun first.
 * @version: is put into metadata.resourceVersion, in @body itself. @dry_only: nothing after the dry run.
 * @ret: the object afterwards; may be NULL.
 */
int kube_patch(struct kube *k, const struct kube_ref *ref, cJSON *body, const char *version,
	       bool dry_only, cJSON **ret);

/**
 * kube_delete() - exactly the object with that uid and resourceVersion. dryRun first.
 * @grace_s: a pod's time to end by itself; -1: its own.
 */
int kube_delete(struct kube *k, const struct kube_ref *ref, const char *uid, const char *version,
		int grace_s);

/** kube_path() - a reference into the URL's path; -EINVAL where a name is none, -EMSGSIZE. Pure. */
int kube_path(const struct kube_ref *ref, char *ret, size_t size);

/** kube_name_valid() - a DNS-1123 subdomain: the form of every name that we use. */
bool kube_name_valid(const char *name);

/** kube_at() - a member of a member: kube_at(j, "metadata", "uid", NULL). Borrowed; NULL where missing. */
const cJSON *kube_at(const cJSON *j, ...) __attribute__((sentinel));

/** kube_meta() - text of metadata; "" where missing, or too long to be one (KUBE_NAME_MAX). */
const char *kube_meta(const cJSON *object, const char *name);

static inline void kube_freep(struct kube **k)
{
	kube_free(*k);
}

/* ---- watch: see kube_watch.h. What it needs of the client. */

/** kube_stream() - GET @path (with its query) and hand over the answer's bytes as they come, up to @timeout_ms. */
int kube_stream(struct kube *k, const char *path, uint32_t timeout_ms,
		int (*on_data)(void *ctx, const char *data, size_t len), void *ctx);

/** kube_cancelled() */
bool kube_cancelled(const struct kube *k);

#endif
