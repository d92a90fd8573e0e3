/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * roles_world.h - two network namespaces as nodes, each with an agent and two of the four services; a
 * detector, an operator and users of the shop in a third. One at a time; the harness's failures end the test.
 */
#ifndef ARCHAIC_TEST_ROLES_WORLD_H
#define ARCHAIC_TEST_ROLES_WORLD_H

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DAEMON_TOKEN "daemon-token-0123456789"
#define SAMPLES_TOKEN "samples-token-0123456789"
#define AGENTS_TOKEN "agents-token-0123456789"
#define BEARER(token) ((const char *const[]){ "Authorization: Bearer " token, NULL })
#define DETECTOR "http://127.0.0.1:8006"
#define OPERATOR "http://127.0.0.1:8005"
#define STANDBY "http://127.0.0.1:8015"
#define DB_AGENT "http://10.77.2.2:8080"

extern pid_t roles_agents[2], roles_operators[2];
extern atomic_uint roles_answered; /* requests of the users, with 200 */
extern bool roles_there;           /* false: not on this machine, and that was said */

/** roles_setup(), roles_teardown() - of a group of cmocka's. */
int roles_setup(void **state);
int roles_teardown(void **state);

/** roles_agent() - start node @i's. roles_operator() - the @i-th, on @port. roles_end() - end one; *@pid is 0 then. */
void roles_agent(size_t i);
void roles_operator(size_t i, const char *port);
void roles_end(pid_t *pid, int sig);

/** roles_ask() - one request; the answer's JSON, owned (NULL: none). roles_get() - with the daemon's token. */
cJSON *roles_ask(const char *method, const char *url, const char *body, const char *const *headers,
		 int *status);
cJSON *roles_get(const char *url);

/** roles_item() - the member of the list @list whose @key is @value. Borrowed; NULL: none. */
const cJSON *roles_item(const cJSON *j, const char *list, const char *key, const char *value);

/** roles_edge() - of a graph; roles_requests_at() - that its end "at_server" or "at_client" saw. */
const cJSON *roles_edge(const cJSON *graph, const char *client, const char *server);
double roles_requests_at(const cJSON *e, const char *end);

/** roles_node_b_is() - in the state @state (text)? roles_both_live() - are both nodes? For wait_true(). */
bool roles_node_b_is(void *state);
bool roles_both_live(void *ctx);

/** roles_show_logs() - before a test fails. */
void roles_show_logs(void);

#endif
