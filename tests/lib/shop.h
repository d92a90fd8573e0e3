/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shop.h - the demo services as processes under test, a client, and servers that misbehave on demand.
 *
 * Binaries are those of $ARCHAIC_BUILD/bin (default build/bin). Everything is
 * to run in a network namespace of the test's own (netns.h). Failures of the
 * harness itself end the test by cmocka's fail().
 */
#ifndef ARCHAIC_TEST_SHOP_H
#define ARCHAIC_TEST_SHOP_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** shop_path() - "$ARCHAIC_BUILD/bin/NAME", absolute; static memory, overwritten by the sixteenth call after. */
const char *shop_path(const char *name);

/**
 * proc_start() - fork and exec. @argv: NULL-ended, argv[0] a path. @env: NULL-ended "NAME=value", set on top of ours.
 * @log: file that gets both output streams; NULL: ours. The child dies with the test.
 */
pid_t proc_start(const char *log, const char *const *argv, const char *const *env);

/** proc_end() - send @sig (0: none) and wait up to @ms; the wait status, or -1 after SIGKILL because it took longer. */
int proc_end(pid_t pid, int sig, unsigned ms);

/**
 * proc_run() - proc_start() and its end, within @ms. @out: both output streams, static memory, overwritten by the next call.
 * Its exit status, 128 and the signal that ended it, -1 after SIGKILL because it took longer.
 */
int proc_run(const char *const *argv, const char *const *env, unsigned ms, const char **out);

/** proc_service() - one of the four: "auth", on @port, healthy when this returns. */
pid_t proc_service(const char *name, uint16_t port, const char *log, const char *const *env);

struct http_answer {
	int status;  /* 0: none came */
	char *body;  /* owned, never NULL */
	cJSON *json; /* owned; NULL: not JSON */
	char trace_id[64], allow[64];
	double took_ms;
};

/** http() - one request. @body: NULL for none. @headers: NULL-ended "Name: value", or NULL. Release the answer. */
void http(const char *method, const char *url, const char *body, const char *const *headers,
	  struct http_answer *ret);
void http_release(struct http_answer *a);

/** http_status() - the status of one request, nothing else. */
int http_status(const char *method, const char *url, const char *body, const char *const *headers);

/** wait_true() - ask @ready(@ctx) every 10 ms for up to @ms. */
bool wait_true(bool (*ready)(void *), void *ctx, unsigned ms);

/** file_has() - does the file contain @text? */
bool file_has(const char *path, const char *text);

/** file_show() - print the last lines of a log, before a test fails. */
void file_show(const char *path);

/** cgroup_sweep() - remove the empty cgroups that a failed test left below @parent ("/archaic-test-17") of the v2 mount. */
void cgroup_sweep(const char *parent);

/** cgroup_exists() - is there a cgroup @path ("/archaic-test-17") below the v2 mount? */
bool cgroup_exists(const char *path);

/*
 * A server on a thread: it reads one request a connection, then sends the raw
 * bytes it was told to, and closes. Told nothing, it stays silent and keeps the
 * connection open until stub_stop().
 */
struct stub;

/** stub_start() - on 127.0.0.1:@port, or on the Unix socket @path when that is not NULL. */
struct stub *stub_start(uint16_t port, const char *path);
void stub_stop(struct stub *s);

/** stub_say() - answer the next requests with @raw (copied); NULL: silence. Forgets what was heard. */
void stub_say(struct stub *s, const char *raw);

/** stub_say_json() - the same as a whole response. */
void stub_say_json(struct stub *s, int status, const char *json);

/** stub_heard() - what the last request was, headers and body; static memory. */
const char *stub_heard(struct stub *s);

#endif
