/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overtake.h - connections whose segments come in a given order, and what the observer made of them.
 *
 * A row is one stream in pieces. It is played to the scene's server (the rows are
 * requests), or to a client that is a service (they are responses), over IPv4
 * and IPv6, on a TUN device (rawtcp.h). The other side must get every byte, and
 * the observer's counts must be exact. Everything asserts (cmocka).
 */
#ifndef ARCHAIC_TEST_OVERTAKE_H
#define ARCHAIC_TEST_OVERTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/abi.h"
#include "observe_scene.h"
#include "rawtcp.h"

#define OVERTAKE_SEGMENTS 10 /* two more than may wait */

/* What httpd.h answers with @status and no body; a response; bodies. */
#define ASK_PATH(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define ASK(status) ASK_PATH("/" #status "/0")
#define SAY(status, length) "HTTP/1.1 " #status " X\r\nContent-Length: " #length "\r\n\r\n"
#define TEN "bbbbbbbbbb"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED

/*
 * A stream in its segments, and in what order they are sent:
 *	0  that segment             a  segment 0, with a FIN
 *	A  from segment 0 to the end, in one       .  a FIN alone, behind the last
 */
struct overtake_row {
	const char *what;
	const char *segments[OVERTAKE_SEGMENTS];
	const char *order;
	const char *statuses; /* of all answers, "200 404 " */
	const char *counted;  /* of those that are counted; NULL: all */
	const char *asked;    /* by the client, where the responses are the stream */
	uint64_t overtaken, lost, orphans, aborted, untimed;
};

/* Everything that was counted at one end so far. */
struct overtake_sums {
	uint8_t side; /* ABI_SIDE_* */
	uint64_t status[LOAD_STATUS_MAX], aborted, unparsed, untimed, rx, tx;
	struct abi_stats stats;
};

/** overtake_available() - scene_available(), and a TUN device, which is made once? Prints "SKIP name: reason" when not. */
bool overtake_available(const char *name);

/** overtake_connect() - a connection from a port of its own to the scene's server. */
void overtake_connect(struct rawtcp *c, const struct scene *t, bool v6);

/** overtake_hear() - read answers (without bodies) until there are as many as in @statuses, and compare. Returns their bytes. */
size_t overtake_hear(struct rawtcp *c, const char *statuses);

/** overtake_sums() - look, and take the sums of @side (ABI_SIDE_*). */
void overtake_sums(struct scene *t, uint8_t side, struct overtake_sums *ret);

/** overtake_expect() - fail with the row's name if @got is not @want. */
void overtake_expect(const struct overtake_row *r, const char *what, uint64_t got, uint64_t want);

/** overtake_expect_counts() - since @was: requests with the statuses in @counted, each as often as it stands there, and what else the row says. */
void overtake_expect_counts(const struct overtake_row *r, const char *counted,
			    const struct overtake_sums *was, const struct overtake_sums *now);

/** overtake_expect_idle() - as of the last look, nothing is in flight. */
void overtake_expect_idle(const struct overtake_row *r, const struct scene *t);

/**
 * overtake_requests() - each row to the server, as the first bytes of a
 * connection and behind a request; a request in order comes after it (not
 * behind a FIN) and must be counted. In a scene of its own.
 */
void overtake_requests(const struct overtake_row *rows, size_t nr);

/** overtake_responses() - each row to a client that is a service; a request and a response in order come after it. */
void overtake_responses(const struct overtake_row *rows, size_t nr);

#endif
