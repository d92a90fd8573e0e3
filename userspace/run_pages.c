// SPDX-License-Identifier: GPL-2.0-or-later
#include "run_pages.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <qrencode.h>
#include <string.h>
#include <sys/stat.h>

#include "serve/listen.h"

#define QUIET 2 /* light modules around the code; four are asked for, two are enough on a screen */

/* ---- files */

static int read_pem(const char *path, bool secret, char **ret, struct problem *p)
{
	struct stat st;
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		return problem_set(p, 400, "%s cannot be read: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > RUN_PAGES_PEM_MAX)
		return problem_set(p, 400, "%s is no file of 1 to %d bytes", path,
				   RUN_PAGES_PEM_MAX);
	if (secret && (st.st_mode & 0007))
		return problem_set(p, 403, "everybody may use the key file %s; say chmod o= %s",
				   path, path);
	CLEANUP(freep) char *text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	if (read(fd, text, (size_t)st.st_size) != st.st_size)
		return problem_set(p, 400, "%s changed while it was read", path);
	if (!strstr(text, "-----BEGIN "))
		return problem_set(p, 400, "%s is not in PEM form", path);
	*ret = TAKE_PTR(text);
	return 0;
}

static int split_names(struct run_pages *keep, struct server_config *s, struct problem *p)
{
	char *rest = keep->names, *name;
	size_t nr = 0;

	while ((name = strsep(&rest, ", \t"))) {
		if (!*name)
			continue;
		if (nr == SERVER_NAMES_MAX)
			return problem_set(p, 400, "host_names holds more than %d names",
					   SERVER_NAMES_MAX);
		s->names[nr++] = name;
	}
	return 0;
}

int run_pages_config(const struct config *c, struct run_pages *keep, struct server_config *s,
		     struct problem *p)
{
	int err = 0;

	s->listen_pages = *c->pages.listen ? c->pages.listen : NULL;
	s->port_dashboard = c->ports.dashboard_port ?: -1;
	s->port_chaos = c->ports.chaos_port ?: -1;
	s->read_only = c->pages.read_only;
	snprintf(keep->names, sizeof(keep->names), "%s", c->pages.host_names);
	err = split_names(keep, s, p);
	if (!err && *c->pages.chaos_token_file)
		err = server_read_token(c->pages.chaos_token_file, &keep->chaos_token, p);
	if (!err && *c->pages.tls_cert)
		err = read_pem(c->pages.tls_cert, false, &keep->tls_cert, p) ?:
			read_pem(c->pages.tls_key, true, &keep->tls_key, p);
	s->chaos_token = keep->chaos_token;
	s->tls_cert = keep->tls_cert;
	s->tls_key = keep->tls_key;
	return err;
}

static void wipe(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

void run_pages_release(struct run_pages *keep)
{
	wipe(&keep->chaos_token);
	wipe(&keep->tls_key);
	free(keep->tls_cert);
	keep->tls_cert = NULL;
}

/* ---- addresses */

/* Of 0.0.0.0 or ::, the address that somebody else would use: the first that is up and not loopback. */
static void outward_address(int family, char to[static INET6_ADDRSTRLEN])
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != family || !(i->ifa_flags & IFF_UP) ||
		    i->ifa_flags & IFF_LOOPBACK)
			continue;
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)i->ifa_addr;
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)i->ifa_addr;
		if (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
			continue;
		inet_ntop(family, family == AF_INET ? (const void *)&v4->sin_addr : &v6->sin6_addr,
			  to, INET6_ADDRSTRLEN);
		break;
	}
	freeifaddrs(list);
}

static const char *listen_of(const struct config *c)
{
	return *c->pages.listen ? c->pages.listen : c->daemon.listen;
}

void run_pages_url(const struct config *c, uint16_t port, const char *token, char *to, size_t size)
{
	char address[INET6_ADDRSTRLEN];
	bool v6 = strchr(listen_of(c), ':');

	snprintf(address, sizeof(address), "%.*s", (int)sizeof(address) - 1, listen_of(c));
	if (!strcmp(address, "0.0.0.0") || !strcmp(address, "::"))
		outward_address(v6 ? AF_INET6 : AF_INET, address);
	v6 = strchr(address, ':');
	int n = snprintf(to, size, "%s://%s%s%s:%u/%s", *c->pages.tls_cert ? "https" : "http",
			 v6 ? "[" : "", address, v6 ? "]" : "", port, token ? "#token=" : "");
	/* Only these need no escape in a fragment, whatever reads it. */
	for (; token && *token && n > 0 && (size_t)n < size; token++)
		n += snprintf(
			to + n, size - (size_t)n,
			strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~",
			       *token) ?
				"%c" :
				"%%%02X",
			(unsigned char)*token);
}

/* ---- the code */

static bool is_dark(const QRcode *q, int x, int y)
{
	return x >= 0 && y >= 0 && x < q->width && y < q->width && (q->data[y * q->width + x] & 1);
}

/* Two modules in each character cell, one above the other. */
static void print_code(const QRcode *q, bool colour, FILE *to)
{
	/* By the upper and the lower one being dark; without colours a light one is the terminal's ink. */
	static const char *const inked[2][2] = { { "█", "▀" }, { "▄", " " } };

	for (int y = -QUIET; y < q->width + QUIET; y += 2) {
		fputs(colour ? "  \033[40;97m" : "  ", to);
		for (int x = -QUIET; x < q->width + QUIET; x++)
			fputs(inked[is_dark(q, x, y)][is_dark(q, x, y + 1)], to);
		fputs(colour ? "\033[0m\n" : "\n", to);
	}
}

void run_pages_print(const struct config *c, const char *token, const char *chaos_token, bool qr,
		     bool colour, FILE *to)
{
	char url[256 + 3 * SERVER_TOKEN_MAX];

	if (c->ports.dashboard_port) {
		run_pages_url(c, c->ports.dashboard_port, token, url, sizeof(url));
		fprintf(to, "dashboard      %s\n", url);
	}
	if (!c->ports.chaos_port)
		return;
	run_pages_url(c, c->ports.chaos_port, chaos_token, url, sizeof(url));
	fprintf(to, "chaos control  %s\n", url);
	QRcode *q = qr ? QRcode_encodeString8bit(url, 0, QR_ECLEVEL_L) : NULL;
	if (q)
		print_code(q, colour, to);
	else if (qr)
		fprintf(to, "(no QR code: %s)\n", strerror(errno));
	QRcode_free(q);
	fflush(to);
	explicit_bzero(url, sizeof(url));
}

bool run_pages_away(const struct config *c)
{
	return !address_is_loopback(listen_of(c));
}

void run_pages_say(const struct config *c, const char *token, const char *chaos_token)
{
	bool away = run_pages_away(c);
	char url[256];

	if (c->ports.dashboard_port) {
		run_pages_url(c, c->ports.dashboard_port, NULL, url, sizeof(url));
		log_info("dashboard at %s", url);
	}
	if (c->ports.chaos_port) {
		run_pages_url(c, c->ports.chaos_port, NULL, url, sizeof(url));
		log_info("chaos control at %s%s", url,
			 c->pages.read_only ?
				 ", read-only" :
				 away || c->pages.chaos_token_file[0] ?
				 ", with a token" :
				 " for every local user, within the limits of [faults]");
	}
	if (away && isatty(STDOUT_FILENO))
		run_pages_print(c, token, chaos_token, true, true, stdout);
}
