/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_control.h - a daemon behind /v1 that does nothing and remembers what it was asked.
 *
 * Services "db" and "auth"; one fault "f-db" on db; one incident "i-0001" that waits for approval.
 * Arming answers a fault that echoes the body. Thread-safe.
 */
#ifndef ARCHAIC_FAKE_CONTROL_H
#define ARCHAIC_FAKE_CONTROL_H

#include <pthread.h>

#include "serve/control.h"

struct fake_control {
	pthread_mutex_t lock;
	char self[SERVICE_NAME_MAX]; /* what every process belongs to; "": none */
	unsigned hold_ms;            /* health answers so late */
	unsigned calls;              /* of anything that changes something */
	struct caller who;           /* the last such call's */
	struct control_attach attach;
	struct control_requests requests;
	struct control_incidents incidents;
	char service[SERVICE_NAME_MAX], id[CONTROL_ID_MAX], action[64], why[256], mode[16];
	bool dry_run, all;            /* the last disarm_all was for every service */
	bool broken;                  /* every reading function fails without a reason */
	struct events *events;        /* the test's own; NULL: none */
	struct control_series series; /* the last one asked for */
	struct control_load load;     /* the last one started */
	unsigned acts;                /* told of by acted() */
	int act_status;               /* of the last of them */
	char act[512];                /* "METHOD PATH: ANSWER" */
	int refuse;                   /* arming is answered with this status; 0: it is not */
};

/* The one that rigs use. */
extern struct fake_control fake;

void fake_control_init(struct fake_control *f);

extern const struct control_ops fake_control_ops;

#endif
