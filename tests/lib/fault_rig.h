/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_rig.h - a small real HTTP server in a cgroup of its own, to be hurt, and a client that measures.
 *
 * Everything happens in a network namespace of the test's own. The server is a
 * process with a thread a connection, keep-alive, pipelining, two ports:
 *	/ 200 text · /json 200 JSON · /gzip the same with a Content-Encoding · /none 204 ·
 *	/big FAULT_RIG_BIG bytes · others 200
 */
#ifndef ARCHAIC_TEST_FAULT_RIG_H
#define ARCHAIC_TEST_FAULT_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "discover/service.h"
#include "fault/fault.h"

struct fault_rig {
	struct service service; /* the server at `port` */
	pid_t server;
	uint16_t port, other_port; /* the neighbour: same process, same cgroup */
	char cgroup_dir[256];
	char run_dir[64];
	const char *avoid;     /* back ends not to take; NULL: none */
	struct faults *faults; /* NULL until fault_rig_faults() */
};

/** fault_rig_available() - root, cgroup v2? Prints "SKIP name: reason" when not. */
bool fault_rig_available(const char *name);

/** fault_rig_start() - namespace, cgroup, server. Asserts. @family: AF_INET listens on 127.0.0.1, AF_INET6 on :: (mapped IPv4 too). */
void fault_rig_start(struct fault_rig *r, int family);

/** fault_rig_set_up() - in a group's set-up: a started rig, also in *@state; both NULL where fault_rig_available() says no. */
struct fault_rig *fault_rig_set_up(void **state, const char *name, int family);

/** fault_rig_tear_down() - the same group's tear-down. 0. */
int fault_rig_tear_down(void **state);

/** fault_rig_need() - the rig of *@state; the test is skipped where there is none. */
struct fault_rig *fault_rig_need(void **state);

/** fault_rig_restart() - another server process in the same place, after a crash; r->service follows. */
void fault_rig_restart(struct fault_rig *r);

/** fault_rig_faults() - the injector under test. */
void fault_rig_faults(struct fault_rig *r);

/** fault_rig_stop() - end server and injector, remove cgroup and folder. */
void fault_rig_stop(struct fault_rig *r);

/** fault_rig_try() - parse and arm; the problem is printed. 0 or -errno. For processes that must not assert. */
int fault_rig_try(struct fault_rig *r, const char *body, struct fault *ret);

/** fault_rig_arm() - arm the JSON @body on the rig's service; asserts that it is taken. */
struct fault fault_rig_arm(struct fault_rig *r, const char *body);

/** fault_rig_look() - the fault as it is now, after a tick. */
struct fault fault_rig_look(struct fault_rig *r, const char *id);

/**
 * fault_rig_drawn() - does request @n of a fault with @seed and probability @p draw? Counted from 0, without
 * those that are exempt. splitmix64 (Steele, Lea, Flood 2014), written a second time: the programs' is compared with it.
 */
bool fault_rig_drawn(uint64_t seed, uint64_t n, double p);

/** fault_rig_assert_share() - @hit of @n is within 4 standard errors of @p. Asserts, and prints. */
void fault_rig_assert_share(const char *what, uint64_t hit, uint64_t n, double p);

struct fault_answer {
	int status;  /* 0: none came */
	uint64_t ns; /* request sent to whole answer read */
	char head[1024];
	char body[8192];
	size_t len;
};

/** fault_rig_connect() - a connection to @port. -1 on failure. @v6: ::1. */
int fault_rig_connect(uint16_t port, bool v6);

/** fault_rig_get() - one request on @fd. The status; 0 for no answer within @timeout_ms. */
int fault_rig_get(int fd, const char *path, int timeout_ms, struct fault_answer *ret);

/** fault_rig_hear() - read the next answer on @fd, nothing is sent. @left: bytes read too far, kept by the caller between calls. */
int fault_rig_hear(int fd, int timeout_ms, char *left, size_t *nr_left, struct fault_answer *ret);

#define FAULT_RIG_BIG (16 << 20)

/** fault_rig_get_big() - all of /big on @fd: how long it took, in ns; 0 where it is not whole within @timeout_ms. */
uint64_t fault_rig_get_big(int fd, int timeout_ms);

/** fault_rig_once() - connect, ask, close. */
int fault_rig_once(uint16_t port, const char *path, int timeout_ms, struct fault_answer *ret);

/** fault_rig_nothing_left() - no rule, qdisc, filter or helper process of ours in this namespace; prints what is. */
bool fault_rig_nothing_left(const struct fault_rig *r);

/** fault_rig_fq_of_ours() - does a device of this namespace have our fq as its root? */
bool fault_rig_fq_of_ours(void);

/** fault_rig_sleep_ms() - real time: only where a kernel deadline is what is tested. */
void fault_rig_sleep_ms(int ms);

#endif
