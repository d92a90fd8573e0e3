// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/auth/users.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/util.h"

#define HASH_PASSES 2
#define HASH_BYTES (19U << 20)

struct user {
	char email[USERS_EMAIL_MAX];
	char id[USERS_ID_SIZE];
	char hash[crypto_pwhash_STRBYTES];
	UT_hash_handle hh;
};

static struct {
	pthread_mutex_t lock;
	struct user *by_email;               /* guarded by lock */
	char nobody[crypto_pwhash_STRBYTES]; /* a hash that no password has */
	pthread_mutex_t hash_lock;
	pthread_cond_t hash_free;
	unsigned int hashing, waiting; /* guarded by hash_lock */
} g = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.hash_lock = PTHREAD_MUTEX_INITIALIZER,
	.hash_free = PTHREAD_COND_INITIALIZER };

int users_email(const char *email, char ret[static USERS_EMAIL_MAX])
{
	const char *at = strrchr(email, '@');
	size_t len = strlen(email);

	if (!at || at == email || at - email > 64 || len >= USERS_EMAIL_MAX)
		return -EINVAL;
	for (const char *s = email; s < at; s++)
		if (!isalnum((unsigned char)*s) && !strchr("!#$%&'*+-/=?^_`{|}~.", *s))
			return -EINVAL;

	const char *dot = NULL;
	for (const char *s = at + 1; *s; s++) {
		bool edge = s == at + 1 || s[-1] == '.' || !s[1] || s[1] == '.';
		if (*s == '.' ? edge : !isalnum((unsigned char)*s) && (*s != '-' || edge))
			return -EINVAL;
		if (*s == '.')
			dot = s;
	}
	if (!dot)
		return -EINVAL;
	for (size_t i = 0; i <= len; i++)
		ret[i] = (char)tolower((unsigned char)email[i]);
	return 0;
}

static int hash_begin(void)
{
	int err = 0;

	pthread_mutex_lock(&g.hash_lock);
	if (g.hashing >= USERS_HASHING_MAX && g.waiting >= USERS_WAITING_MAX) {
		err = -EBUSY;
	} else {
		g.waiting++;
		while (g.hashing >= USERS_HASHING_MAX)
			pthread_cond_wait(&g.hash_free, &g.hash_lock);
		g.waiting--;
		g.hashing++;
	}
	pthread_mutex_unlock(&g.hash_lock);
	return err;
}

static void hash_end(void)
{
	pthread_mutex_lock(&g.hash_lock);
	g.hashing--;
	pthread_cond_signal(&g.hash_free);
	pthread_mutex_unlock(&g.hash_lock);
}

static int hash_password(const char *password, char hash[static crypto_pwhash_STRBYTES])
{
	int err = hash_begin();

	if (err)
		return err;
	err = crypto_pwhash_str_alg(hash, password, strlen(password), HASH_PASSES, HASH_BYTES,
				    crypto_pwhash_ALG_ARGON2ID13);
	hash_end();
	return err ? -ENOMEM : 0;
}

int users_init(void)
{
	unsigned char random[32];
	char password[65];

	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(password, sizeof(password), random, sizeof(random));
	return hash_password(password, g.nobody);
}

void users_release(void)
{
	struct user *u, *next;

	HASH_ITER(hh, g.by_email, u, next) {
		HASH_DEL(g.by_email, u);
		free(u);
	}
}

/* With the lock held. */
static struct user *find(const char *email)
{
	struct user *u = NULL;

	HASH_FIND_STR(g.by_email, email, u);
	return u;
}

static int insert(struct user *u)
{
	if (find(u->email))
		return -EEXIST;
	if (HASH_COUNT(g.by_email) >= USERS_MAX)
		return -ENOSPC;
	HASH_ADD_STR(g.by_email, email, u);
	return find(u->email) == u ? 0 : -ENOMEM;
}

static bool known(const char *email)
{
	pthread_mutex_lock(&g.lock);
	bool found = find(email);
	pthread_mutex_unlock(&g.lock);
	return found;
}

int users_add(const char *email, const char *password, char id[static USERS_ID_SIZE])
{
	unsigned char random[8];
	CLEANUP(freep) struct user *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	if (known(email)) /* cheaply, before the hash; insert() decides */
		return -EEXIST;
	int err = hash_password(password, u->hash);
	if (err)
		return err;

	memcpy(u->email, email, strlen(email) + 1);
	randombytes_buf(random, sizeof(random));
	memcpy(u->id, "u-", 2);
	sodium_bin2hex(u->id + 2, sizeof(u->id) - 2, random, sizeof(random));
	pthread_mutex_lock(&g.lock);
	err = insert(u);
	pthread_mutex_unlock(&g.lock);
	if (err)
		return err;
	/* Users are never removed before users_release(): reading ours without the lock is safe. */
	memcpy(id, TAKE_PTR(u)->id, USERS_ID_SIZE);
	return 0;
}

int users_login(const char *email, const char *password, char id[static USERS_ID_SIZE])
{
	pthread_mutex_lock(&g.lock);
	struct user *u = find(email);
	pthread_mutex_unlock(&g.lock);

	int err = hash_begin();
	if (err)
		return err;
	bool right = !crypto_pwhash_str_verify(u ? u->hash : g.nobody, password, strlen(password));
	hash_end();
	if (!u || !right)
		return -EACCES;
	memcpy(id, u->id, USERS_ID_SIZE);
	return 0;
}
