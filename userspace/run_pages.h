/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_pages.h - the configuration of the two pages as the server wants it, and where people find them.
 */
#ifndef ARCHAIC_RUN_PAGES_H
#define ARCHAIC_RUN_PAGES_H

#include <stdio.h>

#include "base/config.h"
#include "serve/server.h"

#define RUN_PAGES_PEM_MAX (256 * 1024) /* bytes of a certificate chain or key */

/* What a server_config borrows from; run_pages_release(). */
struct run_pages {
	char *chaos_token, *tls_cert, *tls_key;
	char names[CONFIG_TEXT_MAX];
};

/**
 * run_pages_config() - read the files that the pages need into @keep, and point @s at them.
 * 0 or -errno with @p filled: a file that cannot be read, a key that others may read, or too many names.
 */
int run_pages_config(const struct config *c, struct run_pages *keep, struct server_config *s,
		     struct problem *p);

/** run_pages_release() - wipe and free; may be said twice. */
void run_pages_release(struct run_pages *keep);

/**
 * run_pages_say() - log where the pages are; where that is off loopback and standard output is a
 * terminal, print there a QR code with the token in the address's fragment. A token is never logged.
 * @token, @chaos_token: of the two pages; NULL: none is asked for.
 */
void run_pages_say(const struct config *c, const char *token, const char *chaos_token);

/** run_pages_away() - do the pages listen off loopback? */
bool run_pages_away(const struct config *c);

/**
 * run_pages_print() - both addresses, one a line, to @to.
 * @qr: also the chaos control's as a QR code, for a phone's camera. @colour: @to is a terminal that
 * understands escapes: the code is black on white whatever its theme is.
 * With tokens the addresses hold them: only for the eyes of who may arm.
 */
void run_pages_print(const struct config *c, const char *token, const char *chaos_token, bool qr,
		     bool colour, FILE *to);

/** run_pages_url() - "https://192.0.2.7:8080/#token=…" into @to of @size bytes; @token: NULL for none. */
void run_pages_url(const struct config *c, uint16_t port, const char *token, char *to, size_t size);

#endif
