/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_object.h - a `Fault` of the cluster into what the control interface takes, and back.
 *
 * A Fault (archaic-ebpf.io/v1alpha1) names a service and what is to be done to it. Every agent sees it; the one
 * that has the service on its node carries it out, says so under status.nodes.NODE, and holds a finalizer of its
 * own from before it arms until after it has disarmed: an object that is gone has left nothing armed. What is
 * written is a merge patch of one agent's own part, so that agents do not undo each other's; status.state and
 * its neighbours are the sum of the parts, made anew by whoever writes.
 *
 * Pure; objects are untrusted: the schema was checked by the API server, and is checked again by the daemon.
 */
#ifndef ARCHAIC_FAULT_OBJECT_H
#define ARCHAIC_FAULT_OBJECT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULT_OBJECT_API "/apis/archaic-ebpf.io/v1alpha1"
#define FAULT_OBJECT_DOMAIN "archaic-ebpf.io/" /* of the finalizers; the node's name follows */
#define FAULT_OBJECT_NODE_MAX 64               /* what may follow, and the NUL */
#define FAULT_OBJECT_SAYS_MAX 512

enum fault_object_step {
	FAULT_OBJECT_NOTHING, /* done with, or never ours */
	FAULT_OBJECT_ARM,     /* nothing was said for this node yet: ours if the service is here */
	FAULT_OBJECT_LOOK,    /* armed here, as far as the object knows */
	FAULT_OBJECT_DISARM,  /* is being deleted, and waits for us */
};

/* One agent's part of the status. */
struct fault_report {
	char state[16]; /* armed, expired, reset, spent, failed, refused, lost */
	char id[32];    /* of the daemon's fault; "": none */
	char says[FAULT_OBJECT_SAYS_MAX];
	char armed_at[40], ends_at[40]; /* RFC 3339; "": not known */
	uint64_t touched_requests;
};

/** fault_object_node_valid() - can @node be part of a finalizer and a key of the status? */
bool fault_object_node_valid(const char *node);

/** fault_object_step() - what the agent of @node has to do about @object. */
enum fault_object_step fault_object_step(const cJSON *object, const char *node);

/** fault_object_service() - the service that is meant, borrowed; NULL where none is. */
const char *fault_object_service(const cJSON *object);

/** fault_object_id() - the daemon's id of what @node armed, borrowed; NULL where none is known. */
const char *fault_object_id(const cJSON *object, const char *node);

/**
 * fault_object_arm() - the body of POST /v1/faults. Its slot is made of the object's uid: said twice, it is armed once.
 * @ret: owned by the caller. 0, -EINVAL (no spec or uid), -ENOMEM.
 */
int fault_object_arm(const cJSON *object, cJSON **ret);

/** fault_object_finalizer() - the patch that puts @node's finalizer in, or takes it out. 0, -EALREADY (it is so), -ENOMEM. */
int fault_object_finalizer(const cJSON *object, const char *node, bool want, cJSON **ret);

/** fault_object_status() - the patch of the subresource status: @node's part, and the sum. 0, -EALREADY (it says so already), -ENOMEM. */
int fault_object_status(const cJSON *object, const char *node, const struct fault_report *r,
			cJSON **ret);

/** fault_report_of() - what the daemon says of a fault. 0, or -EPROTO where that is none. */
int fault_report_of(const cJSON *fault, struct fault_report *ret);

/** fault_report_refusal() - from the problem document that the daemon answered with; NULL @problem: only the @status. */
void fault_report_refusal(const cJSON *problem, int status, struct fault_report *ret);

/** fault_report_lost() - armed once, and the daemon that armed it knows nothing of it. */
void fault_report_lost(const cJSON *object, const char *node, struct fault_report *ret);

#endif
