/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - what the daemon can be asked: the calls behind /v1.
 *
 * serve/ owns the shape of a request (method, path, query, JSON, sizes, types
 * of fields, who may call); the functions here own its meaning (does the
 * service exist, is the fault within its limits, does the guard agree). run.c
 * implements them over the modules; tests implement them as a fake.
 *
 * Every function is called from libmicrohttpd's threads, several at once:
 * the implementation takes the daemon's lock, copies what it needs and lets
 * go before it waits for anything. Everything passed in is borrowed for the
 * call. Each answers 0 and gives *ret to the caller (cJSON_Delete), or -errno
 * with *p filled and *ret untouched; a -errno without a problem becomes a 500.
 * A NULL function is answered 503 with a sentence.
 *
 * Objects are those of API.md and of serve/openapi.json. Lists are objects
 * with "items".
 */
#ifndef ARCHAIC_CONTROL_H
#define ARCHAIC_CONTROL_H

#include <cjson/cJSON.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/problem.h"
#include "discover/service.h"
#include "observe/series.h"

#define CONTROL_ID_MAX 32      /* bytes with the NUL of a fault's or incident's id: [A-Za-z0-9-] */
#define CONTROL_ITEMS_MAX 1000 /* most that ?limit= may ask for */
#define CONTROL_INCIDENTS_MAX 200 /* the same for incidents, which are large */
#define CONTROL_WHY_MAX 200       /* bytes with the NUL of a person's reason */

struct events;
struct metrics;

enum transport { TRANSPORT_UNIX, TRANSPORT_TCP };

/*
 * Who asks. Over the Unix socket uid and pid are the kernel's word
 * (SO_PEERCRED), over TCP they are (uid_t)-1 and 0. serve/ has already refused
 * what a caller that is not root may not do to a service that is not its own:
 * an implementation need not look, but may write it into the audit.
 */
struct caller {
	enum transport transport;
	uid_t uid;
	pid_t pid;
	bool is_root;                   /* Unix and uid 0 */
	char service[SERVICE_NAME_MAX]; /* the service that pid belongs to; "" when none or not looked up */
	char address[INET6_ADDRSTRLEN]; /* TCP: where from; "" else */
};

#define CONTROL_TARGET_MAX (SERVICE_NAMESPACE_MAX + SERVICE_WORKLOAD_MAX)

/* POST /v1/services. Exactly one of port, pid, cgroup, container, pod, unit is given. */
struct control_attach {
	char name[SERVICE_NAME_MAX]; /* valid as service_name_valid() has it; "" with the last three: to be named */
	uint16_t port;                      /* 0: not given */
	pid_t pid;                          /* 0: not given */
	char cgroup[SERVICE_CGROUP_MAX];    /* "" : not given; begins with '/' */
	char container[CONTROL_TARGET_MAX]; /* what each of these means is target_selector_parse()'s */
	char pod[CONTROL_TARGET_MAX];
	char unit[CONTROL_TARGET_MAX];
	bool supervised; /* something starts it again: a repair may kill it */
};

/* POST /v1/faults: the body as it came, for fault_request_parse(). */
struct control_arm {
	char service[SERVICE_NAME_MAX]; /* a valid name; "self" is already replaced by the caller's service */
	const cJSON *
		body; /* object with texts service (replaced likewise) and type; the rest not looked at */
	bool dry_run; /* answer the fault as it would be, arm nothing */
};

/* GET /v1/requests. */
struct control_requests {
	char service[SERVICE_NAME_MAX]; /* "": all */
	bool slow, failed;              /* only those; both: either */
	size_t limit;                   /* 1..CONTROL_ITEMS_MAX */
};

/* GET /v1/series. */
struct control_series {
	char service[SERVICE_NAME_MAX];
	int64_t from_s, to_s; /* unix time, from_s < to_s */
	int64_t now_s;
	uint32_t step_s; /* >= 1 */
};

/* POST /v1/loads. */
struct control_load {
	char shape[16]; /* one of control_load_shapes */
	bool with_failures;
};

/* What was asked that changes something, and what came of it: for the audit. */
struct control_act {
	const struct caller *who;
	const char *method, *path; /* as matched, decoded */
	const char *query;         /* "": none; untrusted */
	const cJSON *body;         /* NULL: none */
	int status;
	const char *answer; /* why not, or what was done, one sentence; "" where there is none */
};

/* GET /v1/incidents: newest first. */
struct control_incidents {
	char state[24];              /* "": all; else one of the states of API.md */
	char before[CONTROL_ID_MAX]; /* "": from the newest; else only ids below it */
	size_t limit;                /* 1..CONTROL_INCIDENTS_MAX */
};

struct control_ops {
	/* version, uptime_s, mode, degradation_level, works[], lacks[], detector{}, operator{}: served on every port. */
	int (*health)(void *ctx, cJSON **ret, struct problem *p);

	/* The service that process @pid belongs to (by its cgroup, else as one of its processes). -ENOENT: none. */
	int (*caller_service)(void *ctx, pid_t pid, char ret[static SERVICE_NAME_MAX]);

	int (*services)(void *ctx, cJSON **ret, struct problem *p);
	int (*service)(void *ctx, const char *name, cJSON **ret, struct problem *p);
	/* Answers the service. 409: the name is taken by another. The same again answers the same. */
	int (*attach)(void *ctx, const struct caller *who, const struct control_attach *what,
		      cJSON **ret, struct problem *p);
	int (*detach)(void *ctx, const struct caller *who, const char *name, struct problem *p);
	/* What it does now is its normal from here on. Answers the service. 409: it is not anomalous. */
	int (*accept)(void *ctx, const struct caller *who, const char *name, cJSON **ret,
		      struct problem *p);

	int (*graph)(void *ctx, cJSON **ret, struct problem *p);
	int (*scores)(void *ctx, cJSON **ret, struct problem *p);
	int (*requests)(void *ctx, const struct control_requests *which, cJSON **ret,
			struct problem *p);

	/* @service: NULL for all; else 404 when there is no such service. */
	int (*faults)(void *ctx, const char *service, cJSON **ret, struct problem *p);
	int (*fault)(void *ctx, const char *id, cJSON **ret, struct problem *p);
	int (*fault_types)(void *ctx, cJSON **ret, struct problem *p);
	int (*arm)(void *ctx, const struct caller *who, const struct control_arm *what, cJSON **ret,
		   struct problem *p);
	/* Answers the fault as it ended. 404: no such fault; 409: it has already ended. */
	int (*disarm)(void *ctx, const struct caller *who, const char *id, cJSON **ret,
		      struct problem *p);
	/* @service: NULL for all. Answers {"items":[the faults that were ended]}; none is not an error. */
	int (*disarm_all)(void *ctx, const struct caller *who, const char *service, cJSON **ret,
			  struct problem *p);

	int (*incidents)(void *ctx, const struct control_incidents *which, cJSON **ret,
			 struct problem *p);
	int (*incident)(void *ctx, const char *id, cJSON **ret, struct problem *p);
	/*
	 * Both answer the incident. 409: it does not wait for approval. @action: the action that was meant, NULL
	 * for the one whose turn it is. @why: a person's words, untrusted; "" for none.
	 */
	int (*approve)(void *ctx, const struct caller *who, const char *id, const char *action,
		       cJSON **ret, struct problem *p);
	int (*reject)(void *ctx, const struct caller *who, const char *id, const char *why,
		      cJSON **ret, struct problem *p);
	/* A post-mortem in Markdown; *ret is free()d by the caller. */
	int (*report)(void *ctx, const char *id, char **ret, struct problem *p);
	/*
	 * @body: an object, an anomaly or an Alertmanager webhook; what it means is engine_analyze()'s. Answers the
	 * incident that was opened or found; *ret stays NULL where a resolved alert concerned none.
	 */
	int (*analyze)(void *ctx, const struct caller *who, const cJSON *body, cJSON **ret,
		       struct problem *p);

	/*
	 * A tick of a node. Answers what its agent is to know (wire.h). NULL, and 404: this daemon merges no nodes;
	 * 400: no sample; 409: it came already, or a later one did; 422: too many nodes.
	 */
	int (*sample)(void *ctx, const struct caller *who, const cJSON *body, cJSON **ret,
		      struct problem *p);
	/* Does somebody we trust vouch for this "Bearer …" of an agent? May wait. NULL: nobody does. */
	bool (*vouched)(void *ctx, const char *authorization);
	/* {"items":[…]}: the nodes; empty where there are none. */
	int (*nodes)(void *ctx, cJSON **ret, struct problem *p);
	/* The newest tick's verdicts, diagnosis and facts (remediate/judgement.h). */
	int (*judgement)(void *ctx, cJSON **ret, struct problem *p);

	/* {"mode":"observe|suggest|auto-safe|auto"}; set_mode gets one of the four and answers the same. */
	int (*mode)(void *ctx, cJSON **ret, struct problem *p);
	int (*set_mode)(void *ctx, const struct caller *who, const char *mode, cJSON **ret,
			struct problem *p);

	/* {"items":[{area, name, ok, backend, says, advice}]}: probes, back ends, conflicts. */
	int (*doctor)(void *ctx, cJSON **ret, struct problem *p);

	/*
	 * Fill @ret (series_window(), released by the caller) with a service's history. 404: no such service.
	 * -E2BIG and -EINVAL without a problem: as series_window() has them.
	 */
	int (*series)(void *ctx, const struct control_series *which, struct series_window *ret,
		      struct problem *p);

	/* Load tests, one at a time (409). load_stop answers the load as it ended. */
	int (*load_shapes)(void *ctx, cJSON **ret, struct problem *p);
	int (*loads)(void *ctx, cJSON **ret, struct problem *p);
	int (*load)(void *ctx, const char *id, cJSON **ret, struct problem *p);
	int (*load_start)(void *ctx, const struct caller *who, const struct control_load *what,
			  cJSON **ret, struct problem *p);
	int (*load_stop)(void *ctx, const struct caller *who, const char *id, cJSON **ret,
			 struct problem *p);

	/* {"items":[…]} of the audit, newest first, @limit at most. */
	int (*audit)(void *ctx, size_t limit, cJSON **ret, struct problem *p);
	/* Told of every answered request that may change something, refused ones too. Must not wait for a disk. */
	void (*acted)(void *ctx, const struct control_act *what);

	/* Where what happens is told; NULL: nowhere. The same for as long as the server runs. */
	struct events *(*events)(void *ctx);

	/* Copy every series into @m (serve/metrics.h); rendering happens after it returned, without any lock. */
	int (*metrics)(void *ctx, struct metrics *m);
};

#endif
