/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scene.h - the whole shop with the real daemon, for tests of the line from a packet to a repair.
 *
 * The services under their supervisor, traffic, the daemon and its control socket,
 * in a network namespace, folders and a cgroup of the test's own. One at a time.
 * Failures of the harness itself end the test by cmocka's fail().
 */
#ifndef ARCHAIC_TEST_SCENE_H
#define ARCHAIC_TEST_SCENE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SCENE_SERVICES 4 /* auth, db, product, payment on 8001 ... 8004 */

struct scene {
	char dir[48];    /* the daemon's run folder; all else lies in it. "": there is none */
	char cgroup[48]; /* the services' parent */
	char socket[80], log[80], traffic_log[80];
	pid_t supervisor, daemon, traffic;
};

/** scene_open() - namespace, folders, services, all healthy. False, after "SKIP @name: reason": not on this machine. */
bool scene_open(struct scene *s, const char *name);

/** scene_close() - end everything that was started and remove folders and cgroups; may be said twice. */
void scene_close(struct scene *s);

/**
 * scene_daemon() - write @conf and the four services into a file, print @conf, start `run --mode @mode`, wait until
 * it answers.
 */
void scene_daemon(struct scene *s, const char *mode, const char *conf);

/** scene_set_up() - a group's set-up: scene_open() and, where there is one, the daemon in mode observe. 0. */
int scene_set_up(struct scene *s, const char *name, const char *conf);

/** scene_need() - skip the test where there is no scene. */
void scene_need(const struct scene *s);

/** scene_daemon_end() - send @sig and wait for its end; the wait status, -1 where it took over 10 s. */
int scene_daemon_end(struct scene *s, int sig);

/** scene_traffic() - archaic-load, steady, with so many users and requests a second; the pid. Its log: s->traffic_log. */
pid_t scene_traffic(const struct scene *s, const char *users, const char *rate);

/** scene_api() - one call over the control socket. The status (0: none came). @ret: owned, NULL: no JSON. */
int scene_api(const struct scene *s, const char *method, const char *target, const char *body,
	      cJSON **ret);

/** scene_cli() - `archaic-ebpf @args`; what it says is appended to @out (static memory). Its exit status, -1 for none. */
int scene_cli(const struct scene *s, const char *const *args, const char **out);

/** scene_run() - any program with its output in static memory. Exit status, -1 for none within 20 s. */
int scene_run(const struct scene *s, const char *const *argv, const char **out);

/** scene_service_pid() - who runs this service now; 0: nobody. */
pid_t scene_service_pid(const struct scene *s, const char *name);

/** scene_url() - "http://127.0.0.1:PORT@path" of a service; static memory, overwritten by the eighth call after. */
const char *scene_url(const char *service, const char *path);

/** scene_fault() - POST /inject-failure?@query of @service; fails the test where it is not taken. */
void scene_fault(const char *service, const char *query);

/** scene_learned() - is every baseline full? For wait_true(); @scene: struct scene. */
bool scene_learned(void *scene);

/** scene_calm() - nothing is suspect or anomalous, and no incident is under way. For wait_true(). */
bool scene_calm(void *scene);

/** scene_last_incident() - the number of the newest incident; 0: none. */
unsigned scene_last_incident(const struct scene *s);

/** scene_incidents() - those newer than @after, oldest first; an owned array. */
cJSON *scene_incidents(const struct scene *s, unsigned after);

/** scene_root() - the root cause's service; NULL: unknown. Borrowed. */
const char *scene_root(const cJSON *incident);

/** scene_has_victim() - is @service among the victims? */
bool scene_has_victim(const cJSON *incident, const char *service);

/** scene_ms() - an RFC 3339 time in ms since 1970. */
double scene_ms(const char *time);

/** scene_now_ms() - the same of now. */
double scene_now_ms(void);

/** scene_event_ms() - when @event was last (@first: first) noted in the timeline; 0: never. */
double scene_event_ms(const cJSON *incident, const char *event, bool first);

/** scene_show() - print an incident's timeline, in seconds since @from_ms. */
void scene_show(const cJSON *incident, double from_ms);

/** scene_show_log() - print the end of the daemon's log and what became of the faults, before a test fails. */
void scene_show_log(const struct scene *s);

#endif
