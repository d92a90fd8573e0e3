// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Samples by a service account's token: the Kubernetes API is asked whose it is (TokenReview), and the
 * answer is kept for a while, by the token's hash alone. One question at a time; whoever waits is on a
 * connection's own thread.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "kube/kube.h"
#include "run_roles.h"

#define KEPT_MAX 128 /* tokens: of 64 nodes, and the one that each had before */
#define YES_NS (60 * NSEC_PER_SEC)
#define NO_NS (5 * NSEC_PER_SEC)
#define HASH_SIZE 32

struct kept {
	unsigned char hash[HASH_SIZE];
	uint64_t until_ns; /* 0: free */
	bool yes;
};

struct review {
	pthread_mutex_t lock;
	struct kube *kube;
	atomic_bool cancel;
	char user[CONFIG_TEXT_MAX + 32]; /* "system:serviceaccount:NAMESPACE:NAME" */
	struct kept kept[KEPT_MAX];
	uint64_t told_ns;
};

int review_open(struct daemon *d)
{
	struct kube_config k = { 0 };
	char why[200] = "";
	struct review *r;

	if (!*d->config->roles.token_review)
		return 0;
	int err = kube_config_load(getenv("KUBECONFIG"), &k, why, sizeof(why));
	if (err) {
		log_error("the Kubernetes API cannot be used to review tokens: %s", why);
		return err;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		kube_config_release(&k);
		return -ENOMEM;
	}
	pthread_mutex_init(&r->lock, NULL);
	snprintf(r->user, sizeof(r->user), "system:serviceaccount:%s",
		 d->config->roles.token_review);
	d->review = r;
	err = kube_new(&k, &r->cancel, &r->kube);
	kube_config_release(&k);
	return err;
}

void review_close(struct daemon *d)
{
	struct review *r = d->review;

	if (!r)
		return;
	kube_free(r->kube);
	pthread_mutex_destroy(&r->lock);
	free(r);
	d->review = NULL;
}

bool review_says_yes(const cJSON *answer, const char *user)
{
	const char *name =
		cJSON_GetStringValue(kube_at(answer, "status", "user", "username", NULL));

	return cJSON_IsTrue(kube_at(answer, "status", "authenticated", NULL)) && name &&
		!strcmp(name, user);
}

/* 0 with the answer, or -errno: nobody could tell. */
static int ask(struct review *r, const char *token, bool *yes)
{
	static const struct kube_ref reviews = { .api = "/apis/authentication.k8s.io/v1",
						 .plural = "tokenreviews" };
	CLEANUP(json_freep) cJSON *body = cJSON_CreateObject(), *answer = NULL;

	cJSON_AddStringToObject(body, "apiVersion", "authentication.k8s.io/v1");
	cJSON_AddStringToObject(body, "kind", "TokenReview");
	cJSON_AddStringToObject(cJSON_AddObjectToObject(body, "spec"), "token", token);
	int err = kube_create(r->kube, &reviews, body, &answer);
	if (!err)
		*yes = review_says_yes(answer, r->user);
	return err;
}

/* The token's place: the one that has it, else the one that ends first. */
static struct kept *place_of(struct review *r, const unsigned char *hash)
{
	struct kept *first = &r->kept[0];

	for (size_t i = 0; i < KEPT_MAX; i++) {
		struct kept *k = &r->kept[i];
		if (k->until_ns && !sodium_memcmp(k->hash, hash, HASH_SIZE))
			return k;
		if (k->until_ns < first->until_ns)
			first = k;
	}
	return first;
}

static bool vouch(struct review *r, const char *token, uint64_t now_ns)
{
	unsigned char hash[HASH_SIZE];

	crypto_generichash(hash, sizeof(hash), (const unsigned char *)token, strlen(token), NULL,
			   0);
	struct kept *k = place_of(r, hash);
	if (k->until_ns > now_ns && !sodium_memcmp(k->hash, hash, HASH_SIZE))
		return k->yes;
	bool yes = false;
	int err = ask(r, token, &yes);
	if (err) {
		if (!r->told_ns || now_ns - r->told_ns > YES_NS)
			log_warning("an agent's token cannot be reviewed: %s", kube_why(r->kube));
		r->told_ns = now_ns;
		return false;
	}
	memcpy(k->hash, hash, sizeof(hash));
	k->yes = yes;
	k->until_ns = now_ns + (yes ? YES_NS : NO_NS);
	return yes;
}

bool op_vouched(void *ctx, const char *authorization)
{
	static const char scheme[] = "Bearer ";
	struct review *r = ((struct daemon *)ctx)->review;

	if (strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return false;
	pthread_mutex_lock(&r->lock);
	bool yes = vouch(r, authorization + sizeof(scheme) - 1, clock_mono_ns());
	pthread_mutex_unlock(&r->lock);
	return yes;
}
