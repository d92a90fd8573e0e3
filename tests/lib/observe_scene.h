/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * observe_scene.h - an HTTP server and a client that counts, watched by the observer.
 *
 * Both are processes of their own in the test's network namespace; the scene
 * does what the daemon does once a tick, and adds the ticks up. Everything
 * asserts (cmocka).
 */
#ifndef ARCHAIC_TEST_OBSERVE_SCENE_H
#define ARCHAIC_TEST_OBSERVE_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "discover/registry.h"
#include "httpd.h"
#include "kernel/observer.h"
#include "load.h"

/* What a client asks for in turn: many statuses, methods and bodies. NULL-ended. */
extern const char *const SCENE_MIX[];
#define SCENE_NR_MIX 16

struct scene {
	struct httpd server;
	struct load client;
	struct registry *registry;
	struct observer *observer;
	uint32_t server_id, client_id; /* 0: not attached */
	uint64_t now;

	/* Sums of the ticks; gauges are the last one's. The edge is client to server. */
	struct service_sample served;
	struct edge_sample edge;
	struct tick last;
};

/** scene_available() - root, and a kernel that lets us observe? Enters a namespace of its own once. Prints "SKIP name: reason" when not. */
bool scene_available(const char *name);

/** scene_start() - server and client run, the client opens @early connections and asks on each; then the observer opens. @defer: TCP_DEFER_ACCEPT. */
void scene_start(struct scene *t, unsigned int early, bool defer);
void scene_stop(struct scene *t);

/** scene_attach_server(), scene_attach_client() - by port, and by process; takes effect with scene_scan(). */
void scene_attach_server(struct scene *t);
void scene_attach_client(struct scene *t);

/** scene_scan() - look at processes, and tell the observer what changed. */
void scene_scan(struct scene *t);

/** scene_changes() - only tell the observer. */
void scene_changes(struct scene *t);

/** scene_look() - one tick, added to the sums. */
void scene_look(struct scene *t);

/** scene_look_until() - tick until @n requests wait at the server's end (5 s at most). */
void scene_look_until(struct scene *t, uint32_t n);

/* By hand, from the test's own process; everything asserts. */

/** scene_call() - a connection to @port on 127.0.0.1, from port *@from (0: any; it is told which). Reads wait 20 s. */
int scene_call(uint16_t port, uint16_t *from);

/** scene_ask() - send "GET /200/5" as @line; no body. */
void scene_ask(int fd, const char *line);

/** scene_hear() - read one answer with a body of @body bytes. */
void scene_hear(int fd, size_t body);

/** scene_assert_exact() - both ends saw all that the client counted, and nothing is left over or lost. */
void scene_assert_exact(struct scene *t);

#endif
