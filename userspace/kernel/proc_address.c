// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/proc_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "base/util.h"

#define LINES_MAX 20000 /* a router's table is longer; a service's is not */

/* A leaf "|-- ADDRESS", then a line for each route to it: "/32 host LOCAL" is an address of the namespace's own. */
int fib_trie_address(FILE *f, char ret[static INET_ADDRSTRLEN])
{
	char line[256], leaf[INET_ADDRSTRLEN] = "";
	struct in_addr a;

	for (int i = 0; i < LINES_MAX && fgets(line, sizeof(line), f); i++) {
		const char *at = strstr(line, "|-- ");

		if (at) {
			snprintf(leaf, sizeof(leaf), "%.*s", (int)strcspn(at + 4, " \n"), at + 4);
		} else if (strstr(line, "/32 host LOCAL") && inet_pton(AF_INET, leaf, &a) == 1 &&
			   ntohl(a.s_addr) >> 24 != 127) {
			inet_ntop(AF_INET, &a, ret, INET_ADDRSTRLEN);
			return 0;
		}
	}
	return -ENOENT;
}

int proc_address(pid_t pid, char ret[static INET_ADDRSTRLEN])
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/net/fib_trie", (int)pid);
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	return f ? fib_trie_address(f, ret) : -errno;
}

static const void *raw_of(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET)
		return &((const struct sockaddr_in *)a)->sin_addr;
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)a)->sin6_addr;
	return a->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(v6) ? v6 : NULL;
}

size_t own_addresses(char (*ret)[INET6_ADDRSTRLEN], size_t max)
{
	struct ifaddrs *list;
	size_t nr = 0;

	if (getifaddrs(&list) < 0)
		return 0;
	for (const struct ifaddrs *i = list; i && nr < max; i = i->ifa_next) {
		const void *raw = i->ifa_addr ? raw_of(i->ifa_addr) : NULL;

		if (raw && i->ifa_flags & IFF_UP && !(i->ifa_flags & IFF_LOOPBACK))
			inet_ntop(i->ifa_addr->sa_family, raw, ret[nr++], INET6_ADDRSTRLEN);
	}
	freeifaddrs(list);
	return nr;
}
