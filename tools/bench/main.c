// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "base/util.h"
#include "bench.h"

static int usage(void)
{
	fputs("usage: archaic-bench serve PORT CPU\n"
	      "       archaic-bench drive PORT PID CPU CONNECTIONS PIPELINE MILLISECONDS\n"
	      "       archaic-bench forest\n"
	      "CPU is a core's number; -1: any. drive prints: requests per second, server CPU us a\n"
	      "request, client CPU us a request, the server's use of its core, its use and its waiting\n"
	      "for the core, the client's use, p50 ms, p99 ms.\n"
	      "make bench calls it: see tools/bench/run.sh.\n",
	      stderr);
	return 2;
}

static bool number(const char *s, unsigned max, unsigned *ret)
{
	uint64_t v;

	if (text_to_u64(s, 0, max, &v))
		return false;
	*ret = (unsigned)v;
	return true;
}

static bool core(const char *s, int *ret)
{
	unsigned v;

	*ret = -1;
	if (strcmp(s, "-1") == 0)
		return true;
	if (!number(s, 1023, &v))
		return false;
	*ret = (int)v;
	return true;
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "archaic-bench: %s: %s\n", what, strerror(-err));
	return 1;
}

static int drive(char *argv[])
{
	unsigned port, pid;
	struct drive_request rq = { 0 };
	struct drive_result r;

	if (!number(argv[0], 65535, &port) || !number(argv[1], INT_MAX, &pid) ||
	    !core(argv[2], &rq.cpu) || !number(argv[3], 1024, &rq.connections) ||
	    !number(argv[4], 64, &rq.pipeline) || !number(argv[5], 600000, &rq.millis))
		return usage();
	rq.port = (uint16_t)port;
	rq.server = (pid_t)pid;
	int err = bench_drive(&rq, &r);
	if (err || !r.requests)
		return fail("drive", err ?: -ENODATA);
	double n = (double)r.requests, wall = (double)r.wall_ns;
	printf("%.1f %.4f %.4f %.4f %.4f %.4f %.4f %.4f\n", n / wall * 1e9,
	       (double)r.server_cpu_ns / n / 1e3, (double)r.client_cpu_ns / n / 1e3,
	       (double)r.server_cpu_ns / wall, (double)(r.server_cpu_ns + r.server_wait_ns) / wall,
	       (double)r.client_cpu_ns / wall, r.p50_ms, r.p99_ms);
	return 0;
}

int main(int argc, char *argv[])
{
	unsigned port;
	int cpu;

	if (argc == 4 && strcmp(argv[1], "serve") == 0 && number(argv[2], 65535, &port) &&
	    core(argv[3], &cpu))
		return fail("serve", bench_serve((uint16_t)port, cpu));
	if (argc == 8 && strcmp(argv[1], "drive") == 0)
		return drive(argv + 2);
	if (argc == 2 && strcmp(argv[1], "forest") == 0) {
		int err = bench_forest();
		return err ? fail("forest", err) : 0;
	}
	return usage();
}
