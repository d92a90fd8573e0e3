/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forward.h - /health, /inject-failure and /reset: the same in every service.
 *
 * No fault is made here. The two POSTs ask the daemon over its Unix control
 * socket to act on "self", the service that our process belongs to (it knows
 * by SO_PEERCRED), and hand its answer on. Without a daemon: 503, and how to
 * start one. /health asks it too, and never waits longer than 200 ms.
 */
#ifndef ARCHAIC_FORWARD_H
#define ARCHAIC_FORWARD_H

#include "services/common/request.h"

#define FORWARD_SOCKET "/run/archaic-ebpf/control.sock"

/**
 * forward_init() - @service: our name, borrowed. @socket: the control socket; NULL: FORWARD_SOCKET.
 * @token: when not NULL, the two POSTs need it as bearer token (we listen off loopback).
 * @bad_data: our answers hold data that can be spoiled. Once, before the first request. 0 or -EINVAL.
 */
int forward_init(const char *service, const char *socket, const char *token, bool bad_data);
void forward_release(void);

int forward_health(struct request *rq);
int forward_inject(struct request *rq);
int forward_reset(struct request *rq);

/**
 * forward_fault() - the daemon's POST /v1/faults body out of the query or the body of @rq.
 * 0 with @ret owned by the caller, or the status already replied. Pure but for @rq's answer.
 */
int forward_fault(struct request *rq, cJSON **ret);

#endif
