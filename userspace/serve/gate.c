// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/gate.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

#define HOST_MAX 255

/* "[::1]:8005" -> "::1", "db.local:80" -> "db.local". False: not a host. */
static bool split_host(const char *host, char name[static HOST_MAX + 1])
{
	bool bracket = *host == '[';
	const char *start = host + bracket;
	size_t len = strcspn(start, bracket ? "]" : ":");
	const char *rest = start + len;

	if (!len || len > HOST_MAX)
		return false;
	if (bracket && *rest++ != ']')
		return false;
	if (*rest == ':' && (!rest[1] || rest[1 + strspn(rest + 1, "0123456789")]))
		return false;
	if (*rest && *rest != ':')
		return false;
	memcpy(name, start, len);
	name[len] = '\0';
	return true;
}

bool gate_host_ok(const char *host, const char *const *names)
{
	char name[HOST_MAX + 1];
	struct in_addr v4;
	struct in6_addr v6;

	if (!host || !split_host(host, name))
		return false;
	if (!strcasecmp(name, "localhost"))
		return true;
	if (inet_pton(AF_INET, name, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, name, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	for (; names && *names; names++)
		if (!strcasecmp(name, *names))
			return true;
	return false;
}

bool gate_origin_ok(const char *origin, const char *host)
{
	static const char *const schemes[] = { "http://", "https://" };

	if (!origin)
		return true;
	for (size_t i = 0; host && i < ARRAY_SIZE(schemes); i++) {
		size_t n = strlen(schemes[i]);
		if (!strncasecmp(origin, schemes[i], n))
			return !strcasecmp(origin + n, host);
	}
	return false;
}

bool gate_token_ok(const char *authorization, const char *token)
{
	static const char scheme[] = "Bearer ";
	unsigned char given[32], wanted[32];

	if (!authorization || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return false;
	authorization += sizeof(scheme) - 1;
	crypto_generichash(given, sizeof(given), (const unsigned char *)authorization,
			   strlen(authorization), NULL, 0);
	crypto_generichash(wanted, sizeof(wanted), (const unsigned char *)token, strlen(token),
			   NULL, 0);
	return !sodium_memcmp(given, wanted, sizeof(given));
}

uint64_t gate_brake_ns(struct gate_brake *b, uint64_t now_ns)
{
	uint64_t from = MAX(b->next_ns, now_ns);

	if (from - now_ns >= GATE_WAIT_MAX_NS)
		return UINT64_MAX;
	b->next_ns = from + GATE_STEP_NS;
	return b->next_ns - now_ns;
}
