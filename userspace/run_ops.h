/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_ops.h - what the files that implement control_ops share; for run_ops*.c alone.
 */
#ifndef ARCHAIC_RUN_OPS_H
#define ARCHAIC_RUN_OPS_H

#include "run_daemon.h"

/* LOCKED(d): holds the daemon's lock for the rest of the block. */
static inline void unlockp(pthread_mutex_t **lock)
{
	pthread_mutex_unlock(*lock);
}

static inline pthread_mutex_t *take(pthread_mutex_t *lock)
{
	pthread_mutex_lock(lock);
	return lock;
}

#define LOCKED(d) \
	CLEANUP(unlockp) __attribute__((unused)) pthread_mutex_t *held_lock = take(&(d)->lock)

/** ops_give() - hand @j over as the answer. 0, or -ENOMEM for NULL. */
int ops_give(cJSON *j, cJSON **ret);

/** ops_list() - a new object with an empty "items", which is returned in @items. */
cJSON *ops_list(cJSON **items);

/** ops_service() - by name, borrowed, under the lock. NULL: a 404, and @p says so. */
const struct service *ops_service(struct daemon *d, const char *name, struct problem *p);

/** ops_who() - the caller, for logs and the audit. */
const char *ops_who(const struct caller *who);

/* run_ops_faults.c: control_ops' calls about faults. */

int op_faults(void *ctx, const char *service, cJSON **ret, struct problem *p);
int op_fault(void *ctx, const char *id, cJSON **ret, struct problem *p);
int op_fault_types(void *ctx, cJSON **ret, struct problem *p);
int op_arm(void *ctx, const struct caller *who, const struct control_arm *what, cJSON **ret,
	   struct problem *p);
int op_disarm(void *ctx, const struct caller *who, const char *id, cJSON **ret, struct problem *p);
int op_disarm_all(void *ctx, const struct caller *who, const char *service, cJSON **ret,
		  struct problem *p);

#endif
