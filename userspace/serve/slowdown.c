// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/slowdown.h"

#include <netinet/in.h>
#include <string.h>

#include "base/util.h"

static void key_of(const struct sockaddr *from, uint8_t key[static 16])
{
	memset(key, 0, 16);
	if (from->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
		key[10] = key[11] = 0xff;
		memcpy(key + 12, &v4->sin_addr, 4);
	} else if (from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
		memcpy(key, &v6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 16 : 8);
	}
}

static struct slowdown_entry *find(struct slowdown *s, const uint8_t key[static 16])
{
	for (size_t i = 0; i < SLOWDOWN_ADDRESSES; i++)
		if (s->entries[i].last_ns && !memcmp(s->entries[i].address, key, 16))
			return &s->entries[i];
	return NULL;
}

static struct slowdown_entry *take(struct slowdown *s, const uint8_t key[static 16],
				   uint64_t now_ns)
{
	struct slowdown_entry *e = &s->entries[0];

	for (size_t i = 1; i < SLOWDOWN_ADDRESSES; i++)
		if (s->entries[i].last_ns < e->last_ns)
			e = &s->entries[i];
	s->evicted += e->last_ns && now_ns < e->last_ns + SLOWDOWN_FORGET_NS;
	*e = (struct slowdown_entry){ 0 };
	memcpy(e->address, key, 16);
	return e;
}

uint64_t slowdown_wrong(struct slowdown *s, const struct sockaddr *from, uint64_t now_ns)
{
	uint8_t key[16];

	key_of(from, key);
	struct slowdown_entry *e = find(s, key) ?: take(s, key, now_ns);
	if (now_ns >= e->last_ns + SLOWDOWN_FORGET_NS)
		e->wrong = 0;
	e->wrong++;
	e->last_ns = now_ns ?: 1;
	s->wrong++;
	uint64_t wait_ns = SLOWDOWN_FIRST_NS << MIN(e->wrong - 1, 16U);
	return MIN(wait_ns, SLOWDOWN_WAIT_MAX_NS);
}

void slowdown_right(struct slowdown *s, const struct sockaddr *from)
{
	uint8_t key[16];

	key_of(from, key);
	struct slowdown_entry *e = find(s, key);
	if (e)
		*e = (struct slowdown_entry){ 0 };
}

size_t slowdown_addresses(const struct slowdown *s, uint64_t now_ns)
{
	size_t nr = 0;

	for (size_t i = 0; i < SLOWDOWN_ADDRESSES; i++)
		nr += s->entries[i].last_ns && now_ns < s->entries[i].last_ns + SLOWDOWN_FORGET_NS;
	return nr;
}
