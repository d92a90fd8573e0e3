/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.h - may this TCP request come in at all? Host, Origin, bearer token.
 *
 * Pure. A page of another site can make a browser talk to 127.0.0.1: directly
 * (then Origin is the other site's) or through a name of its own that resolves
 * to us (DNS rebinding: then Host is that name). Both are refused.
 */
#ifndef ARCHAIC_GATE_H
#define ARCHAIC_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * gate_host_ok() - is @host (with or without a port) localhost, a loopback address, or one of @names?
 * @host: the Host header; NULL is refused. @names: NULL-ended, or NULL.
 */
bool gate_host_ok(const char *host, const char *const *names);

/** gate_origin_ok() - is @origin missing, or the origin that @host stands for? "null" is refused. */
bool gate_origin_ok(const char *origin, const char *host);

/**
 * gate_token_ok() - is @authorization (NULL: none) "Bearer " and @token?
 * Compared by hashes in constant time, so neither length nor prefix of the token leaks.
 */
bool gate_token_ok(const char *authorization, const char *token);

#define GATE_STEP_NS 250000000ULL /* one wrong token in this time, over all connections */
#define GATE_WAIT_MAX_NS 5000000000ULL

/* How long wrong tokens are made to wait: each pushes the next further away. */
struct gate_brake {
	uint64_t next_ns;
};

/**
 * gate_brake_ns() - count a wrong token at @now_ns; how long its answer has to wait.
 * UINT64_MAX: more are waiting than fit into GATE_WAIT_MAX_NS; answer 429 at once. The caller locks.
 */
uint64_t gate_brake_ns(struct gate_brake *b, uint64_t now_ns);

#endif
