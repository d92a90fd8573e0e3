/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench.h - the parts of archaic-bench: a do-nothing HTTP server, a client that
 * can saturate it, and the forest's own costs. Only tools/bench/run.sh calls it.
 */
#ifndef ARCHAIC_BENCH_H
#define ARCHAIC_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Every answer is this: the client counts bytes. */
#define BENCH_REQUEST "GET /x HTTP/1.1\r\nHost: bench\r\n\r\n"
#define BENCH_RESPONSE \
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"

/**
 * bench_serve() - answer on 127.0.0.1:@port until killed, one write a response, one thread.
 * @cpu: the core it stays on; -1: any. Returns only on failure, -errno.
 */
int bench_serve(uint16_t port, int cpu);

struct drive_request {
	uint16_t port;
	pid_t server; /* whose CPU time is read */
	int cpu;      /* the client's core; -1: any */
	unsigned connections;
	unsigned pipeline; /* requests under way on each connection */
	unsigned millis;
};

struct drive_result {
	uint64_t requests;
	uint64_t wall_ns;
	uint64_t server_wait_ns;               /* runnable, but somebody else had the core */
	uint64_t server_cpu_ns, client_cpu_ns; /* user and system, softirq as charged */
	double p50_ms, p99_ms;                 /* of single requests; 0 with a pipeline */
};

/** bench_drive() - 0 or -errno; -EPROTO where an answer is not BENCH_RESPONSE. */
int bench_drive(const struct drive_request *rq, struct drive_result *ret);

/** bench_forest() - print the forest's costs as shares of a tick of 1 s. 0 or -errno. */
int bench_forest(void);

/** bench_pin() - stay on core @cpu; -1 does nothing. 0 or -errno. */
int bench_pin(int cpu);

#endif
