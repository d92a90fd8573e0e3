// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/idempotency.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "base/util.h"

#define HASH_SIZE 32

struct entry {
	unsigned char id[HASH_SIZE]; /* of scope and key */
	unsigned char request[HASH_SIZE];
	uint64_t at_ns;
	int status; /* 0: running */
	char *body; /* owned; NULL: too large to keep */
	size_t len;
	bool used;
};

struct idempotency {
	pthread_mutex_t lock;
	struct entry entries[IDEMPOTENCY_MAX];
};

int idempotency_new(struct idempotency **ret)
{
	struct idempotency *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return 0;
}

static void entry_release(struct entry *e)
{
	free(e->body);
	*e = (struct entry){ 0 };
}

void idempotency_free(struct idempotency *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < IDEMPOTENCY_MAX; i++)
		entry_release(&t->entries[i]);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void identify(const char *scope, const char *key, unsigned char id[static HASH_SIZE])
{
	char text[IDEMPOTENCY_SCOPE_MAX + IDEMPOTENCY_KEY_MAX + 2];
	int n = snprintf(text, sizeof(text), "%s\n%s", scope, key);

	crypto_generichash(id, HASH_SIZE, (const unsigned char *)text,
			   MIN((size_t)n, sizeof(text) - 1), NULL, 0);
}

static struct entry *find(struct idempotency *t, const unsigned char id[static HASH_SIZE])
{
	for (size_t i = 0; i < IDEMPOTENCY_MAX; i++)
		if (t->entries[i].used && !memcmp(t->entries[i].id, id, HASH_SIZE))
			return &t->entries[i];
	return NULL;
}

/* A free slot, else the oldest finished one; NULL when all are running. */
static struct entry *make_room(struct idempotency *t)
{
	struct entry *oldest = NULL;

	for (size_t i = 0; i < IDEMPOTENCY_MAX; i++) {
		struct entry *e = &t->entries[i];
		if (!e->used)
			return e;
		if (e->status && (!oldest || e->at_ns < oldest->at_ns))
			oldest = e;
	}
	if (oldest)
		entry_release(oldest);
	return oldest;
}

static enum idempotency_verdict judge(const struct entry *e,
				      const unsigned char request[static HASH_SIZE], int *status,
				      char **body, size_t *len)
{
	if (memcmp(e->request, request, HASH_SIZE) != 0)
		return IDEMPOTENCY_OTHER;
	if (!e->status)
		return IDEMPOTENCY_RUNNING;
	if (!e->body)
		return IDEMPOTENCY_LOST;

	char *copy = malloc(e->len + 1);
	if (!copy)
		return IDEMPOTENCY_FULL;
	memcpy(copy, e->body, e->len + 1);
	*status = e->status;
	*body = copy;
	*len = e->len;
	return IDEMPOTENCY_REPEATED;
}

enum idempotency_verdict idempotency_begin(struct idempotency *t, const char *scope,
					   const char *key, const void *request, size_t request_len,
					   uint64_t now_ns, int *status, char **body, size_t *len)
{
	unsigned char id[HASH_SIZE], hash[HASH_SIZE];
	enum idempotency_verdict verdict = IDEMPOTENCY_FULL;

	identify(scope, key, id);
	crypto_generichash(hash, sizeof(hash), request, request_len, NULL, 0);

	pthread_mutex_lock(&t->lock);
	struct entry *e = find(t, id);
	if (e && e->status && now_ns - e->at_ns > IDEMPOTENCY_NS) {
		entry_release(e);
		e = NULL;
	}
	if (e) {
		verdict = judge(e, hash, status, body, len);
	} else if ((e = make_room(t))) {
		*e = (struct entry){ .at_ns = now_ns, .used = true };
		memcpy(e->id, id, HASH_SIZE);
		memcpy(e->request, hash, HASH_SIZE);
		verdict = IDEMPOTENCY_FIRST;
	}
	pthread_mutex_unlock(&t->lock);
	return verdict;
}

void idempotency_end(struct idempotency *t, const char *scope, const char *key, int status,
		     const char *body, size_t len)
{
	unsigned char id[HASH_SIZE];

	identify(scope, key, id);
	pthread_mutex_lock(&t->lock);
	struct entry *e = find(t, id);
	if (e && (status < 200 || status > 299)) {
		entry_release(e);
	} else if (e) {
		e->status = status;
		e->body = len <= IDEMPOTENCY_ANSWER_MAX ? malloc(len + 1) : NULL;
		if (e->body) {
			memcpy(e->body, body, len);
			e->body[len] = '\0';
			e->len = len;
		}
	}
	pthread_mutex_unlock(&t->lock);
}
