// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "incident/archive.h"

#define HASH_BYTES 32
_Static_assert(AUDIT_HASH_SIZE == 2 * HASH_BYTES + 1, "the hash as text");

/* What the chain begins with: an empty log of another making cannot be passed off as ours. */
static const char genesis[] = "archaic-ebpf audit 1";

static void feed(crypto_generichash_state *h, const char *s)
{
	uint64_t len = strlen(s);
	unsigned char prefix[8];

	for (int i = 0; i < 8; i++)
		prefix[i] = (unsigned char)(len >> (8 * i));
	crypto_generichash_update(h, prefix, sizeof(prefix));
	crypto_generichash_update(h, (const unsigned char *)s, len);
}

static void link_hash(const char *before, int64_t seq, int64_t at_ms, const char *actor,
		      const char *event, const char *json, char ret[static AUDIT_HASH_SIZE])
{
	crypto_generichash_state h;
	unsigned char hash[HASH_BYTES];
	char number[2][24];

	snprintf(number[0], sizeof(number[0]), "%lld", (long long)seq);
	snprintf(number[1], sizeof(number[1]), "%lld", (long long)at_ms);
	crypto_generichash_init(&h, NULL, 0, HASH_BYTES);
	feed(&h, before);
	feed(&h, number[0]);
	feed(&h, number[1]);
	feed(&h, actor);
	feed(&h, event);
	feed(&h, json);
	crypto_generichash_final(&h, hash, sizeof(hash));
	sodium_bin2hex(ret, AUDIT_HASH_SIZE, hash, sizeof(hash));
}

struct last {
	int64_t seq;
	char hash[AUDIT_HASH_SIZE];
};

static int take_last(const struct store_row *row, void *ctx)
{
	struct last *l = ctx;

	l->seq = store_int(row, 0);
	snprintf(l->hash, sizeof(l->hash), "%s", store_text(row, 1));
	return 0;
}

static int append_locked(struct store *s, int64_t at_ms, const char *actor, const char *event,
			 const char *json)
{
	struct last last = { 0 };
	char hash[AUDIT_HASH_SIZE];

	int err = store_query(s, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", take_last,
			      &last, "");
	if (err)
		return err;
	link_hash(last.seq ? last.hash : genesis, last.seq + 1, at_ms, actor, event, json, hash);
	return store_run(
		s,
		"INSERT INTO audit(seq, at, actor, event, json, hash) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
		"iitttt", last.seq + 1, at_ms, actor, event, json, hash);
}

int audit_append(struct store *s, int64_t at_ms, const char *actor, const char *event,
		 const char *json)
{
	if (sodium_init() < 0)
		return -EIO;
	int err = store_begin(s);
	if (err)
		return err;
	err = append_locked(s, at_ms, actor, event, json);
	if (err) {
		store_rollback(s);
		return err;
	}
	return store_commit(s);
}

struct walk {
	char hash[AUDIT_HASH_SIZE];
	bool started;
	int64_t seq, bad;
	uint64_t nr;
};

static int check_link(const struct store_row *row, void *ctx)
{
	struct walk *w = ctx;
	char hash[AUDIT_HASH_SIZE];
	int64_t seq = store_int(row, 0);

	w->nr++;
	link_hash(w->started ? w->hash : genesis, seq, store_int(row, 1), store_text(row, 2),
		  store_text(row, 3), store_text(row, 4), hash);
	if (seq != w->seq + 1 || strcmp(hash, store_text(row, 5)) != 0) {
		w->bad = seq;
		return -EBADMSG;
	}
	w->started = true;
	w->seq = seq;
	memcpy(w->hash, hash, sizeof(w->hash));
	return 0;
}

int audit_verify(struct store *s, uint64_t *nr, int64_t *bad_seq)
{
	struct walk w = { 0 };

	if (sodium_init() < 0)
		return -EIO;
	int err = store_query(s, "SELECT seq, at, actor, event, json, hash FROM audit ORDER BY seq",
			      check_link, &w, "");
	*nr = w.nr;
	*bad_seq = w.bad;
	return err;
}
