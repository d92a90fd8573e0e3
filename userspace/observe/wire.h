/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h - one tick of one node as JSON: what an agent pushes and a detector takes in.
 *
 * Text is one JSON object of WIRE_TEXT_MAX bytes at most (openapi.json, schema
 * Sample). "version" comes first: another one is refused as a whole. Figures
 * that are 0 are left out; whatever is not known to this version is refused, as
 * are negative, broken or too large numbers, names that cannot be, ids that stand
 * twice, edges whose ends are nobody, and requests that do not add up. What was decoded can be trusted in shape and in bounds, not in truth.
 *
 * Counts go up to WIRE_COUNT_MAX (a JSON number holds no more exactly); larger
 * ones are written as that. Times at the end of a tick are whole microseconds.
 *
 * Ids are the agent's own: from 1 for services of its node, 0 for the outside
 * world, from WIRE_PEER on for what the detector has told of other nodes.
 * Pure; not thread-safe.
 */
#ifndef ARCHAIC_WIRE_H
#define ARCHAIC_WIRE_H

#include <cjson/cJSON.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "observe/sample.h"

#define WIRE_VERSION 1
#define WIRE_TEXT_MAX ((size_t)1 << 20)
#define WIRE_COUNT_MAX (1ULL << 53)
#define WIRE_EDGES_MAX 1024
#define WIRE_PEERS_MAX 512 /* services and nodes elsewhere, of one sample */
#define WIRE_ADDRESSES_MAX 16
#define WIRE_LACKS_MAX 200 /* bytes with the NUL */
#define WIRE_PEER 0x80000000U

/* A node's name: as a service's. */
#define NODE_NAME_MAX SERVICE_NAME_MAX

/* What is known of a service besides what it did; same index as in tick.services. */
struct wire_service {
	uint16_t ports[SERVICE_PORTS_MAX];
	size_t nr_ports;
	char address[INET6_ADDRSTRLEN]; /* in a network namespace of its own; "": the node's */
	bool supervised;
	uint32_t processes;
	char namespace[SERVICE_NAMESPACE_MAX]; /* of its pod; "" without */
	char pod[SERVICE_WORKLOAD_MAX];        /* its present pod; "" without */
};

/* Somebody on another node, under an id of the sample's own. */
struct wire_peer {
	uint32_t id; /* WIRE_PEER and more */
	char node[NODE_NAME_MAX];
	char service[SERVICE_NAME_MAX]; /* "": whoever on that node */
};

struct wire_sample {
	char node[NODE_NAME_MAX];
	uint64_t boot;   /* of this agent: ms since 1970 when it started; grows with each start */
	uint64_t seq;    /* of this tick in that life, from 1 */
	int64_t wall_ms; /* the node's own clock at the tick's end */
	uint16_t control_port;  /* where its agent answers /v1 over TCP; 0: nowhere */
	uint64_t peers_version; /* of the list of other nodes that it knows; 0: none */
	char addresses[WIRE_ADDRESSES_MAX][INET6_ADDRSTRLEN];
	size_t nr_addresses;
	char lacks[WIRE_LACKS_MAX];    /* why it sees nothing; "": it sees */
	struct tick tick;              /* at_ns: the node's own CLOCK_MONOTONIC */
	struct wire_service *services; /* tick.nr_services; owned */
	struct wire_peer *peers;       /* owned */
	size_t nr_peers;
};

/** wire_release() - free what @s owns; may be said twice. */
void wire_release(struct wire_sample *s);

/** wire_encode() - append @s as text. 0, -EMSGSIZE (over the buffer's cap, or more than the bounds above) or -ENOMEM. */
int wire_encode(const struct wire_sample *s, struct buf *to);

/**
 * wire_decode() - take a sample from untrusted JSON.
 * @j: as json_parse() gave it. @ret: written on success only, wire_release().
 * @why: on failure one sentence, @size bytes.
 * 0, -EINVAL, -EPROTONOSUPPORT (another version) or -ENOMEM.
 */
int wire_decode(const cJSON *j, struct wire_sample *ret, char *why, size_t size);

/* ---- the detector's answer: who is where, so that an agent knows whom its services call */

struct wire_endpoint {
	char node[NODE_NAME_MAX];
	char service[SERVICE_NAME_MAX]; /* "": an address of the node, whoever calls from there */
	char address[INET6_ADDRSTRLEN];
	uint16_t port; /* 0: not a server's end, but who calls from that address */
};

#define WIRE_ENDPOINTS_MAX 1024

struct wire_answer {
	uint64_t version;                /* of the list */
	bool has_list;                   /* false: the agent has it already */
	struct wire_endpoint *endpoints; /* owned */
	size_t nr_endpoints;
};

void wire_answer_release(struct wire_answer *a);

/** wire_answer_json() - the object that POST /v1/samples answers; NULL: no memory. */
cJSON *wire_answer_json(const struct wire_answer *a);

/** wire_answer_decode() - as wire_decode(). */
int wire_answer_decode(const cJSON *j, struct wire_answer *ret, char *why, size_t size);

#endif
