/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sender.h - an exporter's bodies to one OTLP/HTTP receiver.
 *
 * One connection, kept open; a call takes at most SENDER_TIMEOUT_MS. Redirects
 * are not followed and no proxy is used. One thread at a time.
 */
#ifndef ARCHAIC_SENDER_H
#define ARCHAIC_SENDER_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/problem.h"
#include "export/otlp.h"

#define SENDER_TIMEOUT_MS 10000
#define SENDER_HEADERS_MAX 8
#define SENDER_HEADERS_FILE_MAX 8192 /* bytes */

struct sender;

/**
 * sender_new() - to @endpoint, see otlp_url().
 * @headers_file: lines "Name: value" that go with each request, for receivers that want a key;
 *	empty lines and those that begin with '#' are skipped. "": none. Read once.
 * 0, -EINVAL with @p, or -ENOMEM.
 */
int sender_new(const char *endpoint, const char *headers_file, struct sender **ret,
	       struct problem *p);

/** sender_free() - headers are wiped. NULL is allowed. */
void sender_free(struct sender *s);

/** sender_url() - borrowed. */
const char *sender_url(const struct sender *s);

/** sender_send() - an export_send_fn; @ctx: a struct sender. */
void sender_send(void *ctx, const char *body, size_t len, const atomic_bool *cancel,
		 struct otlp_answer *ret);

static inline void sender_freep(struct sender **s)
{
	sender_free(*s);
}

#endif
