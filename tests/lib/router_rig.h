/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * router_rig.h - the router with a fake daemon, without a socket. One at a time: the rig is global.
 */
#ifndef ARCHAIC_ROUTER_RIG_H
#define ARCHAIC_ROUTER_RIG_H

#include "fake_control.h"
#include "serve/router.h"

extern struct router *router;
extern struct reply reply; /* the last one */

/* cmocka's fixtures. */
int router_group_setup(void **state);
int router_group_teardown(void **state);
int router_setup(void **state);
int router_teardown(void **state);

/** root_asks() - a request by root on the control socket. @body: NULL for none. */
struct inbound root_asks(const char *method, const char *target, const char *body);

/** ask_as(), ask(), user_asks() - the status; the answer is in reply. @self: the service that user 1000 belongs to. */
int ask_as(const struct inbound *in);
int ask(const char *method, const char *target, const char *body);
int user_asks(const char *method, const char *target, const char *body, const char *self);

/** assert_problem() - every refusal has this shape, whatever it is about. @parameter: NULL for any. */
void assert_problem(const char *what, const char *parameter);

#endif
