/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bearer.h - who is asking: a Bearer token, checked at the auth service.
 */
#ifndef ARCHAIC_BEARER_H
#define ARCHAIC_BEARER_H

#include "services/common/request.h"

/** bearer_init() - the auth service's address out of AUTH_SERVICE_URL. 0, or -EINVAL with @why filled. */
int bearer_init(char *why, size_t size);
void bearer_release(void);

/**
 * bearer_authenticate() - for struct service_def: fills rq->user_id.
 * 401 only when there is no token or the auth service itself refuses it; a sick auth service is 502, 503 or 504.
 */
int bearer_authenticate(struct request *rq);

/** dependency_from_env() - dependency_init() with the address in @env, or @fallback. 0, or -EINVAL with @why filled. */
int dependency_from_env(struct dependency *d, const char *name, const char *env,
			const char *fallback, unsigned int timeout_ms, char *why, size_t size);

#endif
