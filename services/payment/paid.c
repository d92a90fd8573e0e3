// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/payment/paid.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>

#define DIGEST_BYTES 16

/* A ring of digests: ids are of any length. An all-zero digest is an empty place. */
static struct {
	pthread_mutex_t lock;
	unsigned char ring[PAID_MAX][DIGEST_BYTES];
	unsigned int next;
} g = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void digest(const char *session, unsigned char ret[static DIGEST_BYTES])
{
	crypto_generichash(ret, DIGEST_BYTES, (const unsigned char *)session, strlen(session), NULL,
			   0);
}

/* With the lock held. */
static unsigned char *find(const unsigned char *d)
{
	for (unsigned int i = 0; i < PAID_MAX; i++)
		if (!memcmp(g.ring[i], d, DIGEST_BYTES))
			return g.ring[i];
	return NULL;
}

bool paid_claim(const char *session)
{
	unsigned char d[DIGEST_BYTES];

	digest(session, d);
	pthread_mutex_lock(&g.lock);
	bool first = !find(d);
	if (first) {
		memcpy(g.ring[g.next], d, DIGEST_BYTES);
		g.next = (g.next + 1) % PAID_MAX;
	}
	pthread_mutex_unlock(&g.lock);
	return first;
}

void paid_unclaim(const char *session)
{
	unsigned char d[DIGEST_BYTES];

	digest(session, d);
	pthread_mutex_lock(&g.lock);
	unsigned char *place = find(d);
	if (place)
		memset(place, 0, DIGEST_BYTES);
	pthread_mutex_unlock(&g.lock);
}

bool paid_known(const char *session)
{
	unsigned char d[DIGEST_BYTES];

	digest(session, d);
	pthread_mutex_lock(&g.lock);
	bool found = find(d);
	pthread_mutex_unlock(&g.lock);
	return found;
}
