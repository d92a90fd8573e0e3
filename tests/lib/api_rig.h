/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * api_rig.h - the control server with a fake daemon, and a client that sends exactly what it is told.
 *
 * One at a time: the rig is global. Everything happens in a network namespace of the test's own.
 */
#ifndef ARCHAIC_API_RIG_H
#define ARCHAIC_API_RIG_H

#include "fake_control.h"
#include "serve/server.h"

extern struct server *server;
extern char rig_folder[],
	rig_path[64];        /* of the socket; path "" where there is no namespace to be had */
extern char answer[1 << 17]; /* the last one, head and body */

/* cmocka's fixtures: the namespace and the folder; the fake and the server's end. */
int rig_group_setup(void **state);
int rig_group_teardown(void **state);
int rig_setup(void **state);
int rig_teardown(void **state);

/** rig_need() - skip the test where there is no namespace. */
void rig_need(void **state);

/** rig_config() - the socket, any ports, two seconds for a request. */
struct server_config rig_config(void);

/** rig_start() - or fail the test. */
void rig_start(struct server_config c);

/** dial_unix(), dial() - a connected socket; dial_unix() may answer -errno. */
int dial_unix(void);
int dial(enum server_part part);

void put(int fd, const char *data, size_t len);

/** hear() - until the peer closes, or @ms without a byte. The status, 0 for none. */
int hear(int fd, int ms);

/** answer_has() - is @line, without its end, one of the last answer's head? */
bool answer_has(const char *line);

/** raw() - send @text, hear the answer. */
int raw(enum server_part part, const char *text);

/** get(), post() - @headers: whole lines with CRLF. */
int get(enum server_part part, const char *target, const char *headers);
int post(enum server_part part, const char *target, const char *headers, const char *body);

#endif
