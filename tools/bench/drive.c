// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A closed loop: every connection keeps so many requests under way; what comes
 * back is checked byte by byte against the one right answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "bench.h"

#define PIPELINE_MAX 64
#define SAMPLES_MAX (1U << 20)

struct client {
	int fd;
	size_t at;        /* bytes of the answer under way */
	uint64_t sent_ns; /* of a single request */
};

struct drive {
	const struct drive_request *rq;
	struct client *clients;
	int epoll;
	uint64_t requests;
	uint32_t *samples_us10; /* tenths of a microsecond */
	size_t nr_samples;
	char batch[PIPELINE_MAX * sizeof(BENCH_REQUEST)];
};

static void drive_release(struct drive *d)
{
	for (unsigned i = 0; d->clients && i < d->rq->connections; i++)
		if (d->clients[i].fd > 0)
			close(d->clients[i].fd);
	free(d->clients);
	free(d->samples_us10);
	if (d->epoll > 0)
		close(d->epoll);
}

/* CPU time and time spent runnable but not running, ns; of one thread, which is all that @pid has. */
static int cpu_of(pid_t pid, uint64_t *ret, uint64_t *wait)
{
	char path[64];
	unsigned long long ns, waited;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	if (!f || fscanf(f, "%llu %llu", &ns, &waited) != 2)
		return -ESRCH;
	*ret = ns;
	*wait = waited;
	return 0;
}

static uint64_t own_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * NSEC_PER_SEC +
		((uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec) * NSEC_PER_USEC;
}

static int ask(struct drive *d, struct client *c, unsigned nr, uint64_t now)
{
	size_t len = nr * strlen(BENCH_REQUEST);

	c->sent_ns = now;
	return send(c->fd, d->batch, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EPIPE;
}

static int connect_one(struct drive *d, unsigned i)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(d->rq->port) };
	struct client *c = &d->clients[i];
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)))
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return epoll_ctl(d->epoll, EPOLL_CTL_ADD, c->fd, &ev) ? -errno : 0;
}

/* Takes what has come and asks for as much again. */
static int take(struct drive *d, struct client *c, bool more)
{
	static const char want[] = BENCH_RESPONSE;
	char in[32768];
	ssize_t n = recv(c->fd, in, sizeof(in), 0);
	unsigned done = 0;

	if (n <= 0)
		return -EPIPE;
	uint64_t now = clock_mono_ns();
	for (ssize_t i = 0; i < n;) {
		size_t step = MIN((size_t)(n - i), strlen(want) - c->at);
		if (memcmp(in + i, want + c->at, step) != 0)
			return -EPROTO;
		i += (ssize_t)step;
		c->at += step;
		if (c->at == strlen(want)) {
			c->at = 0;
			done++;
		}
	}
	d->requests += done;
	if (d->rq->pipeline == 1 && done && d->nr_samples < SAMPLES_MAX)
		d->samples_us10[d->nr_samples++] = (uint32_t)((now - c->sent_ns) / 100);
	return done && more ? ask(d, c, done, now) : 0;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int loop(struct drive *d, struct drive_result *ret)
{
	struct epoll_event events[64];
	uint64_t start = clock_mono_ns(), cpu = own_cpu();
	uint64_t server, server_end, wait, wait_end;
	uint64_t end = start + d->rq->millis * NSEC_PER_MSEC;
	int err = cpu_of(d->rq->server, &server, &wait);

	for (unsigned i = 0; !err && i < d->rq->connections; i++)
		err = ask(d, &d->clients[i], d->rq->pipeline, start);
	while (!err && clock_mono_ns() < end) {
		int n = epoll_wait(d->epoll, events, ARRAY_SIZE(events), 100);
		for (int i = 0; !err && i < n; i++)
			err = take(d, events[i].data.ptr, true);
	}
	err = err ?: cpu_of(d->rq->server, &server_end, &wait_end);
	if (err)
		return err;
	*ret = (struct drive_result){
		.requests = d->requests,
		.wall_ns = clock_mono_ns() - start,
		.server_cpu_ns = server_end - server,
		.server_wait_ns = wait_end - wait,
		.client_cpu_ns = own_cpu() - cpu,
	};
	if (d->nr_samples) {
		qsort(d->samples_us10, d->nr_samples, sizeof(*d->samples_us10), by_size);
		ret->p50_ms = d->samples_us10[d->nr_samples / 2] / 1e4;
		ret->p99_ms = d->samples_us10[d->nr_samples * 99 / 100] / 1e4;
	}
	return 0;
}

int bench_drive(const struct drive_request *rq, struct drive_result *ret)
{
	CLEANUP(drive_release) struct drive d = { .rq = rq };
	int err = bench_pin(rq->cpu);

	if (err)
		return err;
	if (!rq->pipeline || rq->pipeline > PIPELINE_MAX || !rq->connections ||
	    rq->connections > 1024)
		return -EINVAL;
	for (unsigned i = 0; i < rq->pipeline; i++)
		memcpy(d.batch + i * strlen(BENCH_REQUEST), BENCH_REQUEST, strlen(BENCH_REQUEST));
	d.clients = calloc(rq->connections, sizeof(*d.clients));
	d.samples_us10 = calloc(SAMPLES_MAX, sizeof(*d.samples_us10));
	if (!d.clients || !d.samples_us10)
		return -ENOMEM;
	d.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d.epoll < 0)
		return -errno;
	for (unsigned i = 0; i < rq->connections; i++) {
		err = connect_one(&d, i);
		if (err)
			return err;
	}
	return loop(&d, ret);
}
